"""Networks, losses, training, checkpoints, engines. Knows torch; never Ray, PyAV or Typer."""

__version__ = "0.1.0"
