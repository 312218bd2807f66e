"""Images a second of a training on this machine's CPUs, beside a plain loop, and on two workers.

    python -m tests.benchmarks.training_throughput DATA

DATA holds ``photos/``, ``styles/wave.jpg`` and ``vgg19/vgg19-caffe.safetensors``. The plain loop is
the one that tutorials have: eager float32, pictures resized and cropped by torchvision in the
loop, the loss network run on the stylized pictures and on the contents, Gram matrices by ``bmm``,
Adam. Generator, loss network with its layers, batch and size of the pictures are the program's.

The three take turns within this one run, each in processes of its own; the program's start and
first step are left out, and so is the plain loop's first step. Medians are printed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from cluster.connection import ray_session
from jobs.train import train
from jobs.training_specs import TrainStyle
from nst_core.loss_network import LossNetwork, load_loss_network_weights
from nst_core.objective import CONTENT_LAYER, STYLE_LAYERS
from nst_core.pictures import read_rgb, resize_shorter_side, to_tensor
from nst_core.settings import TrainingSettings
from nst_core.transformer_net import TransformerNet

_ROUNDS = 3
_STEPS = 16
_BATCH = 4
_SIZE = 256
_WIDTH = 32
_STYLE_SIZE = 384
_THREADS = 2
_BAR_PLAIN, _BAR_TWO_WORKERS = 2.0, 0.9


def main() -> None:
    """Print images a second in every round, and the median ratios beside their bars."""
    data = Path(sys.argv[-1])
    if sys.argv[1] == "plain":
        print(_plain_loop(data))
        return
    print(f"width {_WIDTH}, {_BATCH} pictures of {_SIZE} px, {_THREADS} threads in all")
    faster, scaling = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(_ROUNDS):
            plain = _in_a_process("plain", data)
            one = _program(data, Path(folder) / f"one{number}.safetensors", workers=1)
            two = _program(data, Path(folder) / f"two{number}.safetensors", workers=2)
            faster.append(one / plain)
            scaling.append(two / one)
            print(
                f"round {number + 1}: plain {plain:.2f}, program {one:.2f} images/s, ratio "
                f"{faster[-1]:.2f}; two workers {two:.2f}, ratio {scaling[-1]:.2f}",
                flush=True,
            )
    _conclude("program to plain loop", statistics.median(faster), _BAR_PLAIN)
    _conclude("two workers to one of two threads", statistics.median(scaling), _BAR_TWO_WORKERS)


def _conclude(what: str, ratio: float, bar: float) -> None:
    print(f"{what}: median {ratio:.2f} (at least {bar}): {'met' if ratio >= bar else 'NOT met'}")


def _program(data: Path, output: Path, *, workers: int) -> float:
    job = TrainStyle(
        style_images=(data / "styles" / "wave.jpg",),
        content=(str(data / "photos"),),
        output=output,
        training=TrainingSettings(
            steps=_STEPS // workers, batch_size=_BATCH, image_size=_SIZE, warmup_steps=0
        ),
        width=_WIDTH,
        style_size=_STYLE_SIZE,
        loss_network_weights=data / "vgg19" / "vgg19-caffe.safetensors",
        device="cpu",
        workers=(workers, workers),
        cpus_per_worker=_THREADS // workers,
        checkpoint_every=_STEPS,
    )
    with ray_session(dashboard=True):
        return train(job).images_per_second


def _in_a_process(*arguments: object) -> float:
    command = [sys.executable, "-m", __spec__.name, *map(str, arguments)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _plain_loop(data: Path) -> float:
    torch.set_num_threads(_THREADS)
    weights = load_loss_network_weights("vgg19", data / "vgg19" / "vgg19-caffe.safetensors")
    style_layers, content_layer = STYLE_LAYERS["vgg19"], CONTENT_LAYER["vgg19"]
    loss_network = LossNetwork(weights, (*style_layers, content_layer))
    picture = resize_shorter_side(read_rgb(data / "styles" / "wave.jpg"), _STYLE_SIZE)
    with torch.no_grad():
        seen = loss_network(to_tensor(picture).repeat(_BATCH, 1, 1, 1))
        targets = {layer: _gram(seen[layer]) for layer in style_layers}
    generator = TransformerNet(_WIDTH)
    optimizer = torch.optim.Adam(generator.parameters(), 1e-3)
    mse = nn.MSELoss()
    seconds = []
    last = time.perf_counter()
    for number, content in enumerate(_plain_batches(data)):
        if number > _STEPS:
            break
        optimizer.zero_grad()
        stylized = generator(content)
        ours, theirs = loss_network(stylized), loss_network(content)
        content_loss = mse(ours[content_layer], theirs[content_layer])
        style_loss = sum(mse(_gram(ours[layer]), targets[layer]) for layer in style_layers)
        (content_loss + 1e5 * style_loss).backward()
        optimizer.step()
        now = time.perf_counter()
        seconds.append(now - last)
        last = now
    return _BATCH * _STEPS / sum(seconds[1:])


def _plain_batches(data: Path) -> torch.utils.data.DataLoader[Tensor]:
    return torch.utils.data.DataLoader(
        _Photos(sorted((data / "photos").iterdir())), batch_size=_BATCH, shuffle=True
    )


class _Photos(torch.utils.data.Dataset[Tensor]):
    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self.transform = transforms.Compose(
            [transforms.Resize(_SIZE), transforms.CenterCrop(_SIZE), transforms.ToTensor()]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as image:
            picture: Tensor = self.transform(image.convert("RGB"))
        return picture


def _gram(features: Tensor) -> Tensor:
    batch, channels, height, width = features.shape
    flat = features.view(batch, channels, height * width)
    return flat.bmm(flat.transpose(1, 2)) / (channels * height * width)


if __name__ == "__main__":
    main()
