"""Checkpoints of two popular programs, read as generators of ours.

Tensors are all that is read: nothing is ever unpickled, and no code from a file is run. Shapes
are compared with the network's before a number is touched, so that a file cannot ask for more
memory than its network needs.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nst_core.checkpoint import ARCHITECTURES
from nst_core.checkpoint_info import CheckpointInfo, fingerprint, read_info
from nst_core.errors import CheckpointError

ForeignFormat = Literal["pytorch-examples", "fast-style-transfer"]

_MAX_BYTES = 512 * 2**20
"""Of a file, and of what a compressed one unfolds to: the programs' own have 7 to 20 MB."""
_MAX_WIDTH = 256
_NAMED_AT_MOST = 3

_BOTH_FORMATS = (
    "pytorch-examples has tensors such as conv1.conv2d.weight and res1.in1.bias (.pth, .model), "
    "fast-style-transfer such as conv1.weight and conv1.in_shift, or TensorFlow's Variable to "
    "Variable_47 (.npz, .pth)"
)
_ONLY_TENSORS = (
    "it holds more than tensors; no code from it was run. Save it anew where it comes from by "
    "torch.save(model.state_dict(), FILE) or numpy.savez of plain arrays; "
    f"if it is another kind of file: {_BOTH_FORMATS}"
)
_NETWORK_PREFIX = re.compile(r"^((module|_orig_mod)\.)+")
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
) -> tuple[nn.Module, CheckpointInfo]:
    """Read a checkpoint of PyTorch's fast neural style example or of fast-style-transfer.

    ``path`` is a state dict (.pth, .pt, .model: whatever torch.save wrote; .safetensors) or an
    .npz of arrays. The generator comes on the CPU, in float32 and evaluation mode; ``training``
    of its info has file name, format and SHA-256.
    Raises CheckpointError: not a checkpoint of that format, damaged, or more than tensors.
    """
    tensors = _read_tensors(path)
    found = _recognized(tensors)
    if found is None:
        raise CheckpointError(
            f"{path}: {_some(list(tensors), 'tensors')}: of no format that can be imported; "
            f"{_BOTH_FORMATS}"
        )
    if format not in ("auto", found):
        raise CheckpointError(
            f"{path}: its tensors are named as those of {found}, not of {format}; "
            f"leave --format out, or give --format {found}"
        )
    generator = _fill(path, found, _CONVERTERS[found](tensors))
    training = {"imported_from": path.name, "format": found, "sha256": fingerprint(path)}
    return generator.eval(), CheckpointInfo(found, {"width": generator.width}, training)


def _recognized(tensors: Mapping[str, Tensor]) -> ForeignFormat | None:
    if any(".conv2d." in name for name in tensors):
        return "pytorch-examples"
    if any(name.endswith((".in_shift", ".in_scale")) for name in tensors):
        return "fast-style-transfer"
    return None


# Reading


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name, without the prefixes that wrappers put before it."""
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path}: no such file")
    _refuse_giants(path)
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    tensors = readers.get(path.suffix.lower(), _read_torch)(path)
    named = {_NETWORK_PREFIX.sub("", name): tensor for name, tensor in tensors.items()}
    return _with_layer_names(named)


def _refuse_giants(path: Path) -> None:
    size = path.stat().st_size
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = max(size, sum(entry.file_size for entry in archive.infolist()))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise CheckpointError(f"{path}: a damaged archive ({error}); fetch it again") from error
    if size > _MAX_BYTES:
        raise CheckpointError(
            f"{path}: {size // 2**20} MiB of tensors; at most {_MAX_BYTES // 2**20} are read, "
            "and a generator has about 7: import the generator alone"
        )


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a reader of pickles stumbles over in any bytes is open
        if isinstance(error, UnpicklingError) or "TorchScript" in str(error):
            raise CheckpointError(f"{path}: {_ONLY_TENSORS}") from error
        raise _unreadable(path, error) from error
    return _state_dict(path, content)


def _state_dict(path: Path, content: object) -> dict[str, Tensor]:
    """Find the tensors under the keys that trainers put around them."""
    for key in ("model", "state_dict", "model"):  # either in the other
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path}: holds a {type(content).__name__}, not tensors by name; {_BOTH_FORMATS}"
        )
    return {
        str(name): value.detach()
        for name, value in content.items()
        if isinstance(value, Tensor) and not value.is_nested
    }


def _read_npz(path: Path) -> dict[str, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as archive, np.errstate(over="ignore"):
            arrays = {name: archive[name] for name in archive.files}
            floats = {n: a.astype(np.float32) for n, a in arrays.items() if a.dtype.kind == "f"}
    except Exception as error:
        if isinstance(error, ValueError) and "pickle" in str(error):
            raise CheckpointError(f"{path}: {_ONLY_TENSORS}") from error
        raise _unreadable(path, error) from error
    return {name: torch.from_numpy(array) for name, array in floats.items()}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        info = read_info(path)
    except CheckpointError:
        pass  # not ours, as it should be
    else:
        raise CheckpointError(
            f"{path}: already a checkpoint of nst ({info.architecture}); "
            "no import is needed: name it after --style"
        )
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except Exception as error:
        raise _unreadable(path, error) from error
    return tensors


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    words = (str(error).strip().splitlines() or [""])[0][:160]
    return CheckpointError(
        f"{path}: damaged, or not a checkpoint ({type(error).__name__} {words}); "
        f"fetch it again: {_BOTH_FORMATS}"
    )


def _with_layer_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """``res1/1/weight:0`` to ``res1.1.weight``, and TensorFlow's numbered variables likewise.

    fast-style-transfer does not name its variables: TensorFlow numbers them as they are made,
    for each layer weight, shift, scale. Beside them are the optimizer's.
    """
    dotted = {name.removesuffix(":0").replace("/", "."): t for name, t in tensors.items()}
    if "Variable" not in dotted:
        return dotted
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
    """Old files carry running statistics, which their instance normalisation never used."""
    return {n: t for n, t in tensors.items() if not _RUNNING_STATISTICS.search(n)}


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
_FIRST_WEIGHT: dict[ForeignFormat, str] = {
    "pytorch-examples": "conv1.conv2d.weight",
    "fast-style-transfer": "conv1.weight",
}


def _fill(path: Path, architecture: ForeignFormat, tensors: dict[str, Tensor]) -> nn.Module:
    first = tensors.get(_FIRST_WEIGHT[architecture])
    width = first.shape[0] if first is not None and first.ndim == 4 else 32
    if not 1 <= width <= _MAX_WIDTH:
        raise CheckpointError(
            f"{path}: {architecture} of width {width}; 1 to {_MAX_WIDTH} are allowed, usual is 32"
        )
    with torch.device("meta"):
        needed = ARCHITECTURES[architecture](width=width).state_dict()
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
    generator = ARCHITECTURES[architecture](width=width)
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
