"""Weights of the loss network in files, torchvision's and Oxford's (Caffe's) kinds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nst_core.errors import LossNetworkError
from nst_core.objectives.layers import CONVOLUTIONS, convolution_keys
from nst_core.objectives.settings import LossNetworkName
from nst_core.objectives.weights.check import is_original
from nst_core.objectives.weights.kept import SOURCE_KEY, WHOLE_KEY
from nst_core.utf8_paths import utf8_path

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_ORIGINAL_MEAN: dict[LossNetworkName, tuple[float, float, float]] = {
    "vgg16": (0.48235, 0.45882, 0.40784),  # as torchvision has it
    "vgg19": (123.68 / 255, 116.779 / 255, 103.939 / 255),
}
ORIGINAL_STD = (1 / 255, 1 / 255, 1 / 255)
"""Oxford's own weights expect the scale 0..255 (Caffe)."""


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
    whole: str = ""
    """Fingerprint of the file that these are the needed part of, in float16; none: they are all."""

    def fingerprint(self) -> str:
        """Tell weights apart by their content; a kept part is known by the whole."""
        if self.whole:
            return self.whole
        digest = hashlib.sha256(repr((self.mean, self.std)).encode())
        for name in sorted(self.tensors):
            digest.update(name.encode())
            digest.update(self.tensors[name].contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def __repr__(self) -> str:
        return f"LossNetworkWeights({self.name}, {len(self.tensors)} tensors, {self.source})"


def read_weights(path: Path, name: LossNetworkName | None = None) -> LossNetworkWeights:
    """Read a file of weights; whose they are is looked for in it where ``name`` is None.

    What it holds is not looked at further. Raises LossNetworkError.
    """
    if not path.is_file():
        what = "a folder, and a file is needed" if path.is_dir() else "no such file"
        raise LossNetworkError(f"loss-network weights {path}: {what}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path, name)
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises half a dozen kinds
        raise LossNetworkError(
            f"loss-network weights {path}: not a safetensors file nor a plain torch state dict"
        ) from error
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise LossNetworkError(f"loss-network weights {path}: not a state dict of tensors")
    name = name or _architecture_of(tensors, path)
    mean, std = _normalisation(name, tensors)
    return LossNetworkWeights(name, _features_only(tensors), mean, std, path.name)


def _architecture_of(tensors: dict[str, Tensor], path: Path) -> LossNetworkName:
    """Tell the networks apart by the numbers of their convolutions. Raises LossNetworkError."""
    for name in CONVOLUTIONS:
        other: LossNetworkName = "vgg16" if name == "vgg19" else "vgg19"
        if convolution_keys(name) - convolution_keys(other) & tensors.keys():
            return name
    raise LossNetworkError(
        f"loss-network weights {path}: neither VGG-16 nor VGG-19 by its tensors; say which of them "
        "with --name, or name another file"
    )


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
        return _ORIGINAL_MEAN[name], ORIGINAL_STD
    return _IMAGENET_MEAN, _IMAGENET_STD


def _features_only(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave out the classifier: nine tenths of the file, and of what would travel to workers."""
    return {name: tensor for name, tensor in tensors.items() if name.startswith("features.")}


def _read_safetensors(path: Path, name: LossNetworkName | None) -> LossNetworkWeights:
    try:
        with utf8_path(path) as readable, safe_open(readable, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise LossNetworkError(f"loss-network weights {path}: {error}") from error
    architecture = metadata.get("architecture", name) or _architecture_of(tensors, path)
    name = name or _known(architecture, path)
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
    source = metadata.get(SOURCE_KEY, path.name)
    return LossNetworkWeights(name, tensors, mean, std, source, metadata.get(WHOLE_KEY, ""))


def _known(architecture: str, path: Path) -> LossNetworkName:
    for name in CONVOLUTIONS:
        if architecture == name:
            return name
    raise LossNetworkError(
        f"{path} holds {architecture} weights; those of {' or '.join(CONVOLUTIONS)} are needed"
    )


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
