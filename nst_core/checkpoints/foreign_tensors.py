"""Tensors of other programs' checkpoint files, by name.

Tensors are all that is read: nothing is ever unpickled, and no code from a file is run.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from nst_core.checkpoints.info import read_info, refuse_picture
from nst_core.checkpoints.tensorflow_checkpoint import checkpoint_files, read_tensorflow_checkpoint
from nst_core.errors import CheckpointError
from nst_core.file_kinds import kind_of
from nst_core.utf8_paths import utf8_path

_MAX_BYTES = 512 * 2**20
"""Largest file, also once it is unpacked; files of the programs themselves have 7 to 60 MB."""
_DEEPEST = 4
"""Levels of dictionaries that trainers put around a network's tensors."""

KNOWN_FORMATS = (
    "pytorch-examples has tensors such as conv1.conv2d.weight and res1.in1.bias (.pth, .model), "
    "fast-style-transfer such as conv1.weight and conv1.in_shift, or TensorFlow's Variable to "
    "Variable_47 (.ckpt, .npz, .pth)"
)
_ONNX_PRODUCERS = (b"pytorch", b"onnx", b"skl2", b"tf2")
_ONLY_TENSORS = (
    "it holds more than tensors; no code from it was run. Save it anew where it comes from by "
    "torch.save(model.state_dict(), FILE) or numpy.savez of plain arrays; "
    f"if it is another kind of file: {KNOWN_FORMATS}"
)
_OTHER_KINDS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\4\0\0\0\1\0\0\0\3\0\0\0V 1", "a network of Torch 7 (.t7), whose Lua code made it"),
    (0, b"\4\n1\n3\nV 1", "a network of Torch 7 (.t7), whose Lua code made it"),
    (0, b"\3\0\0\0\1\0\0\0", "a table of Torch 7 (.t7), whose Lua code made it"),
    (0, b"\3\n1\n", "a table of Torch 7 (.t7), whose Lua code made it"),
    (0, b"\x89HDF\r\n", "an HDF5 file, as Keras and Chainer write them"),
    (4, b"TFL3", "a network of TensorFlow Lite"),
    (0, b"\x08\1\x12", "a saved graph of TensorFlow (.pb), without the checkpoint it came from"),
    (0, b"GGUF", "a GGUF file"),
)
"""Offset, bytes there, and what such a file is."""


@dataclass(frozen=True)
class ForeignTensors:
    """What a checkpoint file holds."""

    networks: Mapping[str, Mapping[str, Tensor]]
    """Tensors by name, for each dictionary of the file that has some, by the keys around it."""
    file: Path
    """Where the numbers come from: of several files, the one that has them."""


def read_foreign(path: Path) -> ForeignTensors:
    """Read a state dict, safetensors, an .npz, or a checkpoint of TensorFlow.

    Raises CheckpointError, also for what is known to be something else.
    """
    files = checkpoint_files(path)
    if files is None and path.is_dir():
        raise CheckpointError(
            f"{path}: a folder without a checkpoint, or with several; name a file"
        )
    if files is None and not path.is_file():
        raise CheckpointError(f"checkpoint {path}: no such file")
    if files is None:
        _refuse_other_files(path)
    for file in files or (path,):
        _refuse_giants(file)
    if files is not None:
        return ForeignTensors({"": _read_tensorflow(path, files)}, files[-1])
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    content = readers.get(path.suffix.lower(), _read_torch)(path)
    return ForeignTensors(dict(_dictionaries(path, content)), path)


def _dictionaries(path: Path, content: object) -> Iterator[tuple[str, dict[str, Tensor]]]:
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path}: holds a {type(content).__name__}, not tensors by name; {KNOWN_FORMATS}"
        )
    left: list[tuple[str, int, Mapping[object, object]]] = [("", 0, content)]
    while left:
        where, depth, mapping = left.pop(0)
        tensors = {
            str(name): value.detach()
            for name, value in mapping.items()
            if isinstance(value, Tensor) and not value.is_nested
        }
        if tensors:
            yield where, tensors
        left += [
            (f"{where}.{key}".lstrip("."), depth + 1, value)
            for key, value in mapping.items()
            if isinstance(value, Mapping) and depth < _DEEPEST
        ]


def _refuse_other_files(path: Path) -> None:
    """Raise CheckpointError for what users take for a checkpoint by mistake, in a few words."""
    refuse_picture(path)
    if kind_of(path) == "video":
        raise CheckpointError(f"{path}: a video, no checkpoint; `nst stylize video` takes it")
    with path.open("rb") as file:
        start = file.read(64)
    if start[:1] == b"\x08" and any(name in start for name in _ONNX_PRODUCERS):
        raise CheckpointError(
            f"{path}: an ONNX file, which is written here and not read; import the checkpoint that "
            "it was made from"
        )


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


def _read_torch(path: Path) -> object:
    with path.open("rb") as file:
        start = file.read(64)
    for offset, magic, kind in _OTHER_KINDS:
        if start[offset:].startswith(magic):
            raise CheckpointError(f"{path}: {kind}, which cannot be imported; {KNOWN_FORMATS}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a reader of pickles stumbles over in any bytes is open
        if isinstance(error, UnpicklingError) or "TorchScript" in str(error):
            raise CheckpointError(f"{path}: {_ONLY_TENSORS}") from error
        raise _unreadable(path, error) from error


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


def _read_tensorflow(path: Path, files: tuple[Path, ...]) -> dict[str, Tensor]:
    try:
        arrays = read_tensorflow_checkpoint(files)
        return {name: torch.from_numpy(_floats(array)) for name, array in arrays.items()}
    except Exception as error:  # as a reader of tables stumbles over bytes of any kind
        raise _unreadable(path, error) from error


def _floats(array: NDArray[np.generic]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


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
        with utf8_path(path) as name:
            tensors: dict[str, Tensor] = load_file(name)
    except Exception as error:
        raise _unreadable(path, error) from error
    return tensors


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    words = (str(error).strip().splitlines() or [""])[0][:160]
    return CheckpointError(
        f"{path}: damaged, or not a checkpoint ({type(error).__name__} {words}); "
        f"fetch it again: {KNOWN_FORMATS}"
    )
