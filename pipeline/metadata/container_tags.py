"""Tags of a file as a whole, and which of them a muxer keeps: makers have keys of their own."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import av
from av.container import InputContainer

from pipeline.source.media_file import open_source

_OF_THE_CONTAINER = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})
_MOST_TOLD = 8
ANY_KEY = "use_metadata_tags"
"""Flag of the muxers of mp4 and mov: any key goes in, as QuickTime has it."""


def tags_to_keep(original: InputContainer) -> dict[str, str]:
    """All tags but those that each muxer writes about itself."""
    items = original.metadata.items()
    return {key: value for key, value in items if key.lower() not in _OF_THE_CONTAINER}


def needs_any_key(tags: Mapping[str, str], muxer: str) -> bool:
    """Whether mp4 or mov would drop some of the tags without the flag ANY_KEY."""
    file = io.BytesIO()
    with av.open(file, "w", format=muxer, metadata_errors="surrogateescape") as trial:
        stream = trial.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        trial.metadata.update(tags)
        trial.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        trial.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r", metadata_errors="surrogateescape") as trial:
        return bool(_lost(tags, trial.metadata))


def words_for_lost_tags(tags: Mapping[str, str], written: Path, muxer: str) -> list[str]:
    """Say which tags a written file does not have."""
    with open_source(written) as container:
        lost = _lost(tags, container.metadata)
    if not lost:
        return []
    more = f" and {len(lost) - _MOST_TOLD} more" if len(lost) > _MOST_TOLD else ""
    names = ", ".join(lost[:_MOST_TOLD])
    return [f"{muxer} does not hold all of its tags: {names}{more} left out"]


def _lost(tags: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    there = {_plain(key) for key in found}
    return [key for key, value in tags.items() if value and _plain(key) not in there]


def _plain(key: str) -> str:
    """Matroska's writer makes TWO_WORDS of two words."""
    return key.lower().replace(" ", "_")
