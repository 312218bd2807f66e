"""The training loop that tutorials have, timed: eager float32, one thread of Python.

    python -m jobs.benchmark.subjects.plain_training PHOTOS STYLE WEIGHTS NUMBERS...

NUMBERS are steps, width, size, the style's size, batch and threads.

Pictures are resized and cropped by torchvision in the loop; the loss network runs on the stylized
pictures and on the contents; Gram matrices by ``bmm``; Adam. Generator and loss network with its
layers are the program's. Prints ``{"images_per_second": R}``, the first step left out.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from nst_core.color.pixels import to_tensor
from nst_core.networks.transformer import TransformerNet
from nst_core.objectives.layers import CONTENT_LAYER, STYLE_LAYERS
from nst_core.objectives.loss_network import LossNetwork, load_loss_network_weights
from nst_core.pictures.reading import read_rgb, resize_shorter_side

_STYLE_WEIGHT = 1e5


def main() -> None:
    """Train, and print the rate."""
    photos, style, weights = (Path(argument) for argument in sys.argv[1:4])
    steps, width, size, style_size, batch, threads = map(int, sys.argv[4:])
    torch.set_num_threads(threads)
    loop = _Loop(weights, style, style_size, width)
    seconds = []
    last = time.perf_counter()
    for content in islice(_batches(photos, size, batch), steps + 1):
        loop.step(content)
        now = time.perf_counter()
        seconds.append(now - last)
        last = now
    print(json.dumps({"images_per_second": batch * steps / sum(seconds[1:])}))


class _Loop:
    def __init__(self, weights: Path, style: Path, style_size: int, width: int) -> None:
        self.style_layers, self.content_layer = STYLE_LAYERS["vgg19"], CONTENT_LAYER["vgg19"]
        self.loss_network = LossNetwork(
            load_loss_network_weights("vgg19", weights), (*self.style_layers, self.content_layer)
        )
        picture = resize_shorter_side(read_rgb(style), style_size)
        with torch.no_grad():
            seen = self.loss_network(to_tensor(picture))
            self.targets = {layer: _gram(seen[layer]) for layer in self.style_layers}
        self.generator = TransformerNet(width)
        self.optimizer = torch.optim.Adam(self.generator.parameters(), 1e-3)
        self.mse = nn.MSELoss()

    def step(self, content: Tensor) -> None:
        self.optimizer.zero_grad()
        ours, theirs = self.loss_network(self.generator(content)), self.loss_network(content)
        loss = self.mse(ours[self.content_layer], theirs[self.content_layer])
        for layer in self.style_layers:
            gram = _gram(ours[layer])
            loss = loss + _STYLE_WEIGHT * self.mse(gram, self.targets[layer].expand_as(gram))
        loss.backward()
        self.optimizer.step()


def _gram(features: Tensor) -> Tensor:
    batch, channels, height, width = features.shape
    flat = features.view(batch, channels, height * width)
    return flat.bmm(flat.transpose(1, 2)) / (channels * height * width)


def _batches(photos: Path, size: int, batch: int) -> Iterator[Tensor]:
    loader = torch.utils.data.DataLoader(
        _Photos(sorted(photos.iterdir()), size), batch_size=batch, shuffle=True, drop_last=True
    )
    while True:
        yield from loader


class _Photos(torch.utils.data.Dataset[Tensor]):
    def __init__(self, paths: list[Path], size: int) -> None:
        self.paths = paths
        self.transform = transforms.Compose(
            [transforms.Resize(size), transforms.CenterCrop(size), transforms.ToTensor()]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as image:
            picture: Tensor = self.transform(image.convert("RGB"))
        return picture


if __name__ == "__main__":
    main()
