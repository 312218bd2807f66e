"""The sections of the benchmark by name, and running them: one that fails stops no other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst_core.errors import InputError
from nst_core.wording import did_you_mean

if TYPE_CHECKING:
    from jobs.benchmark.section import Section
    from jobs.benchmark.settings import BenchSettings

MACHINE = "machine"
"""What is measured on: always told, and all that is told where it is asked for alone."""
_CACHE_VARIABLE = "NST_CACHE_DIR"


@dataclass(frozen=True)
class Entry:
    """Where a section is made; imported when its turn comes, for torch and Ray take seconds."""

    module: str
    function: str
    takes_settings: bool = True
    when_quick: Mapping[str, Any] = field(default_factory=dict)
    """What a function without settings is called with for --quick."""

    def run(self, settings: BenchSettings) -> Section:
        """Measure."""
        function = getattr(import_module(self.module), self.function)
        arguments = [settings] if self.takes_settings else []
        section: Section = function(*arguments, **(self.when_quick if settings.quick else {}))
        return section


@dataclass(frozen=True)
class SectionFailure:
    """A section that could not be measured."""

    key: str
    error: str
    """One line."""


def _without_settings(module: str, function: str, **when_quick: Any) -> Entry:
    return Entry(f"jobs.benchmark.{module}", function, False, when_quick)


SECTIONS: dict[str, Entry] = {
    "ceilings": Entry("jobs.benchmark.sections.ceilings", "ceilings"),
    "engines": Entry("jobs.benchmark.sections.engines", "engines"),
    "streams": Entry("jobs.benchmark.sections.streams", "streams"),
    "peers": Entry("jobs.benchmark.sections.peers", "peers"),
    "whole_commands": Entry("jobs.benchmark.sections.whole_commands", "whole_commands"),
    "efficiency": Entry("jobs.benchmark.sections.efficiency", "efficiency"),
    "start_up": _without_settings("start_up", "start_up", rounds=3),
    "training": Entry("jobs.benchmark.sections.training", "training"),
    "memory": Entry("jobs.benchmark.sections.memory", "memory"),
    "memory_growth": Entry("jobs.benchmark.sections.memory", "memory_growth"),
    "film_growth": _without_settings("growth", "film_growth", times=(1, 10)),
    "folder_growth": _without_settings("growth", "folder_growth", files=(100, 1_000)),
    "simulated_cluster": _without_settings(
        "simulated_cluster", "simulated_cluster", workers=(1, 4, 16), rounds=1
    ),
}
"""In the order in which they are measured and printed."""


def chosen_sections(only: Sequence[str]) -> list[str]:
    """Names to measure, in their order; all where ``only`` is empty. Raises InputError."""
    unknown = [name for name in only if name not in SECTIONS and name != MACHINE]
    if unknown:
        known = (MACHINE, *SECTIONS)
        alike = did_you_mean(unknown[0], known)
        raise InputError(
            f"--only {unknown[0]}: no such section{alike}; there are {', '.join(known)}"
        )
    return [name for name in SECTIONS if name in only or not only]


def run_sections(
    names: Sequence[str],
    settings: BenchSettings,
    entries: Mapping[str, Entry] = SECTIONS,
) -> Iterator[Section | SectionFailure]:
    """Measure one after the other, each as soon as it is asked for."""
    for name in names:
        settings.tell(f"{name}: begins")
        try:
            with _cache_of_its_own(settings.folder / "cache"):
                section = entries[name].run(settings)
        except Exception as error:  # whatever it is: the other sections go on
            lines = str(error).strip().splitlines() or ["no reason given"]
            yield SectionFailure(name, f"{type(error).__name__}: {lines[-1]}")
        else:
            yield section


@contextmanager
def _cache_of_its_own(folder: Path) -> Iterator[None]:
    """Keep compiled generators of random weights out of the user's cache."""
    before = os.environ.get(_CACHE_VARIABLE)
    os.environ[_CACHE_VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CACHE_VARIABLE]
        else:
            os.environ[_CACHE_VARIABLE] = before
