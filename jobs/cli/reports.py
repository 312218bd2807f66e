"""What the commands that work through pictures and videos tell at their end."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING

from jobs.cli import console
from nst_core.pictures.formats import PICTURE_SUFFIXES
from nst_core.wording import counted

if TYPE_CHECKING:
    from pipeline.films.report import StylizeVideoReport
    from pipeline.pictures.report import StylizeImagesReport


_MOST_REASONS = 20
_MOST_ALIKE = 5
"""Lines that differ in nothing but the file."""
_OF_THE_RUN = "exists and "
"""Beginning of a reason that lies in this run's options, not in one of the files."""
_LISTED = {"pictures": "(report.json or --report FILE lists them)", "films": "(--json lists them)"}
_ELLIPSIS = "..."


def tell_images(report: StylizeImagesReport, output: str, *, json: bool) -> None:
    """Warnings and errors on stderr; a line of sums on stdout unless that is for JSON."""
    warnings = [(each["path"], f"{each['path']}: {each['warning']}") for each in report.warnings]
    note_all("warning", warnings, "pictures")
    failures = [(each["path"], each["error"]) for each in report.failures]
    note_all("error", failures, "pictures")
    if not json:
        rate = f" ({console.a_second(report.images_per_second, 'pictures')})" if report.done else ""
        how = f", {report.engine}" if report.engine.startswith("hybrid") else ""
        each = report.styles_per_image
        styles = f" in {counted(each, 'styles')}" if each > 1 else ""
        console.say(
            f"{_written(output, each)}: {counted(report.done, 'pictures')}{styles} done, "
            f"{report.reused} reused, {report.failed} failed, {report.seconds:.1f} s{rate}{how}"
        )
        for carried in report.annotations:
            left_out = counted(carried.left_out, "annotated pictures")
            console.say(
                f"{carried.output}: {counted(carried.annotations, 'annotations')} of "
                f"{counted(carried.images, 'pictures')}; {left_out} without an output"
            )
    if report.untried:
        left = counted(report.untried, "pictures")
        console.note(
            f"error: {counted(report.failed, 'pictures')} failed, more than --max-failures allows; "
            f"{left} not tried: the same command goes on with them"
        )


def _written(output: str, styles: int) -> str:
    """Name what was written: a folder, or the pictures that one source has become."""
    stem, suffix = os.path.splitext(output)  # noqa: PTH122 - it may be a URI
    is_picture = suffix.lower() in PICTURE_SUFFIXES and not os.path.isdir(output)  # noqa: PTH112
    return f"{stem}-*{suffix}" if styles > 1 and is_picture else output


def note_all(kind: str, told: list[tuple[str, str]], things: str) -> None:
    """Tell a few of those that differ in nothing but the file, and how many more there are."""
    alike: dict[str, list[str]] = {}
    for path, line in told:
        alike.setdefault(_reason(path, line), []).append(line)
    for reason, lines in islice(alike.items(), _MOST_REASONS):
        is_singly = len(lines) <= (1 if reason.startswith(_OF_THE_RUN) else _MOST_ALIKE)
        for line in lines if is_singly else ():
            console.note(_printable(f"{kind}: {line}"))
        if not is_singly:
            others = f"{counted(len(lines) - 1, things)} more for the same reason"
            more = f"and {others} {_LISTED[things]}"
            console.note(_printable(f"{kind}: {lines[0]}; {more}"))
    if len(alike) > _MOST_REASONS:
        rest = sum(map(len, islice(alike.values(), _MOST_REASONS, None)))
        console.note(f"{kind}: the like of {counted(rest, things)} more {_LISTED[things]}")


def _reason(path: str, line: str) -> str:
    """Return what a line says but for the file's path, and that of its output.

    There may be a million lines: no pattern is compiled for each.
    """
    line, stem = line.replace(path, _ELLIPSIS), PurePath(path).stem
    start = line.find(stem)
    while start >= 0:
        left, end = line.rfind(" ", 0, start) + 1, start + len(stem)
        is_name = start == left or line[start - 1] == "/"
        end = line.find(" ", end) if " " in line[end:] else len(line)
        if is_name and "." in line[start + len(stem) : end]:  # with its ending
            line, end = f"{line[:left]}{_ELLIPSIS}{line[end:]}", left + len(_ELLIPSIS)
        start = line.find(stem, max(end, start + 1))
    return line.removeprefix(_ELLIPSIS).removeprefix(": ").strip()


def tell_videos(report: StylizeVideoReport, *, json: bool) -> None:
    """Warnings and errors on stderr; a line for each video on stdout unless that is for JSON."""
    for one in report.inputs:
        for warning in one.warnings:
            console.warn(f"{one.input}: {warning}")
        if not one.error and not json:
            rate = console.a_second(one.frames_per_second, "frames")
            took = f"{one.seconds['total']:.1f} s ({rate})"
            console.say(
                f"{one.output}: {one.status}, "
                f"{one.frames_out} of {counted(one.frames_in, 'frames')}, verified, "
                f"{'was there already' if one.reused else took}"
            )
    if report.not_films:
        from pipeline.films.report import skipped_in_words

        console.hint(_printable(skipped_in_words(report.not_films)))
    errors = dict.fromkeys((one.input, one.error) for one in report.inputs if one.error)
    note_all("error", [(path, error) for path, error in errors if error], "films")


def tell_pipe(report: StylizeVideoReport) -> None:
    """Warnings, an error and a line of sums on stderr: stdout is the stream."""
    (one,) = report.inputs
    for warning in one.warnings:
        console.warn(f"{one.input}: {warning}")
    if one.error:
        console.note(f"error: {one.error}")
        return
    rate = console.a_second(one.frames_per_second, "frames")
    console.hint(f"{counted(one.frames_out, 'frames')}, {one.seconds['total']:.1f} s ({rate})")


def _printable(line: str) -> str:
    """Keep a line one line of text, whatever a file is called."""
    escaped = line.replace("\n", "\\n").replace("\r", "\\r")
    return escaped.encode("utf-8", "backslashreplace").decode()


def videos_failed(report: StylizeVideoReport, *, allow_damaged: bool) -> bool:
    """Whether an input failed, or came out damaged where that is not allowed."""
    accepted = {"done", "damaged"} if allow_damaged else {"done"}
    return any(one.status not in accepted for one in report.inputs)
