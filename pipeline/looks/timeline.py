"""A timeline: a text file that says from when to when a film is in which style.

    # a remark
    00:12-00:31  style=pack:wave=0.7,starry_night=0.3 strength=0.8 stroke=1.5
    00:31-       style=udnie mask="the person.mkv" fade=1.5

Entries do not overlap. What none of them covers is as the command line says, and so is what one of
them does not name. A fade lies around a border, half of it on each side.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from nst_core.errors import InputError, NstError
from nst_core.wording import did_you_mean
from pipeline.films.span import time_of, timecode
from pipeline.looks.direction import Moment, Scene

OPTIONS = ("style", "strength", "stroke", "mask", "mask-style", "fade")
_REMARK = re.compile(r"""("[^"]*"|'[^']*')|(?:^|(?<=\s))#.*""")
"""A remark, or what is quoted, in which # is no beginning of one."""

SceneOf = Callable[[dict[str, str]], Scene]
"""Makes a scene of an entry's options, without the fade. Raises InputError."""


@dataclass(frozen=True)
class _Entry:
    line: int
    start: Fraction
    end: Fraction | None
    fade: Fraction
    scene: Scene


def read_timeline(path: Path, base: Scene, scene_of: SceneOf) -> tuple[Moment, ...]:
    """Read a timeline; returns the borders between scenes, the first of them at 0.

    ``base`` is what no entry covers. Raises InputError, with the number of the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"--timeline {path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"--timeline {path}: no text in UTF-8; save it as that") from error
    entries: list[_Entry] = []
    for number, line in enumerate(lines, 1):
        try:
            words = shlex.split(_REMARK.sub(lambda found: found[1] or "", line))
            if words:
                entries.append(_entry(number, words, scene_of))
        except (NstError, ValueError) as error:
            raise InputError(f"{path}: line {number}: {error}") from error
    if not entries:
        raise InputError(f"--timeline {path}: no entry in it; try 00:12-00:31 style=wave")
    entries.sort(key=lambda each: each.start)
    for one, other in pairwise(entries):
        if one.end is None or other.start < one.end:
            raise InputError(
                f"{path}: line {other.line}: it begins at {timecode(other.start)}, before line "
                f"{one.line} has ended; let them meet, and add fade=1 for a crossfade"
            )
    moments = tuple(_moments(entries, base))
    _check_fades(path, moments)
    return moments


def _entry(number: int, words: list[str], scene_of: SceneOf) -> _Entry:
    span, *others = words
    first, dash, last = span.partition("-")
    if not dash:
        raise InputError(f"{span}: from when to when is needed, such as 00:12-00:31, or 00:31-")
    start = time_of("from", first) if first else Fraction(0)
    end = time_of("to", last) if last else None
    assert start is not None
    if end is not None and end <= start:
        raise InputError(f"{span}: it ends before it begins")
    options: dict[str, str] = {}
    for word in others:
        name, equals, value = word.partition("=")
        if name not in OPTIONS or not (equals and value):
            known = ", ".join(OPTIONS) + did_you_mean(name, OPTIONS)
            raise InputError(f"{word}: NAME=VALUE is needed, where NAME is one of {known}")
        if name in options:
            raise InputError(f"{word}: a second {name}; leave one out")
        options[name] = value
    fade = time_of("fade", options.pop("fade", "0"))
    assert fade is not None
    return _Entry(number, start, end, fade, scene_of(options))


def _moments(entries: list[_Entry], base: Scene) -> Iterator[Moment]:
    """Yield where scenes begin; the fade is that of the entry that begins, or else of what ends."""
    if entries[0].start > 0:
        yield Moment(Fraction(0), Fraction(0), base, 0)
    for entry, following in zip(entries, [*entries[1:], None], strict=True):
        fade = entry.fade if entry.start > 0 else Fraction(0)
        yield Moment(entry.start, fade, entry.scene, entry.line)
        if entry.end is not None and (following is None or following.start > entry.end):
            yield Moment(entry.end, entry.fade, base, entry.line)


def _check_fades(path: Path, moments: tuple[Moment, ...]) -> None:
    for one, other in pairwise(moments):
        if (one.fade + other.fade) / 2 > other.start - one.start:
            raise InputError(
                f"{path}: line {other.line}: the fades around {timecode(one.start)} and "
                f"{timecode(other.start)} meet; half of each lies between, so make them shorter"
            )
