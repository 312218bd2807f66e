"""The weights that this machine has: where they are looked for, and what is kept of them.

Light to import: no torch.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from safetensors import SafetensorError, safe_open

from nst_core.caches import loss_networks
from nst_core.files import write_whole
from nst_core.objectives.layers import KEPT_LAYER, activation_indices, convolution_keys
from nst_core.objectives.settings import LossNetworkName
from nst_core.utf8_paths import utf8_path

if TYPE_CHECKING:
    from nst_core.objectives.weights.reading import LossNetworkWeights

WEIGHTS_VARIABLE = "NST_LOSS_NETWORK_WEIGHTS"
"""Environment variable with the path of a weights file."""
WHOLE_KEY, SOURCE_KEY = "fingerprint_of_the_whole", "kept_from"
"""What the metadata of kept weights say beside architecture, mean and std."""

Place = Literal["variable", "kept", "torch.hub"]
"""Where weights are: in the file that WEIGHTS_VARIABLE names, in our cache, or in torch's."""


@dataclass(frozen=True)
class Original:
    """A file as torchvision publishes it."""

    file: str
    """Its name, which ends with what its SHA-256 begins with."""
    source: str
    """What records call it."""
    megabytes: int

    @property
    def sha256(self) -> str:
        """The first characters of its SHA-256."""
        return Path(self.file).stem.rpartition("-")[-1]


ORIGINALS: Mapping[LossNetworkName, Original] = {
    # Oxford's own weights, as the papers'; of VGG-19 torchvision has none.
    "vgg16": Original(
        "vgg16_features-amdegroot-88682ab5.pth",
        "torchvision VGG16_Weights.IMAGENET1K_FEATURES",
        553,
    ),
    "vgg19": Original("vgg19-dcbb9e9d.pth", "torchvision VGG19_Weights.IMAGENET1K_V1", 575),
}


@dataclass(frozen=True)
class WeightsAtHand:
    """A file of weights that is there, or that WEIGHTS_VARIABLE says is."""

    name: LossNetworkName | None
    """None where only reading the file would tell."""
    place: Place
    path: Path
    size: int | None
    """In bytes; None: there is no such file."""
    deepest_layer: str
    """Empty where only reading the file would tell."""
    source: str
    """What records call it; empty for a file that is used as it is."""


def kept_path(name: LossNetworkName, *, all_layers: bool) -> Path:
    """Path under which weights are kept, up to KEPT_LAYER or as deep as they come."""
    return loss_networks() / f"{name}{'-all' if all_layers else ''}.safetensors"


def kept_for(name: LossNetworkName, layers: Iterable[str]) -> Path | None:
    """Return the smallest kept file that has what ``layers`` need, and KEPT_LAYER; None: none."""
    needed = convolution_keys(name, (*layers, KEPT_LAYER[name]))
    for path in (kept_path(name, all_layers=False), kept_path(name, all_layers=True)):
        if path.is_file() and needed <= _header(path)[0]:
            return path
    return None


def keep(weights: LossNetworkWeights, *, all_layers: bool) -> Path:
    """Write what is needed of the weights, in float16, where ``kept_for`` finds it."""
    from safetensors.torch import save  # torch

    needed = convolution_keys(weights.name, None if all_layers else [KEPT_LAYER[weights.name]])
    tensors = {
        key: tensor.half().contiguous()
        for key, tensor in weights.tensors.items()
        if key.replace(".bias", ".weight") in needed
    }
    metadata = {
        "architecture": weights.name,
        "mean": ",".join(map(repr, weights.mean)),
        "std": ",".join(map(repr, weights.std)),
        WHOLE_KEY: weights.fingerprint(),
        SOURCE_KEY: weights.source,
    }
    path = kept_path(weights.name, all_layers=all_layers)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, save(tensors, metadata))
    return path


def hub_file(name: LossNetworkName) -> Path:
    """Return where torch.hub keeps torchvision's file, be it there or not."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = Path(os.environ.get("TORCH_HOME") or Path(caches, "torch"))
    return home.expanduser() / "hub" / "checkpoints" / ORIGINALS[name].file


def weights_at_hand() -> Iterator[WeightsAtHand]:
    """Yield what there is, in the order in which it is preferred; nothing is read but headers."""
    if chosen := os.environ.get(WEIGHTS_VARIABLE):
        path = Path(chosen)
        yield WeightsAtHand(None, "variable", path, _size(path), "", "")
    for name, original in ORIGINALS.items():
        for all_layers in (False, True):
            path = kept_path(name, all_layers=all_layers)
            if path.is_file():
                keys, metadata = _header(path)
                deepest = deepest_layer(name, keys)
                source = metadata.get(SOURCE_KEY, "")
                yield WeightsAtHand(name, "kept", path, _size(path), deepest, source)
        if (path := hub_file(name)).is_file():
            deepest = list(activation_indices(name))[-1]
            yield WeightsAtHand(name, "torch.hub", path, _size(path), deepest, original.source)


def deepest_layer(name: LossNetworkName, keys: Collection[str]) -> str:
    """Return the deepest layer for which no tensor is missing; empty: not even the first."""
    deepest = ""
    for layer, index in activation_indices(name).items():
        if f"features.{index - 1}.weight" not in keys:
            break
        deepest = layer
    return deepest


def _header(path: Path) -> tuple[set[str], Mapping[str, str]]:
    """Return the names of a kept file's tensors and its metadata; nothing where it is damaged."""
    try:
        with utf8_path(path) as readable, safe_open(readable, framework="numpy") as file:
            return set(file.keys()), file.metadata() or {}
    except (SafetensorError, OSError):
        return set(), {}


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
