"""A section of the benchmark: one table, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | int | float | None


@dataclass(frozen=True)
class Section:
    """A table with what it says."""

    key: str
    """Its name in the JSON, such as ``engines``."""
    title: str
    columns: tuple[str, ...]
    """What each cell of a row is, with its unit."""
    rows: Sequence[tuple[Cell, ...]]
    notes: tuple[str, ...] = ()
    """A line each: how it was measured, and what the limit is."""

    def __post_init__(self) -> None:
        for row in self.rows:
            assert len(row) == len(self.columns), (self.columns, row)


def verdict(measured: float, bar: float) -> str:
    """Say whether a bar is kept."""
    return "yes" if measured >= bar else "no"
