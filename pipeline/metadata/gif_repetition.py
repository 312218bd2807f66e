"""How often a GIF plays, and how long its last picture stays: what no packet tells its muxer."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from pipeline.source.source_video import SourceVideo

_ONCE, _FOR_EVER = -1, 0
_LONGEST_DELAY = 65_535
_CODECS = {"gif": "GIF", "apng": "PNG"}


def gif_options(source: SourceVideo) -> dict[str, str]:
    """Options of the muxer: as often as the source, for ever where that is no GIF nor APNG."""
    loop = _FOR_EVER
    if source.info.codec in _CODECS:
        loop = _repetitions(source.path, _CODECS[source.info.codec])
    options = {"loop": str(loop)}
    hundredths = round(100 * source.last_duration * source.info.time_base)
    if hundredths > 0:
        options["final_delay"] = str(min(hundredths, _LONGEST_DELAY))
    return options


def _repetitions(path: Path, picture_format: str) -> int:
    """How often it is played again, as a GIF writes it: -1 not at all, 0 for ever."""
    try:
        with path.open("rb") as file, Image.open(file, formats=(picture_format,)) as picture:
            loop = picture.info.get("loop")
    except (OSError, ValueError, SyntaxError):
        return _FOR_EVER
    if picture_format == "GIF":
        return _ONCE if loop is None else int(loop)
    return int(loop) - 1 or _ONCE if loop else _FOR_EVER  # APNG counts the first time too
