"""Streams that begin after FFmpeg's probing, as sound does in recordings.

FFmpeg looks at the first seconds of a file. Of a stream that begins later it then knows neither
rate nor size, or not even that it exists.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.stream import Stream

from pipeline.storage.remote_file import RemoteFile

_LONGER = tuple(
    {"probesize": str(megabytes << 20), "analyzeduration": str(3600 * 10**6)}
    for megabytes in (16, 64, 256)
)
"""Options for longer probing, which holds what it reads in memory. FFmpeg's own are 5 MB and, by
container, 5 to 90 s."""
_WITHOUT_HEADER = frozenset({"flv", "mpeg"})
"""Formats that do not tell their streams beforehand."""
_LONGEST_PACKET = 192
_PACKETS_AT_ONCE = 1 << 18
_PLACES = 32
_SEEN_AS_WELL = frozenset({"audio", "video", "subtitle"})


def is_unknown(stream: Stream) -> bool:
    """Whether FFmpeg's probing has not met the stream: its rate or size is not known."""
    context: Any = getattr(stream, "codec_context", None)
    if stream.type == "audio":
        return context is not None and not context.sample_rate
    return stream.type == "video" and context is not None and not context.width


def open_with(path: Path, options: dict[str, str]) -> InputContainer:
    """Open a media file with options of FFmpeg's. Raises what PyAV raises."""
    # Absolute, for FFmpeg takes what is before a colon for a protocol. Strict, the default, raises
    # UnicodeDecodeError at the first Latin-1 tag.
    file = path.open() if isinstance(path, RemoteFile) else str(path.absolute())
    return av.open(file, metadata_errors="surrogateescape", options=options)


def probing_options(path: Path) -> dict[str, str]:
    """Options with which FFmpeg knows as many streams of a file as it can: mostly none."""
    if not path.is_file():  # a pipe can be read once; if there is nothing, opening will say so
        return {}
    status = path.stat()
    return _probing_options(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _probing_options(path: Path, size: int, modified: int) -> dict[str, str]:
    best: dict[str, str] = {}
    unknown = _unknown(path, best)
    for options in _LONGER if unknown else ():
        found = _unknown(path, options)
        if found < unknown:
            best, unknown = options, found
        if not unknown or int(options["probesize"]) >= size:
            break
    return best


def _unknown(path: Path, options: dict[str, str]) -> int:
    with (
        suppress(av.FFmpegError, OSError, ValueError),
        open_with(path, options) as container,
    ):
        unknown = sum(is_unknown(stream) for stream in container.streams)
        if container.format.name in _WITHOUT_HEADER:
            unknown += _meets_others(container)
        return unknown
    return 0


def _meets_others(container: InputContainer) -> bool:
    """Read a file to its end, or to packets of streams that PyAV does not know."""
    try:
        for _ in container.demux(container.streams[0]):
            pass
    except IndexError:
        return True
    return False


def has_late_pids(path: Path, container: InputContainer) -> bool:
    """Whether a transport stream carries picture or sound that FFmpeg has not met, by its PIDs."""
    if container.format.name != "mpegts":
        return False
    known = {stream.id for stream in container.streams}
    with path.open("rb") as file:
        start = file.read(_LONGEST_PACKET + 1)
        length, offset = (188, 0) if start[188:189] == b"G" else (_LONGEST_PACKET, 4)
        file.seek(0)
        while packets := file.read(_PACKETS_AT_ONCE * length):
            if not known.issuperset(_carrying_pids(packets, length, offset)):
                return True
    return False


def _carrying_pids(data: bytes, length: int, offset: int) -> set[int]:
    """PIDs of the packets in which picture or sound of MPEG's kinds, or AC-3, begins a new part."""
    whole = len(data) // length * length
    packets = np.frombuffer(data[:whole], np.uint8).reshape(-1, length)[:, offset:]
    packets = packets[(packets[:, 0] == 0x47) & (packets[:, 1] & 0x40 != 0)]
    has_field = packets[:, 3] & 0x20 != 0
    place = np.where(has_field, 5 + packets[:, 4].astype(np.int64), 4).clip(max=180)
    rows = np.arange(len(packets))
    begins = (packets[rows, place] == 0) & (packets[rows, place + 1] == 0)
    begins &= packets[rows, place + 2] == 1
    kind = packets[rows, place + 3]
    inside = (place + 9 + packets[rows, np.minimum(place + 8, 187)]).clip(max=186)
    is_ac3 = (packets[rows, inside] == 0x0B) & (packets[rows, inside + 1] == 0x77)
    is_known_kind = ((kind >= 0xC0) & (kind <= 0xEF)) | ((kind == 0xBD) & is_ac3)
    carries = begins & (packets[:, 3] & 0x10 != 0) & is_known_kind
    pids = (packets[:, 1].astype(int) & 0x1F) << 8 | packets[:, 2]
    return set(np.unique(pids[carries]).tolist())


def only_data_begins_later(path: Path, container: InputContainer) -> bool:
    """Whether what begins later in a file is neither picture nor sound nor subtitles.

    Looked for by opening it at several places.
    """
    known = {stream.id for stream in container.streams}
    kinds: set[str] = set()
    size = container.size
    for place in range(1, _PLACES):
        options = {"skip_initial_bytes": str(size * place // _PLACES)}
        with (
            suppress(av.FFmpegError, OSError, ValueError),
            open_with(path, options) as part,
        ):
            kinds |= {stream.type for stream in part.streams if stream.id not in known}
    return bool(kinds) and not kinds & _SEEN_AS_WELL
