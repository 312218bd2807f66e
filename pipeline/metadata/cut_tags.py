"""Tags of a source that is cut: they tell of the part, not of the whole film.

Timecodes of film and tape (SMPTE 12M) are as ``01:00:00:00``, at 29.97 frames ``01:00:00;00``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from pipeline.source.source_video import SourceVideo

_TIMECODE = re.compile(r"(\d+):(\d+):(\d+)([:;.])(\d+)")
_HOURS = 24
_OF_THE_WHOLE = frozenset({"bps", "duration", "number_of_bytes", "number_of_frames"})
"""What Matroska's writers count of a track; some put its language behind, as in ``BPS-eng``."""


def tags_from_cut(tags: Mapping[str, str], source: SourceVideo) -> dict[str, str]:
    """Return the tags that are true of a source's part too, with the timecode of its start."""
    result = dict(tags)
    if source.cut is None:
        return result
    for key, value in tags.items():
        name, _, _ = key.lower().partition("-")
        if name in _OF_THE_WHOLE:
            del result[key]
        elif name == "timecode":
            since = source.cut.start - source.cut.film_start
            result[key] = later(value, since, source.info.rate)
    return result


def later(timecode: str, seconds: Fraction, rate: Fraction) -> str:
    """Return a timecode ``seconds`` later, at ``rate`` frames a second; as it is where it is none.

    With a semicolon, the numbers of the first frames of a minute are left out, but for each tenth:
    so 29.97 frames a second count as 30.
    """
    found = _TIMECODE.fullmatch(timecode)
    each_second = round(rate)
    if not found or not each_second:
        return timecode
    hours, minutes, whole, frame = (int(found[number]) for number in (1, 2, 3, 5))
    left_out = each_second // 15 if found[4] != ":" else 0
    minutes += 60 * hours
    number = (60 * minutes + whole) * each_second + frame - left_out * (minutes - minutes // 10)
    each_minute = 60 * each_second - left_out
    each_ten = 10 * each_minute + left_out
    number = (number + round(seconds * rate)) % (_HOURS * 6 * each_ten)
    tens, rest = divmod(number, each_ten)
    after_first = max(0, rest - left_out) // each_minute
    number += left_out * (9 * tens + after_first)
    whole, frame = divmod(number, each_second)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{found[4]}{frame:02d}"
