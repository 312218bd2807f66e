"""What the commands that work through pictures and videos tell at their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.cli import console
from nst_core.wording import counted

if TYPE_CHECKING:
    from jobs.image_report import StylizeImagesReport
    from jobs.stylize_video import StylizeVideoReport


_MOST_LINES = 100


def tell_images(report: StylizeImagesReport, output: str, *, json: bool) -> None:
    """Warnings and errors on stderr; a line of sums on stdout unless that is for JSON."""
    warnings = [f"warning: {each['path']}: {each['warning']}" for each in report.warnings]
    errors = [f"error: {each['error']}" for each in report.failures]
    for lines, count in ((warnings, report.warned), (errors, report.failed)):
        for line in lines[:_MOST_LINES]:
            console.note(_printable(line))
        if count > _MOST_LINES:
            console.note(f"... and {count - _MOST_LINES} more, in {output}/report.json")
    if not json:
        console.say(
            f"{output}: {counted(report.done, 'pictures')} done, {report.reused} reused, "
            f"{report.failed} failed, {report.seconds:.1f} s "
            f"({report.images_per_second:.1f} pictures/s)"
        )


def tell_videos(report: StylizeVideoReport, *, json: bool) -> None:
    """Warnings and errors on stderr; a line for each video on stdout unless that is for JSON."""
    for one in report.inputs:
        for warning in one.warnings:
            console.note(f"warning: {one.input}: {warning}")
        if one.error:
            console.note(f"error: {one.error}")
        elif not json:
            console.say(
                f"{one.output}: {one.status}, "
                f"{one.frames_out} of {counted(one.frames_in, 'frames')}, verified, "
                f"{one.seconds['total']:.1f} s ({one.frames_per_second:.1f} frames/s)"
            )


def _printable(line: str) -> str:
    """Keep a line one line of text, whatever a file is called."""
    escaped = line.replace("\n", "\\n").replace("\r", "\\r")
    return escaped.encode("utf-8", "backslashreplace").decode()


def videos_failed(report: StylizeVideoReport, *, allow_damaged: bool) -> bool:
    """Whether an input failed, or came out damaged where that is not allowed."""
    accepted = {"done", "damaged"} if allow_damaged else {"done"}
    return any(one.status not in accepted for one in report.inputs)
