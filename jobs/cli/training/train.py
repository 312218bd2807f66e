"""`nst train style`, `nst train texture` and `nst train super-resolution`."""

from __future__ import annotations

import typer

from jobs.cli.training.run import TrainCommand
from jobs.cli.training.style import style
from jobs.cli.training.super_resolution import super_resolution
from jobs.cli.training.texture import texture

app = typer.Typer(no_args_is_help=True, help="Train generators.")


@app.callback()
def group() -> None:
    """Train generators."""


app.command(cls=TrainCommand)(style)
app.command(cls=TrainCommand)(texture)
app.command(name="super-resolution", cls=TrainCommand)(super_resolution)
