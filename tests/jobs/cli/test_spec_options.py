"""Specifications from the command line: what is given, for whom, over which defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import typer

from jobs.cli.spec_options import from_specifications
from jobs.specs.flat import Given


@dataclass(frozen=True)
class Paint:
    """What a brush holds."""

    color: str = "blue"
    """Its name.

    For developers: any."""
    thick: bool = False
    layers: tuple[str, ...] = ("one",)


@dataclass(frozen=True)
class Wall:
    """What is painted."""

    size: tuple[int, int]
    paint: Paint = field(default_factory=lambda: Paint("red"))
    ceiling: Paint = field(default_factory=Paint)
    height: float = 2.5
    hidden: str = "kept"


LOOKS: dict[str, dict[str, Any]] = {
    "size": {"kind": str, "read": lambda text: tuple(map(int, text.split("x")))}
}


def _run(command: Any, *arguments: str) -> None:
    app = typer.Typer(add_completion=False)
    app.command()(command)
    app(list(arguments), standalone_mode=False)


def test_a_specification_is_built_with_all_that_it_holds() -> None:
    seen: list[Wall] = []

    @from_specifications(LOOKS, without="hidden")
    def paint(wall: Wall) -> None:
        seen.append(wall)

    _run(paint, "--size", "3x4")
    _run(paint, "--size", "3x4", "--thick", "--layers", "a", "--layers", "b", "--height", "3")
    assert seen[0] == Wall((3, 4), ceiling=Paint("red"))  # one option for both, the first's default
    both = Paint("red", thick=True, layers=("a", "b"))
    assert seen[1] == Wall((3, 4), both, both, height=3.0)


def test_there_is_one_for_each_value_of_an_option_that_may_be_given_again() -> None:
    seen: list[tuple[Paint, ...]] = []

    @from_specifications({}, each="color")
    def paint(paints: tuple[Paint, ...]) -> None:
        seen.append(paints)

    _run(paint, "--color", "red", "--color", "green", "--thick")
    assert seen == [(Paint("red", thick=True), Paint("green", thick=True))]


def test_a_command_may_have_defaults_of_its_own() -> None:
    seen: list[Any] = []

    @from_specifications({"color": {"default": None}}, argument="color")
    def paint(paint: Given[Paint]) -> None:
        seen.extend((paint.fields, paint.build(color="black", layers=("two",))))

    _run(paint)
    assert seen == [{"thick": False}, Paint("black", layers=("two",))]
    _run(paint, "white")
    assert seen[-1] == Paint("white", layers=("two",))


def test_help_is_the_first_paragraph_below_a_field(capsys: pytest.CaptureFixture[str]) -> None:
    @from_specifications({})
    def paint(paint: Paint) -> None:
        """Paint."""

    _run(paint, "--help")
    shown = capsys.readouterr().out
    assert "Its name." in shown
    assert "developers" not in shown
    assert "--no-thick" not in shown
