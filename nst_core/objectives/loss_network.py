"""The loss network: a frozen VGG (Simonyan and Zisserman 2015) that names its activations."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from nst_core.errors import LossNetworkError
from nst_core.objectives.layers import CONVOLUTIONS
from nst_core.objectives.loss_network_check import is_original, probe_picture, what_is_wrong
from nst_core.objectives.settings import LossNetworkName, Pooling
from nst_core.utf8_paths import utf8_path

WEIGHTS_VARIABLE = "NST_LOSS_NETWORK_WEIGHTS"
"""Environment variable with the path of a weights file."""

_CHANNELS_OF_BLOCK = (64, 128, 256, 512, 512)

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_ORIGINAL_MEAN: dict[LossNetworkName, tuple[float, float, float]] = {
    "vgg16": (0.48235, 0.45882, 0.40784),  # as torchvision has it
    "vgg19": (123.68 / 255, 116.779 / 255, 103.939 / 255),
}
_ORIGINAL_STD = (1 / 255, 1 / 255, 1 / 255)
"""Oxford's own weights expect the scale 0..255 (Caffe)."""

_DOWNLOAD_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, repr=False)
class LossNetworkWeights:
    """Weights together with the normalisation of the input that they were trained with."""

    name: LossNetworkName
    tensors: dict[str, Tensor]
    """``features.N.weight`` and ``features.N.bias`` under torchvision's numbering."""
    mean: tuple[float, float, float]
    """Subtracted from RGB in [0, 1]."""
    std: tuple[float, float, float]
    """Divides what is left; 1/255 where the weights expect the scale 0..255 (Caffe)."""
    source: str
    """Where they came from, for the records."""

    def fingerprint(self) -> str:
        """Tells weights apart by their content."""
        digest = hashlib.sha256(repr((self.mean, self.std)).encode())
        for name in sorted(self.tensors):
            digest.update(name.encode())
            digest.update(self.tensors[name].contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def __repr__(self) -> str:
        return f"LossNetworkWeights({self.name}, {len(self.tensors)} tensors, {self.source})"


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


def activation_indices(name: LossNetworkName) -> dict[str, int]:
    """Index within torchvision's ``features`` of every ReLU: ``{"relu1_1": 1, ...}``."""
    indices: dict[str, int] = {}
    index = 0
    for block, convs in enumerate(CONVOLUTIONS[name], start=1):
        for conv in range(1, convs + 1):
            indices[f"relu{block}_{conv}"] = index + 1
            index += 2
        index += 1  # the block's pooling
    return indices


def load_loss_network_weights(
    name: LossNetworkName, path: str | Path | None = None
) -> LossNetworkWeights:
    """Read weights from ``path``, else from the file in NST_LOSS_NETWORK_WEIGHTS, else download.

    The download is torchvision's own (cached by it). Raises LossNetworkError when none works, and
    for a file whose activations are not a VGG's.
    """
    chosen = path or os.environ.get(WEIGHTS_VARIABLE)
    if not chosen:
        return _download(name)
    weights = _read_file(name, Path(chosen))
    _check(weights, Path(chosen))
    return weights


def _check(weights: LossNetworkWeights, path: Path) -> None:
    """Show them a picture. Raises LossNetworkError where what they see is far from VGG's."""
    indices = activation_indices(weights.name)
    missing = [n for n, at in indices.items() if f"features.{at - 1}.weight" not in weights.tensors]
    layers = list(indices)[: list(indices).index(missing[0])] if missing else list(indices)
    if not layers:
        return  # whoever needs a layer says which tensor is missing
    with torch.inference_mode():
        activations = LossNetwork(weights, layers)(probe_picture())
    wrong = what_is_wrong(activations, weights.std)
    if is_original(weights.tensors) and max(weights.std) > 2 * max(_ORIGINAL_STD):
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


def _read_file(name: LossNetworkName, path: Path) -> LossNetworkWeights:
    if not path.is_file():
        raise LossNetworkError(f"loss-network weights {path}: no such file")
    if path.suffix == ".safetensors":
        return _read_safetensors(name, path)
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises half a dozen kinds
        raise LossNetworkError(
            f"loss-network weights {path}: not a safetensors file nor a plain torch state dict"
        ) from error
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise LossNetworkError(f"loss-network weights {path}: not a state dict of tensors")
    mean, std = _normalisation(name, tensors)
    return LossNetworkWeights(name, _features_only(tensors), mean, std, path.name)


def _normalisation(
    name: LossNetworkName, tensors: dict[str, Tensor]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of a file that does not say its own.

    torchvision's files expect ImageNet's, but for the one with Oxford's weights: it is called
    ``vgg16_features-amdegroot``, and its classifier is filled with NaN.
    """
    classifier = [tensor for key, tensor in tensors.items() if key.startswith("classifier.")]
    features_alone = bool(classifier) and all(tensor.isnan().all() for tensor in classifier)
    if is_original(tensors) or features_alone:
        return _ORIGINAL_MEAN[name], _ORIGINAL_STD
    return _IMAGENET_MEAN, _IMAGENET_STD


def _features_only(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave out the classifier: nine tenths of the file, and of what would travel to workers."""
    return {name: tensor for name, tensor in tensors.items() if name.startswith("features.")}


def _read_safetensors(name: LossNetworkName, path: Path) -> LossNetworkWeights:
    try:
        with utf8_path(path) as readable, safe_open(readable, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise LossNetworkError(f"loss-network weights {path}: {error}") from error
    architecture = metadata.get("architecture", name)
    if architecture != name:
        raise LossNetworkError(
            f"{path} holds {architecture} weights, not {name}; try --loss-network {architecture}"
        )
    usual_mean, usual_std = _normalisation(name, tensors)
    mean = _three_numbers(metadata.get("mean"), usual_mean, path)
    std = _three_numbers(metadata.get("std"), usual_std, path)
    if max(mean) > 1:  # stated on the scale 0..255
        mean = (mean[0] / 255, mean[1] / 255, mean[2] / 255)
        std = (std[0] / 255, std[1] / 255, std[2] / 255)
    return LossNetworkWeights(name, tensors, mean, std, path.name)


def _three_numbers(
    text: str | None, default: tuple[float, float, float], path: Path
) -> tuple[float, float, float]:
    if text is None:
        return default
    try:
        red, green, blue = (float(part) for part in text.strip("[]() ").split(","))
    except ValueError as error:
        raise LossNetworkError(
            f"{path}: mean or std in its metadata is {text!r}; three numbers are needed"
        ) from error
    return red, green, blue


def _download(name: LossNetworkName) -> LossNetworkWeights:
    from torchvision.models import VGG16_Weights, VGG19_Weights

    # For VGG-16 Oxford's own weights, as the papers'; there are none of VGG-19.
    original = name == "vgg16"
    weights = VGG16_Weights.IMAGENET1K_FEATURES if original else VGG19_Weights.IMAGENET1K_V1
    try:
        # torch.hub announces the download on stdout, which belongs to results.
        with _socket_timeout(_DOWNLOAD_TIMEOUT_SECONDS), redirect_stdout(sys.stderr):
            tensors = weights.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise LossNetworkError(
            f"no weights for the loss network {name}: the download failed ({error}); connect to "
            f"the internet, or name a file with --loss-network-weights FILE or {WEIGHTS_VARIABLE}"
        ) from error
    mean, std = (
        (_ORIGINAL_MEAN[name], _ORIGINAL_STD) if original else (_IMAGENET_MEAN, _IMAGENET_STD)
    )
    return LossNetworkWeights(name, _features_only(tensors), mean, std, f"torchvision {weights}")


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
