"""Tensors of TensorFlow's checkpoints, read without TensorFlow.

Both kinds are sorted string tables, as LevelDB's. That of ``.ckpt`` files (version 1, a single
file) holds the numbers; that of ``.index`` files (version 2) says where they lie in the
``.data-00000-of-00001`` beside it. Records are protocol buffers; the fields read here are named
after tensorflow/core/protobuf/tensor_bundle.proto and core/util/saved_tensor_slice.proto.
"""

from __future__ import annotations

import glob
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Message = Mapping[int, list[int | bytes]]
"""Values by field number: varints as numbers, all others as bytes."""

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER, _TRAILER = 48, 5
_PLAIN, _SNAPPY = 0, 1
_TYPES = {1: "<f4", 2: "<f8", 19: "<f2"}
"""By numbers of tensorflow/core/framework/types.proto. Whole numbers count steps: left out."""
_FLOAT_VALUES, _DOUBLE_VALUES = 5, 6
_LARGEST_BLOCK = 2**28


def checkpoint_files(path: Path) -> tuple[Path, ...] | None:
    """Return the files that hold the numbers of what ``path`` names, the table first.

    It is a file of either version, the common beginning of several (``fns.ckpt``), or the folder
    of one checkpoint. None for what is no checkpoint of TensorFlow.
    """
    if path.is_dir():
        found = {checkpoint_files(file) for file in path.iterdir() if file.is_file()} - {None}
        return found.pop() if len(found) == 1 else None
    name = re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path.name)
    index, single = path.with_name(f"{name}.index"), path.with_name(name)
    if index.is_file() and not single.is_file():
        return (index, *sorted(path.parent.glob(f"{glob.escape(name)}.data-*-of-*")))
    return (single,) if single.is_file() and _is_table(single) else None


def read_tensorflow_checkpoint(files: tuple[Path, ...]) -> dict[str, NDArray[np.generic]]:
    """Return the tensors of what checkpoint_files has found, by their names.

    Raises ValueError, and other errors of parsing, for a damaged one.
    """
    table = files[0].read_bytes()
    entries = dict(_entries(table))
    head = _message(entries.pop(b"", b""))
    if len(files) > 1 or files[0].suffix == ".index":
        return _of_bundle(entries, head, files[1:])
    return _of_slices(entries, head)


def _is_table(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(_MAGIC)))
        return file.read() == _MAGIC


# Tables


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values: the index block names blocks, and these hold entries."""
    if len(table) < _FOOTER or not table.endswith(_MAGIC):
        raise ValueError("its table is cut off")
    footer = _Reader(table[-_FOOTER:])
    footer.varint(), footer.varint()  # the block of no use here
    for _, handle in _entries_of(_block(table, footer.varint(), footer.varint())):
        place = _Reader(handle)
        yield from _entries_of(_block(table, place.varint(), place.varint()))


def _block(table: bytes, offset: int, size: int) -> bytes:
    if offset + size + _TRAILER > len(table):
        raise ValueError("its table is cut off")
    content, kind = table[offset : offset + size], table[offset + size]
    if kind == _SNAPPY:
        return _unpacked(content)
    if kind != _PLAIN:
        raise ValueError(f"a block of compression {kind}")
    return content


def _entries_of(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    restarts = int.from_bytes(block[-4:], "little")
    reader = _Reader(block[: len(block) - 4 * (restarts + 1)])
    key = b""
    while reader.left:
        shared, fresh, length = reader.varint(), reader.varint(), reader.varint()
        key = key[:shared] + reader.bytes(fresh)
        yield key, reader.bytes(length)


def _unpacked(packed: bytes) -> bytes:
    """Undo Snappy: pieces of its own, and repetitions of what was before."""
    reader = _Reader(packed)
    length = reader.varint()
    if length > _LARGEST_BLOCK:
        raise ValueError(f"a block of {length} bytes")
    out = bytearray()
    while reader.left:
        tag = reader.bytes(1)[0]
        if tag & 3 == 0:
            size = (tag >> 2) + 1
            if size > 60:
                size = int.from_bytes(reader.bytes(size - 60), "little") + 1
            out += reader.bytes(size)
            continue
        if tag & 3 == 1:
            size, back = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | reader.bytes(1)[0]
        else:
            size = (tag >> 2) + 1
            back = int.from_bytes(reader.bytes(2 if tag & 3 == 2 else 4), "little")
        if not 0 < back <= len(out) or len(out) + size > length:
            raise ValueError("a compressed block is damaged")
        piece = bytes(out[-back:])
        out += (piece * (size // back + 1))[:size]
    if len(out) != length:
        raise ValueError("a compressed block is damaged")
    return bytes(out)


# Protocol buffers


@dataclass
class _Reader:
    """Reads numbers and bytes one after the other. Raises ValueError beyond the end."""

    content: bytes
    place: int = 0

    @property
    def left(self) -> int:
        return len(self.content) - self.place

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.bytes(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def bytes(self, count: int) -> bytes:
        if count > self.left:
            raise ValueError("a record is cut off")
        self.place += count
        return self.content[self.place - count : self.place]


def _message(content: bytes) -> Message:
    reader, fields = _Reader(content), defaultdict[int, list[int | bytes]](list)
    while reader.left:
        tag = reader.varint()
        match tag & 7:
            case 0:
                fields[tag >> 3].append(reader.varint())
            case 1:
                fields[tag >> 3].append(reader.bytes(8))
            case 2:
                fields[tag >> 3].append(reader.bytes(reader.varint()))
            case 5:
                fields[tag >> 3].append(reader.bytes(4))
            case kind:
                raise ValueError(f"a field of wire type {kind}")
    return fields


def _number(message: Message, field: int) -> int:
    value = message.get(field, [0])[-1]
    return value if isinstance(value, int) else 0


def _bytes(message: Message, field: int) -> bytes:
    value = message.get(field, [b""])[-1]
    return value if isinstance(value, bytes) else b""


def _messages(message: Message, field: int) -> Iterator[Message]:
    for value in message.get(field, ()):
        if isinstance(value, bytes):
            yield _message(value)


def _shape(content: bytes) -> tuple[int, ...]:
    return tuple(_number(dimension, 1) for dimension in _messages(_message(content), 2))


# Version 2


def _of_bundle(
    entries: Mapping[bytes, bytes], header: Message, shards: tuple[Path, ...]
) -> dict[str, NDArray[np.generic]]:
    if _number(header, 1) != len(shards):
        raise ValueError(
            f"it has {_number(header, 1)} files of data (.data-00000-of-...), and {len(shards)} "
            "lie beside its index"
        )
    contents = [shard.read_bytes() for shard in shards]
    found = {}
    for key, value in entries.items():
        entry = _message(value)
        if entry.get(7):
            raise ValueError(f"{key.decode()} is stored in slices")
        shard, offset, size = (_number(entry, field) for field in (3, 4, 5))
        if shard >= len(contents) or offset + size > len(contents[shard]):
            raise ValueError("its data are cut off")
        kind = _TYPES.get(_number(entry, 1))
        if kind is not None:
            numbers = np.frombuffer(contents[shard][offset : offset + size], dtype=kind)
            found[key.decode()] = numbers.reshape(_shape(_bytes(entry, 2)))
    return found


# Version 1


def _of_slices(entries: Mapping[bytes, bytes], head: Message) -> dict[str, NDArray[np.generic]]:
    """Read SavedTensorSlices: the first entry's has names and shapes, the others' numbers."""
    shapes = {}
    for meta in _messages(head, 1):
        for tensor in _messages(meta, 1):
            shapes[_bytes(tensor, 1).decode()] = _shape(_bytes(tensor, 2))
    found = {}
    for value in entries.values():
        for data in _messages(_message(value), 2):
            name = _bytes(data, 1).decode()
            numbers = _numbers(_message(_bytes(data, 3)))
            if numbers is None:
                continue
            if numbers.size != math.prod(shapes.get(name, (-1,))):
                raise ValueError(f"{name} is stored in slices, or is damaged")
            found[name] = numbers.reshape(shapes[name])
    return found


def _numbers(tensor: Message) -> NDArray[np.generic] | None:
    """Return the floating-point numbers of a TensorProto, in one dimension."""
    for field, kind in ((_FLOAT_VALUES, "<f4"), (_DOUBLE_VALUES, "<f8")):
        pieces = [value for value in tensor.get(field, ()) if isinstance(value, bytes)]
        if pieces:
            return np.frombuffer(b"".join(pieces), dtype=kind)
    return None
