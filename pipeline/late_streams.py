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
from av.container import InputContainer
from av.stream import Stream

_LONGER = tuple(
    {"probesize": str(megabytes << 20), "analyzeduration": str(3600 * 10**6)}
    for megabytes in (16, 64, 256)
)
"""Options for longer probing, which holds what it reads in memory. FFmpeg's own are 5 MB and, by
container, 5 to 90 s."""
_PLACES = 32
_SEEN_AS_WELL = frozenset({"audio", "video", "subtitle"})


def is_unknown(stream: Stream) -> bool:
    """Whether FFmpeg's probing has not met the stream: its rate or size is not known."""
    context: Any = getattr(stream, "codec_context", None)
    if stream.type == "audio":
        return context is not None and not context.sample_rate
    return stream.type == "video" and context is not None and not context.width


def probing_options(name: str) -> dict[str, str]:
    """Options with which FFmpeg knows as many streams of a file as it can: mostly none."""
    path = Path(name)
    if not path.is_file():  # a pipe can be read once; if there is nothing, opening will say so
        return {}
    status = path.stat()
    return _probing_options(name, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _probing_options(name: str, size: int, modified: int) -> dict[str, str]:
    best: dict[str, str] = {}
    unknown = _unknown(name, best)
    for options in _LONGER if unknown else ():
        found = _unknown(name, options)
        if found < unknown:
            best, unknown = options, found
        if not unknown or int(options["probesize"]) >= size:
            break
    return best


def _unknown(name: str, options: dict[str, str]) -> int:
    with (
        suppress(av.FFmpegError, OSError, ValueError),
        av.open(name, metadata_errors="surrogateescape", options=options) as container,
    ):
        return sum(is_unknown(stream) for stream in container.streams)
    return 0


def only_data_begins_later(container: InputContainer) -> bool:
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
            av.open(container.name, metadata_errors="surrogateescape", options=options) as part,
        ):
            kinds |= {stream.type for stream in part.streams if stream.id not in known}
    return bool(kinds) and not kinds & _SEEN_AS_WELL
