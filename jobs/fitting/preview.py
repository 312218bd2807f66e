"""The picture that shows how far a fit is: a content, and it in the style as it is by now."""

from __future__ import annotations

import io
import time
from pathlib import Path

import torch
from PIL import Image

from jobs.training.kinds import StylePlan
from jobs.training.sheets import stylized
from nst_core.files import write_whole
from nst_core.pictures.reading import read_rgb, sheet
from nst_core.training.trainer import GeneratorTrainer

_HEIGHT = 384
_SECONDS_BEFORE_FIRST = 4.0
_SECONDS_BETWEEN = 10.0


class Preview:
    """The painting, the first content, and that content stylized, side by side in a PNG file."""

    def __init__(self, plan: StylePlan, path: Path) -> None:
        self.path = path
        self._plan = plan
        self._due = time.monotonic() + _SECONDS_BEFORE_FIRST
        content = read_rgb(Path(plan.photos[0]))
        width = round(content.width * _HEIGHT / content.height)
        self._content = content.resize((width, _HEIGHT), Image.Resampling.BICUBIC)

    def draw_if_due(self, trainer: GeneratorTrainer) -> None:
        """Draw it where the last one is older than some seconds."""
        if time.monotonic() >= self._due:
            self.draw(trainer)
            self._due = time.monotonic() + _SECONDS_BETWEEN

    def draw(self, trainer: GeneratorTrainer) -> None:
        """Write the file, whole."""
        shown = self._plan.shown_rows
        with torch.autocast(trainer.device.type, torch.bfloat16, enabled=trainer.mixed_precision):
            (pictures,) = stylized(trainer.trained, [self._content], shown)
        picture = sheet([[self._plan.style_images[shown[0]], *pictures]], cell_height=_HEIGHT)
        file = io.BytesIO()
        picture.save(file, format="png", compress_level=3)
        write_whole(self.path, file.getvalue())
