"""The sound of a file, read from start to end by FFmpeg's own container reader.

The reference for sound that the program copies or converts: it shares no code with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

_WHOLE_FILE = {"probesize": "1000000000", "analyzeduration": "1000000000"}
"""Sound may begin long after the picture."""


@dataclass(frozen=True)
class Sound:
    """One stream of sound."""

    codec: str
    payload: bytes
    """Hash of its packets' bytes joined, without ADTS headers."""
    samples: NDArray[np.float64]
    """(channels, samples), 1.0 is full scale: exact for integers of up to 32 bits and floats."""
    begins: Fraction | None
    """Seconds from the first picture to its first packet."""
    is_heard: Fraction | None
    """Seconds from the first picture to the first sample that its decoder gives."""


def read_sound(path: Path) -> list[Sound]:
    """Every stream of sound of a file, in order, with all that its decoder gives."""
    with av.open(str(path), metadata_errors="surrogateescape", options=_WHOLE_FILE) as container:
        audio = [stream.index for stream in container.streams.audio]
        payloads = {index: hashlib.sha256() for index in audio}
        pieces: dict[int, list[NDArray[np.float64]]] = {index: [] for index in audio}
        begins: dict[int, Fraction] = {}
        heard: dict[int, Fraction] = {}
        for packet in _packets(container):
            index, codec = packet.stream.index, packet.stream.codec_context
            if packet.size:
                if packet.pts is not None:
                    time = packet.pts * packet.time_base
                    begins[index] = min(time, begins.get(index, time))
                if index in payloads:
                    payloads[index].update(_without_adts(codec.name, bytes(packet)))
            if index in pieces:
                for frame in _decode(codec, packet):
                    if frame.pts is not None:
                        heard.setdefault(index, frame.pts * frame.time_base)
                    pieces[index].append(_samples(frame))
        video = min(begins[s.index] for s in container.streams.video if s.index in begins)
        return [
            Sound(
                container.streams[index].codec_context.name,
                payloads[index].digest(),
                np.concatenate(pieces[index], axis=1) if pieces[index] else np.zeros((0, 0)),
                begins[index] - video if index in begins else None,
                heard[index] - video if index in heard else None,
            )
            for index in audio
        ]


def _packets(container: Any) -> Iterator[Any]:
    try:
        yield from container.demux([*container.streams.audio, *container.streams.video])
    except av.FFmpegError:
        return  # cut short: what came before counts


def _decode(codec: Any, packet: Any) -> list[Any]:
    try:
        return list(codec.decode(packet if packet.size else None))
    except av.FFmpegError:
        return []


def _samples(frame: Any) -> NDArray[np.float64]:
    if frame.format.is_planar and frame.layout.nb_channels >= 8:  # PyAV reads beyond their list
        (frame,) = av.AudioResampler(frame.format.packed.name).resample(frame)
    array: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        array = array.reshape(-1, len(frame.layout.channels)).T
    values = array.astype(np.float64)
    if array.dtype.kind == "f":
        return values
    if array.dtype.kind == "u":
        return (values - 128) / 128
    return values / -float(np.iinfo(array.dtype).min)


def _without_adts(codec: str, data: bytes) -> bytes:
    """MPEG-TS puts a header of 7 bytes before each AAC frame, which other containers leave out."""
    return data[7:] if codec == "aac" and data[:2] in (b"\xff\xf1", b"\xff\xf9") else data
