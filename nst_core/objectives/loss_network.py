"""The loss network: a frozen VGG (Simonyan and Zisserman 2015) that names its activations."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from nst_core.errors import LossNetworkError
from nst_core.objectives.layers import CONVOLUTIONS, activation_indices
from nst_core.objectives.settings import LossNetworkName, Pooling
from nst_core.objectives.weights.check import is_original, probe_picture, what_is_wrong
from nst_core.objectives.weights.download import OnDownload
from nst_core.objectives.weights.fetching import ignore_download, kept_or_fetched
from nst_core.objectives.weights.kept import WEIGHTS_VARIABLE
from nst_core.objectives.weights.reading import ORIGINAL_STD, LossNetworkWeights, read_weights

_CHANNELS_OF_BLOCK = (64, 128, 256, 512, 512)


class LossNetwork(nn.Module):
    """Frozen VGG up to the deepest layer asked for.

    Takes RGB in [0, 1], N x 3 x H x W; returns the activations of ``layers`` (names such as
    ``relu4_1``) by name. ``pooling`` is what halves the size between blocks. Raises
    LossNetworkError for a layer that the network or the weights do not have.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, weights: LossNetworkWeights, layers: Iterable[str], pooling: Pooling = "max"
    ) -> None:
        super().__init__()
        indices = activation_indices(weights.name)
        unknown = sorted(set(layers) - indices.keys())
        if unknown:
            raise LossNetworkError(
                f"{weights.name} has no layer {', '.join(unknown)}; it has {', '.join(indices)}"
            )
        self.layer_of_index = {indices[name]: name for name in layers}
        depth = max(self.layer_of_index) + 1
        with torch.device("meta"):  # random weights would only be replaced
            self.features = _vgg_features(weights.name, pooling)[:depth]
        self._load(weights)
        self.register_buffer("mean", torch.tensor(weights.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(weights.std).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def _load(self, weights: LossNetworkWeights) -> None:
        own = {f"features.{name}" for name in self.features.state_dict()}
        missing = sorted(own - weights.tensors.keys())
        if missing:
            raise LossNetworkError(
                f"{weights.source} has no tensor {missing[0]} ({len(missing)} missing), which the "
                f"layers {', '.join(self.layer_of_index.values())} of {weights.name} need; "
                "use weights of that network"
            )
        try:
            self.features.load_state_dict(
                {name[len("features.") :]: weights.tensors[name].float() for name in own},
                assign=True,
            )
        except RuntimeError as error:
            raise LossNetworkError(
                f"{weights.source} does not fit {weights.name}: {error}"
            ) from error

    def forward(self, image: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Activations by layer name, in the order of depth; of ``layers``, or of all there are.

        Nothing behind the deepest of them is computed.
        """
        wanted = set(self.layer_of_index.values() if layers is None else layers)
        features = (image - self.mean) / self.std
        activations: dict[str, Tensor] = {}
        for index, module in enumerate(self.features):
            if len(activations) == len(wanted):
                break
            features = module(features)
            if self.layer_of_index.get(index) in wanted:
                activations[self.layer_of_index[index]] = features
        return activations


def load_loss_network_weights(
    name: LossNetworkName,
    path: str | Path | None = None,
    *,
    layers: Iterable[str] = (),
    on_download: OnDownload = ignore_download,
) -> LossNetworkWeights:
    """Read weights: from ``path``, else the file in NST_LOSS_NETWORK_WEIGHTS, else what is kept.

    What is kept nowhere is downloaded, once, as deep as ``layers`` need; see weights/fetching.py.
    Raises LossNetworkError when none works, and for a file whose activations are not a VGG's.
    """
    chosen = path or os.environ.get(WEIGHTS_VARIABLE)
    if not chosen:
        return kept_or_fetched(name, layers, on_download)
    weights = read_weights(Path(chosen), name)
    check_weights(weights, Path(chosen))
    return weights


def check_weights(weights: LossNetworkWeights, path: Path) -> None:
    """Show them a picture. Raises LossNetworkError where what they see is far from VGG's."""
    indices = activation_indices(weights.name)
    missing = [n for n, at in indices.items() if f"features.{at - 1}.weight" not in weights.tensors]
    layers = list(indices)[: list(indices).index(missing[0])] if missing else list(indices)
    if not layers:
        return  # whoever needs a layer says which tensor is missing
    with torch.inference_mode():
        activations = LossNetwork(weights, layers)(probe_picture())
    wrong = what_is_wrong(activations, weights.std)
    if is_original(weights.tensors) and max(weights.std) > 2 * max(ORIGINAL_STD):
        wrong = "they are Oxford's, for pictures on the scale 0..255, and its std says 0..1"
    if wrong:
        raise LossNetworkError(
            f"loss-network weights {path}: their activations on a test picture are not those of "
            f"{weights.name} ({wrong}); use torchvision's file, or give the file the mean and std "
            "that it was trained with"
        )


def _vgg_features(name: LossNetworkName, pooling: Pooling = "max") -> nn.Sequential:
    modules: list[nn.Module] = []
    inputs = 3
    for outputs, convs in zip(_CHANNELS_OF_BLOCK, CONVOLUTIONS[name], strict=True):
        for _ in range(convs):
            modules += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = outputs
        modules.append(nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2))
    return nn.Sequential(*modules)
