"""Checkpoints of two popular programs, read as generators of ours.

Shapes are compared with the network's before a number is touched, so that a file cannot ask for
more memory than its network needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from nst_core.checkpoints.foreign_tensors import KNOWN_FORMATS, read_foreign
from nst_core.checkpoints.info import CheckpointInfo, fingerprint
from nst_core.errors import CheckpointError
from nst_core.networks.generator import Generator
from nst_core.networks.registry import generator_class

ForeignFormat = Literal["pytorch-examples", "fast-style-transfer"]

_MAX_WIDTH = 256
_NAMED_AT_MOST = 3

_PREFIXED = re.compile(r"^((?:.*\.)?)conv1\.(?:conv2d\.weight|in_shift)$")
_IN_A_BLOCK = re.compile(r"(^|\.)res\d\.$")
_OLD_NORM = re.compile(r"(^|\.)(in\d)\.(scale|shift)$")
_NORM_PARTS = {"scale": "weight", "shift": "bias"}
_RUNNING_STATISTICS = re.compile(r"\.(running_mean|running_var|num_batches_tracked)$")
_TENSORFLOW_NAME = re.compile(r"Variable(?:_(\d+))?")
_TENSORFLOW_OPTIMIZER = re.compile(r"\.Adam(_1)?$|^beta[12]_power$")

_FAST_STYLE_TRANSFER_LAYERS = (
    *("conv1", "conv2", "conv3"),
    *(f"res{block}.{layer}" for block in range(1, 6) for layer in (1, 2)),
    *("up1", "up2", "conv_out"),
)


def import_checkpoint(
    path: Path,
    *,
    format: Literal["auto"] | ForeignFormat = "auto",  # noqa: A002 - the command line's word
) -> tuple[Generator, CheckpointInfo]:
    """Read a checkpoint of PyTorch's fast neural style example or of fast-style-transfer.

    ``path`` is a state dict (.pth, .pt, .model: whatever torch.save wrote; .safetensors), an .npz
    of arrays, or TensorFlow's: a .ckpt, what its files begin with (``fns.ckpt``), or their folder.
    The generator comes on the CPU, in float32 and evaluation mode; ``training`` of its info has
    file name, format and SHA-256.
    Raises CheckpointError: not a checkpoint of that format, damaged, or more than tensors.
    """
    foreign = read_foreign(path)
    found, tensors = _chosen(path, foreign.networks)
    if format not in ("auto", found):
        raise CheckpointError(
            f"{path}: its tensors are named as those of {found}, not of {format}; "
            f"leave --format out, or give --format {found}"
        )
    generator = _fill(path, found, _CONVERTERS[found](tensors))
    training = {"imported_from": path.name, "format": found, "sha256": fingerprint(foreign.file)}
    return generator.eval(), CheckpointInfo(found, {"width": generator.width}, training)


def _chosen(
    path: Path, networks: Mapping[str, Mapping[str, Tensor]]
) -> tuple[ForeignFormat, dict[str, Tensor]]:
    """Return the network that is a generator, of all that a file holds."""
    named = {key: _with_usual_names(tensors) for key, tensors in networks.items()}
    formats = {key: _recognized(tensors) for key, tensors in named.items()}
    generators = [(key, found) for key, found in formats.items() if found is not None]
    if not generators:
        names = [name for tensors in named.values() for name in tensors]
        raise CheckpointError(
            f"{path}: {_some(names, 'tensors')}: of no format that can be imported; {KNOWN_FORMATS}"
        )
    if len(generators) > 1:
        keys = [key or "the outermost" for key, _ in generators]
        raise CheckpointError(
            f"{path}: holds {len(keys)} networks ({_some(keys)}); save one of them alone, by "
            "torch.save(content[KEY], FILE)"
        )
    key, found = generators[0]
    return found, named[key]


def _recognized(tensors: Mapping[str, Tensor]) -> ForeignFormat | None:
    if any(".conv2d." in name for name in tensors):
        return "pytorch-examples"
    if any(name.endswith((".in_shift", ".in_scale")) for name in tensors):
        return "fast-style-transfer"
    return None


def _with_usual_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``net/res1/1/weight:0`` to ``res1.1.weight``, and TensorFlow's numbered variables likewise.

    What wrappers and trainers put before the names is whatever stands before conv1's; tensors
    without it are another network's.
    fast-style-transfer does not name its variables: TensorFlow numbers them as they are made,
    for each layer weight, shift, scale. Beside them are the optimizer's.
    """
    dotted = {name.removesuffix(":0").replace("/", "."): t for name, t in tensors.items()}
    if "Variable" not in dotted:
        matches = [match[1] for name in dotted if (match := _PREFIXED.match(name))]
        prefixes = [prefix for prefix in matches if not _IN_A_BLOCK.search(prefix)]
        prefix = min(prefixes, key=len, default="")
        return {n[len(prefix) :]: t for n, t in dotted.items() if n.startswith(prefix)}
    names = [
        f"{layer}.{part}"
        for layer in _FAST_STYLE_TRANSFER_LAYERS
        for part in ("weight", "in_shift", "in_scale")
    ]
    named = {}
    for name, tensor in dotted.items():
        match = _TENSORFLOW_NAME.fullmatch(name)
        number = int(match[1] or 0) if match else len(names)
        if not _TENSORFLOW_OPTIMIZER.search(name):
            named[names[number] if number < len(names) else name] = tensor
    return named


# Fitting


def _from_pytorch_examples(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Old files carry running statistics, which their instance normalisation never used.

    Its forerunner (fast-neural-style, by the same author) has a scale and shift in place of weight
    and bias, and works on BGR.
    """
    kept = {n: t for n, t in tensors.items() if not _RUNNING_STATISTICS.search(n)}
    if not any(_OLD_NORM.search(name) for name in kept):
        return kept
    renamed = {
        _OLD_NORM.sub(lambda match: f"{match[1]}{match[2]}.{_NORM_PARTS[match[3]]}", name): tensor
        for name, tensor in kept.items()
    }
    for name, dimension in _COLOUR_DIMENSIONS.items():
        tensor = renamed.get(name)
        if tensor is not None and _is_plain(tensor) and tensor.ndim > dimension:
            renamed[name] = tensor.flip(dimension)
    return renamed


def _from_fast_style_transfer(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Kernels to torch's layout, shifts and scales to one dimension."""
    first = tensors.get("conv1.weight")
    is_tensorflow = first is not None and first.shape[:2] == (9, 9)
    converted = {}
    for name, tensor in tensors.items():
        if not _is_plain(tensor):
            pass  # is told of later
        elif name.endswith((".in_shift", ".in_scale")) and tensor.numel() <= 4 * _MAX_WIDTH:
            tensor = tensor.flatten()
        elif is_tensorflow and tensor.ndim == 4:
            # (H, W, in, out) to (out, in, H, W); transposed convolutions have in and out swapped
            # on both sides.
            tensor = tensor.permute(3, 2, 0, 1)
        converted[name] = tensor
    return converted


_CONVERTERS: dict[ForeignFormat, Callable[[Mapping[str, Tensor]], dict[str, Tensor]]] = {
    "pytorch-examples": _from_pytorch_examples,
    "fast-style-transfer": _from_fast_style_transfer,
}
_COLOUR_DIMENSIONS = {
    "conv1.conv2d.weight": 1,
    "deconv3.conv2d.weight": 0,
    "deconv3.conv2d.bias": 0,
}
_FIRST_WEIGHT: dict[ForeignFormat, str] = {
    "pytorch-examples": "conv1.conv2d.weight",
    "fast-style-transfer": "conv1.weight",
}


def _fill(path: Path, architecture: ForeignFormat, tensors: dict[str, Tensor]) -> Generator:
    first = tensors.get(_FIRST_WEIGHT[architecture])
    width = first.shape[0] if first is not None and first.ndim == 4 else 32
    if not 1 <= width <= _MAX_WIDTH:
        raise CheckpointError(
            f"{path}: {architecture} of width {width}; 1 to {_MAX_WIDTH} are allowed, usual is 32"
        )
    with torch.device("meta"):
        needed = generator_class(architecture)(width=width).state_dict()
    problems = _problems(tensors, needed)
    if problems:
        raise CheckpointError(
            f"{path}: does not fit {architecture} of width {width}: {'; '.join(problems)}"
        )
    floats = {name: tensor.float() for name, tensor in tensors.items()}
    broken = [name for name, tensor in floats.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise CheckpointError(
            f"{path}: {_some(broken, 'tensors')} hold numbers that are not finite; "
            "its training went wrong: take an earlier checkpoint"
        )
    generator = generator_class(architecture)(width=width)
    generator.load_state_dict(floats)
    return generator


def _problems(tensors: Mapping[str, Tensor], needed: Mapping[str, Tensor]) -> list[str]:
    missing = [name for name in needed if name not in tensors]
    unknown = [name for name in tensors if name not in needed]
    unfit = [
        f"{name} is {_described(tensors[name])} instead of {_described(needed[name])}"
        for name in needed
        if name in tensors
        and not (_is_plain(tensors[name]) and tensors[name].shape == needed[name].shape)
    ]
    return [
        *([f"missing {_some(missing)}"] if missing else []),
        *([f"unknown {_some(unknown)}"] if unknown else []),
        *([_some(unfit)] if unfit else []),
    ]


def _is_plain(tensor: Tensor) -> bool:
    """Float numbers in memory: neither sparse nor quantized nor on the meta device."""
    on_cpu = tensor.device.type == "cpu"
    return on_cpu and tensor.is_floating_point() and tensor.layout is torch.strided


def _described(tensor: Tensor) -> str:
    kind = str(tensor.dtype).removeprefix("torch.")
    layout = "" if tensor.layout is torch.strided else "sparse "
    return f"{layout}{kind} {'x'.join(map(str, tensor.shape)) or 'scalar'}"


def _some(names: list[str], what: str = "") -> str:
    """Name the first few, count the rest."""
    text = ", ".join(names[:_NAMED_AT_MOST]) or "nothing"
    rest = len(names) - _NAMED_AT_MOST
    return f"{what} {text}{f' and {rest} more' if rest > 0 else ''}".strip()
