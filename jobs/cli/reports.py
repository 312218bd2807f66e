"""What the commands that work through pictures and videos tell at their end."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from jobs.cli import console
from nst_core.wording import counted

if TYPE_CHECKING:
    from jobs.image_report import StylizeImagesReport
    from jobs.stylize_video import StylizeVideoReport


_MOST_REASONS = 20
_MOST_ALIKE = 5
"""Lines that differ in nothing but the picture."""
_LISTED = "(report.json or --report FILE lists them)"


def tell_images(report: StylizeImagesReport, output: str, *, json: bool) -> None:
    """Warnings and errors on stderr; a line of sums on stdout unless that is for JSON."""
    _note_all("warning", [(each["path"], each["warning"]) for each in report.warnings])
    _note_all("error", [(each["path"], each["error"]) for each in report.failures])
    if not json:
        console.say(
            f"{output}: {counted(report.done, 'pictures')} done, {report.reused} reused, "
            f"{report.failed} failed, {report.seconds:.1f} s "
            f"({report.images_per_second:.1f} pictures/s)"
        )


def _note_all(kind: str, told: list[tuple[str, str]]) -> None:
    """Tell a few of those that differ in nothing but the picture, and how many more there are."""
    alike: dict[str, list[str]] = {}
    for path, text in told:
        reason = text.removeprefix(f"{path}: ")
        whole = f"{path}: {text}" if kind == "warning" else text
        alike.setdefault(reason, []).append(whole)
    for reason, lines in islice(alike.items(), _MOST_REASONS):
        shown = lines if len(lines) <= _MOST_ALIKE else lines[:1]
        for line in shown:
            console.note(_printable(f"{kind}: {line}"))
        if len(shown) < len(lines):
            more = counted(len(lines) - 1, "pictures")
            console.note(_printable(f"{kind}: the same of {more} more: {reason} {_LISTED}"))
    if len(alike) > _MOST_REASONS:
        rest = sum(map(len, islice(alike.values(), _MOST_REASONS, None)))
        console.note(f"{kind}: the like of {counted(rest, 'pictures')} more {_LISTED}")


def tell_videos(report: StylizeVideoReport, *, json: bool) -> None:
    """Warnings and errors on stderr; a line for each video on stdout unless that is for JSON."""
    for one in report.inputs:
        for warning in one.warnings:
            console.warn(f"{one.input}: {warning}")
        if one.error:
            console.note(f"error: {one.error}")
        elif not json:
            took = f"{one.seconds['total']:.1f} s ({one.frames_per_second:.1f} frames/s)"
            console.say(
                f"{one.output}: {one.status}, "
                f"{one.frames_out} of {counted(one.frames_in, 'frames')}, verified, "
                f"{'was there already' if one.reused else took}"
            )


def _printable(line: str) -> str:
    """Keep a line one line of text, whatever a file is called."""
    escaped = line.replace("\n", "\\n").replace("\r", "\\r")
    return escaped.encode("utf-8", "backslashreplace").decode()


def videos_failed(report: StylizeVideoReport, *, allow_damaged: bool) -> bool:
    """Whether an input failed, or came out damaged where that is not allowed."""
    accepted = {"done", "damaged"} if allow_damaged else {"done"}
    return any(one.status not in accepted for one in report.inputs)
