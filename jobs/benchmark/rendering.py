"""Sections as Markdown for people, and as plain fields for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.benchmark.section import Cell, Section


def section_markdown(section: Section) -> str:
    """Heading, notes and table; ends with an empty line."""
    lines = [f"## {section.title}", ""]
    if section.notes:
        lines += [*(f"- {note}" for note in section.notes), ""]
    lines += [_line(section.columns), _line(["---"] * len(section.columns))]
    lines += [_line([cell_text(cell) for cell in row]) for row in section.rows]
    return "\n".join([*lines, ""])


def machine_markdown(machine: Mapping[str, str | int | float]) -> str:
    """What was measured on; ends with an empty line."""
    lines = ["# `nst bench`", "", "| machine | |", "| --- | --- |"]
    lines += [_line([name, cell_text(value)]) for name, value in machine.items()]
    return "\n".join([*lines, ""])


def section_fields(section: Section) -> dict[str, Any]:
    """Rows are objects: what a column is called, and the cell."""
    assert len(set(section.columns)) == len(section.columns), section.columns
    return {
        "key": section.key,
        "title": section.title,
        "rows": [dict(zip(section.columns, row, strict=True)) for row in section.rows],
        "notes": list(section.notes),
    }


def cell_text(cell: Cell) -> str:
    """Three digits of a number that was measured; nothing for what was not."""
    if cell is None:
        return ""
    if not isinstance(cell, float):
        return str(cell)
    decimals = 0 if abs(cell) >= 100 else 1 if abs(cell) >= 10 else 2 if abs(cell) >= 0.1 else 4
    return f"{cell:.{decimals}f}"


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
