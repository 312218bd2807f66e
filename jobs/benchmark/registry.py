"""The sections of the benchmark by name, and running them: one that fails stops no other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from nst_core.errors import InputError
from nst_core.wording import did_you_mean, last_line

if TYPE_CHECKING:
    from jobs.benchmark.section import Section
    from jobs.benchmark.settings import BenchSettings

MACHINE = "machine"
"""What is measured on: always told, and all that is told where it is asked for alone."""
_CACHE_VARIABLE = "NST_CACHE_DIR"


@dataclass(frozen=True)
class SectionFailure:
    """A section that could not be measured."""

    key: str
    error: str
    """One line."""


SECTIONS = {
    "engines": "jobs.benchmark.sections.engines",
    "streams": "jobs.benchmark.sections.streams",
    "peers": "jobs.benchmark.sections.peers",
    "whole_commands": "jobs.benchmark.sections.whole_commands",
    "start_up": "jobs.benchmark.sections.start_up",
    "training": "jobs.benchmark.sections.training",
    "memory": "jobs.benchmark.sections.memory",
    "memory_growth": "jobs.benchmark.sections.memory",
}
"""The module of each section, in which a function of the section's name measures it.

They are measured and printed in this order. A module is imported when its turn comes, for torch
and Ray take seconds.
"""


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
    names: Sequence[str], settings: BenchSettings, modules: Mapping[str, str] = SECTIONS
) -> Iterator[Section | SectionFailure]:
    """Measure one after the other, each as soon as it is asked for."""
    for name in names:
        settings.tell(f"{name}: begins")
        try:
            with _cache_of_its_own(settings.folder / "cache"):
                section: Section = getattr(import_module(modules[name]), name)(settings)
        except Exception as error:  # whatever it is: the other sections go on
            yield SectionFailure(name, f"{type(error).__name__}: {last_line(error)}")
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
