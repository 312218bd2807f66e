"""`nst bench`: what the program costs on this machine, beside what others do."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.benchmark.registry import (
    MACHINE,
    SECTIONS,
    SectionFailure,
    chosen_sections,
    run_sections,
)
from jobs.benchmark.settings import BenchSettings
from jobs.cli import console, options
from jobs.cli.spec_options import from_specifications
from jobs.specs.flat import Given
from nst_core import __version__
from nst_core.errors import InputError
from nst_core.files import write_whole

if TYPE_CHECKING:
    from jobs.benchmark.section import Section


@from_specifications(
    {"video": {"metavar": "FILE"}, "photos": {"metavar": "DIR"}}, without="folder tell"
)
def bench(
    given: Given[BenchSettings],
    only: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Measure this alone; may be given again: {', '.join((MACHINE, *SECTIONS))}.",
            metavar="SECTION",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the Markdown here too.", metavar="FILE"),
    ] = None,
    json: options.Json = False,
) -> None:
    """Measure this machine: engines, whole commands, memory, training.

    Prints Markdown tables. What is compared takes turns within this one run; the ratios count, not
    the seconds. Nothing else should keep the machine busy meanwhile.

    Example: nst bench --quick -o bench.md

    Example: nst bench --only engines --only peers --json
    """
    names = chosen_sections(only or [])
    with tempfile.TemporaryDirectory(prefix="nst-bench-") as folder:
        settings = given.build(folder=Path(folder), tell=console.note)
        _check_files(settings, output)
        failed = _run(names, settings, output, json=json)
    if failed:
        raise typer.Exit(console.SOME_FAILED)


def _run(names: list[str], settings: BenchSettings, output: Path | None, *, json: bool) -> bool:
    """Measure and print; returns whether a section failed."""
    from jobs.benchmark.machine import describe_machine
    from jobs.benchmark.rendering import machine_markdown

    machine = describe_machine()
    told = _Told(machine_markdown(machine), aloud=not json)
    results = []
    for result in run_sections(names, settings):
        results.append(result)
        told.add(result)
    fields = _fields(machine, settings, results)
    console.report(fields, as_json=json)
    if output is not None:
        write_whole(output, told.text)
    return any(isinstance(result, SectionFailure) for result in results)


class _Told:
    """The Markdown so far; said at once, so that an interrupted run leaves what it has."""

    def __init__(self, first: str, *, aloud: bool) -> None:
        self._aloud = aloud
        self.text = ""
        self._say(first)

    def add(self, result: Section | SectionFailure) -> None:
        from jobs.benchmark.rendering import section_markdown

        if isinstance(result, SectionFailure):
            console.note(f"error: {result.key}: {result.error}")
            self._say(f"**{result.key} failed**: {result.error}\n")
        else:
            self._say(section_markdown(result))

    def _say(self, markdown: str) -> None:
        self.text += markdown + "\n"
        if self._aloud:
            console.say(markdown)


def _fields(
    machine: dict[str, str | int | float],
    settings: BenchSettings,
    results: list[Section | SectionFailure],
) -> dict[str, Any]:
    from jobs.benchmark.rendering import section_fields

    sections = [section_fields(one) for one in results if not isinstance(one, SectionFailure)]
    failures = [
        {"section": one.key, "error": one.error}
        for one in results
        if isinstance(one, SectionFailure)
    ]
    return {
        "machine": machine,
        "nst": __version__,
        "quick": settings.quick,
        "sections": sections,
        "failures": failures,
    }


def _check_files(given: BenchSettings, output: Path | None) -> None:
    """Before an hour's work. Raises InputError."""
    if given.video is not None and not given.video.is_file():
        raise InputError(f"--video {given.video}: no such file")
    if given.photos is not None and not given.photos.is_dir():
        raise InputError(f"--photos {given.photos}: no such folder")
    if output is not None and (output.is_dir() or not output.absolute().parent.is_dir()):
        raise InputError(f"-o {output}: a file in a folder that exists is needed")
