"""The part of a film that is asked for, by the times of its start and its end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from nst_core.errors import InputError

_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")
_MOST_SIXTIETHS = 60


@dataclass(frozen=True)
class Span:
    """The frames shown from ``start`` up to ``end``, in seconds from where the film begins."""

    start: Fraction = Fraction(0)
    end: Fraction | None = None
    """Exclusive; None: up to the film's end."""

    @property
    def in_report(self) -> dict[str, float | None]:
        """As the reports of commands have it."""
        return {"start": float(self.start), "end": None if self.end is None else float(self.end)}

    def __str__(self) -> str:
        until = "its end" if self.end is None else in_seconds(self.end)
        return f"{in_seconds(self.start)} to {until}"


def time_of(option: str, text: str | None) -> Fraction | None:
    """Read a time: seconds, or a timecode, as ``12.5``, ``00:12`` or ``1:02:03.5``.

    Raises InputError. None stays None.
    """
    if text is None:
        return None
    found = _TIME.fullmatch(text.strip())
    if found:
        hours, minutes, seconds = found.groups()
        in_order = [part for part in (minutes if hours else None, minutes and seconds) if part]
        if all(Fraction(part) < _MOST_SIXTIETHS for part in in_order):
            return 3600 * Fraction(hours or 0) + 60 * Fraction(minutes or 0) + Fraction(seconds)
    raise InputError(
        f"{option} {text}: seconds or a timecode are needed, such as 12.5, 00:12 or 1:02:03.5"
    )


def span_of(start: Fraction | None, end: Fraction | None, duration: Fraction | None) -> Span | None:
    """Return the span of these options; None where none is given. Raises InputError."""
    if start is None and end is None and duration is None:
        return None
    if end is not None and duration is not None:
        raise InputError(
            f"--end {float(end):.10g} with --duration {float(duration):.10g}: "
            "both say where the part ends; give one of them"
        )
    start = start or Fraction(0)
    if start < 0:
        raise InputError(f"--start {float(start):.10g}: 0 or more is needed")
    if duration is not None and duration <= 0:
        raise InputError(f"--duration {float(duration):.10g}: more than 0 is needed")
    end = start + duration if duration is not None else end
    if end is not None and end <= start:
        raise InputError(
            f"--end {float(end):.10g}: it must be later than the start, {in_seconds(start)}"
        )
    return Span(start, end)


def in_seconds(time: Fraction) -> str:
    """Return a time as ``12.5 s``."""
    return f"{float(time):.10g} s"


def timecode(time: Fraction) -> str:
    """Return a time in whole milliseconds, as ``0:07.500`` or ``1:02:03.000``."""
    minutes, milliseconds = divmod(round(time * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{milliseconds / 1000:06.3f}"
    return f"{hours}:{minutes:02}:{seconds}" if hours else f"{minutes}:{seconds}"
