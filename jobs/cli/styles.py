"""`nst styles list` and `nst styles show`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from jobs.cli import console, options

app = typer.Typer(no_args_is_help=True, help="The styles at hand.")


@app.command(name="list")
def list_styles(json: options.Json = False) -> None:
    """List the bundled styles.

    Example: nst styles list
    """
    from nst_core.style_library import IDENTITY, bundled_styles, find_style

    styles = [find_style(name) for name in bundled_styles()]
    if json:
        console.print_json({"styles": [style.name for style in styles] + [IDENTITY]})
        return
    for style in styles:
        assert style.info is not None
        assert style.path is not None
        kilobytes = style.path.stat().st_size // 1000
        width = style.info.arguments.get("width")
        image = style.info.training.get("style_image", "")
        console.say(
            f"{style.name:16} {style.info.architecture} of width {width}, {kilobytes} kB, "
            f"learnt from {image}"
        )
    console.say(f"{IDENTITY:16} passes frames through, for checking a pipeline")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A bundled style or a checkpoint file.")],
    json: options.Json = False,
) -> None:
    """Show what a style is and how it was trained.

    Example: nst styles show wave
    """
    from nst_core.style_library import find_style

    style = find_style(name)
    fields: dict[str, Any] = {"name": style.name, "path": str(style.path) if style.path else None}
    if style.info:
        fields |= asdict(style.info)
    if json:
        console.print_json(fields)
        return
    for line in _lines(fields):
        console.say(line)


def _lines(fields: dict[str, Any], indent: str = "") -> list[str]:
    lines = []
    for key, value in fields.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {value}")
    return lines
