"""Networks, losses, training step, checkpoints and engines. Knows torch; never Ray, PyAV or Typer."""

__version__ = "0.1.0"
