"""Worker 0's records in the run folder: metrics, TensorBoard events, previews."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from jobs.training_plan import TrainingPlan
from nst_core.degradation import downscale, upscale_bicubic
from nst_core.errors import MediaError
from nst_core.pictures import read_rgb, resize_shorter_side, sheet, to_picture, to_tensor
from nst_core.texture_net import TextureNet
from nst_core.training import learning_rate_at

_log = logging.getLogger(__name__)

_PREVIEW_PHOTOS = 4
_PREVIEW_SIDE = 256


class TrainingRecords:
    """Writes down how a run goes."""

    def __init__(self, plan: TrainingPlan) -> None:
        from tensorboardX import SummaryWriter

        self.plan = plan
        self.folder = plan.run_folder
        self.folder.previews.mkdir(parents=True, exist_ok=True)
        self.board = SummaryWriter(str(self.folder.tensorboard))
        self.photos = _preview_photos(plan.photos)
        self._last = time.monotonic()

    def begin(self, first_step: int) -> None:
        """Note where this session starts; steps from there on will be recorded anew."""
        self.folder.forget_metrics_from(first_step)
        if not self.folder.session.exists():  # a restarted worker is still the same session
            self.folder.session.write_text(json.dumps({"first_step": first_step}))
        self._last = time.monotonic()

    def step(self, step: int, losses: dict[str, float], images: int) -> None:
        """Append one line for the step with number ``step``, counted from 0."""
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        line = {
            "step": step,
            **losses,
            "learning_rate": learning_rate_at(step, self.plan.settings),
            "seconds": round(seconds, 4),
            "images": images,
        }
        with self.folder.metrics.open("a") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in losses.items():
            self.board.add_scalar(f"loss/{name}", value, step)

    def preview(self, steps_done: int, generator: nn.Module) -> None:
        """Write a sheet of what the generator makes of a few fixed pictures."""
        with _evaluating(generator):
            rows = self._rows(generator)
        if not rows:
            return
        picture = sheet(rows, cell_height=_PREVIEW_SIDE)
        picture.save(self.folder.previews / f"step-{steps_done:06d}.png")
        self.board.add_image("preview", to_tensor(picture)[0].numpy(), steps_done)
        self.board.flush()
        self._last = time.monotonic()  # drawing is not training

    def _rows(self, generator: nn.Module) -> list[list[Image.Image]]:
        if self.plan.scale > 1:
            return [self._enlarged(generator, photo) for photo in self.photos]
        if self.photos:
            return [[photo, _run(generator, to_tensor(photo))] for photo in self.photos]
        assert self.plan.style_image is not None
        blank = torch.zeros(1, 3, _PREVIEW_SIDE, _PREVIEW_SIDE)
        return [[self.plan.style_image, *(_run(generator, blank) for _ in range(2))]]

    def _enlarged(self, generator: nn.Module, photo: Image.Image) -> list[Image.Image]:
        """Bicubic, the generator's, the original."""
        low = downscale(photo, self.plan.scale)
        bicubic = upscale_bicubic(low, self.plan.scale)
        return [bicubic, _run(generator, to_tensor(low)), photo]


def _run(generator: nn.Module, image: Tensor) -> Image.Image:
    with torch.no_grad():
        return to_picture(generator(image.to(next(generator.parameters()).device)))


@contextmanager
def _evaluating(generator: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while, with noise that is always the same."""
    generator.eval()
    if isinstance(generator, TextureNet):
        generator.seed_noise(0)
    try:
        yield
    finally:
        generator.train()


def _preview_photos(paths: Sequence[Path]) -> list[Image.Image]:
    """A few photos from all over the list; one that cannot be read gives way to the next."""
    stride = max(1, len(paths) // _PREVIEW_PHOTOS)
    photos: list[Image.Image] = []
    for path in (*paths[::stride], *paths):
        if len(photos) == min(_PREVIEW_PHOTOS, len(paths)):
            break
        try:
            photos.append(resize_shorter_side(read_rgb(path), _PREVIEW_SIDE))
        except MediaError as error:
            _log.warning("no preview of it: %s", error)
    return photos
