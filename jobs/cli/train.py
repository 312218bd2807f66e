"""`nst train style`, `nst train texture` and `nst train super-resolution`."""

from __future__ import annotations

import typer

from jobs.cli.train_style import style
from jobs.cli.train_super_resolution import super_resolution
from jobs.cli.train_texture import texture
from jobs.cli.training_run import TrainCommand

app = typer.Typer(no_args_is_help=True, help="Train generators.")


@app.callback()
def group() -> None:
    """Train generators."""


app.command(cls=TrainCommand)(style)
app.command(cls=TrainCommand)(texture)
app.command(name="super-resolution", cls=TrainCommand)(super_resolution)
