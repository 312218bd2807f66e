"""Worker 0's records in the run folder: metrics, TensorBoard events, previews."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from jobs.training.plan import TrainingPlan
from nst_core.color.pixels import to_picture, to_tensor
from nst_core.errors import MediaError
from nst_core.networks.conditional_norm import MultiStyleGenerator
from nst_core.networks.texture import TextureNet
from nst_core.pictures.reading import sheet
from nst_core.settings import ReconstructionSettings
from nst_core.training.degradation import downscale, upscale_bicubic
from nst_core.training.photos import open_photo
from nst_core.training.trainer import GeneratorTrainer, plain
from pipeline.pictures.content import read_content

_log = logging.getLogger(__name__)

_PREVIEW_PHOTOS = 4
_PREVIEW_SIDE = 256
_PREVIEW_SIZE = (336, _PREVIEW_SIDE)
"""Size of every photo in a sheet, so that columns line up; both are multiples of 16."""


_FIRST_PREVIEW_SECONDS = 20.0
_SECONDS_BETWEEN_PREVIEWS = 120.0
_SHARE_OF_PREVIEWS = 0.05
"""Largest share of the time that goes into previews beside those at checkpoints."""


class TrainingRecords:
    """Writes down how a run goes."""

    def __init__(self, plan: TrainingPlan, workers: int) -> None:
        from tensorboardX import SummaryWriter

        self.plan = plan
        self.workers = workers
        self.folder = plan.run_folder
        self.folder.previews.mkdir(parents=True, exist_ok=True)
        self.board = SummaryWriter(str(self.folder.tensorboard))
        self.photos = preview_photos(plan.photos)
        self._last = time.monotonic()
        self._preview_due = self._last + _FIRST_PREVIEW_SECONDS

    @property
    def preview_is_due(self) -> bool:
        """Whether it is long ago that somebody could see how the training goes."""
        return time.monotonic() >= self._preview_due

    def begin(self, first_step: int) -> None:
        """Note that steps from ``first_step`` on will be recorded, some of them perhaps anew."""
        self.folder.forget_from(first_step)
        self.folder.note_event({"event": "start", "step": first_step, "workers": self.workers})
        self._last = time.monotonic()

    def step(self, step: int, losses: dict[str, float], learning_rate: float) -> None:
        """Append one line for the step with number ``step``, counted from 0."""
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        line = {
            "step": step,
            **losses,
            "learning_rate": learning_rate,
            "seconds": round(seconds, 4),
            "images": self.plan.samples_per_step,
            "workers": self.workers,
        }
        self.folder.note_step(line)
        for name, value in losses.items():
            self.board.add_scalar(f"loss/{name}", value, step)
        self.board.add_scalar("learning_rate", learning_rate, step)
        self.board.add_scalar("images_per_second", line["images"] / max(seconds, 1e-9), step)

    def close(self) -> None:
        """Write what is left of TensorBoard's events, and end the thread that writes them."""
        self.board.close()

    def rolled_back(self, reason: str, trainer: GeneratorTrainer) -> None:
        """Note that the run goes on from an earlier step, with a lower learning rate."""
        step = trainer.steps_done
        self.folder.forget_metrics_from(step)
        self.folder.note_event(
            {"event": "rollback", "step": step, "why": reason, "rate": trainer.learning_rate}
        )
        self._last = time.monotonic()

    def preview(self, steps_done: int, generator: nn.Module) -> None:
        """Write a sheet of what the generator makes of a few fixed pictures."""
        start = time.monotonic()
        rows = picture_rows(self.plan, generator, self.photos)
        if not rows:
            return
        picture = sheet(rows, cell_height=_PREVIEW_SIDE)
        picture.save(self.folder.previews / f"step-{steps_done:06d}.png")
        self.board.add_image("preview", to_tensor(picture)[0].numpy(), steps_done)
        self.board.flush()
        self._last = time.monotonic()  # drawing is not training
        pause = max(_SECONDS_BETWEEN_PREVIEWS, (self._last - start) / _SHARE_OF_PREVIEWS)
        self._preview_due = self._last + pause


def final_sheet(plan: TrainingPlan, generator: nn.Module) -> Image.Image:
    """Draw the style images above photos in each of the styles."""
    rows = picture_rows(plan, generator, preview_photos(plan.photos))
    if plan.photos and plan.style_images:
        paintings = [
            ImageOps.pad(plan.style_images[row], _PREVIEW_SIZE, color="white")
            for row in shown_rows(plan)
        ]
        rows = [[Image.new("RGB", _PREVIEW_SIZE, "white"), *paintings], *rows]
    return sheet(rows, cell_height=_PREVIEW_SIDE)


def picture_rows(
    plan: TrainingPlan, generator: nn.Module, photos: Sequence[Image.Image]
) -> list[list[Image.Image]]:
    """Each photo beside what the generator makes of it, in each of its styles."""
    with _evaluating(generator):
        if plan.scale > 1:
            return [_enlarged(plan, generator, photo) for photo in photos]
        if plan.photos:
            rows = shown_rows(plan)
            return [[photo, *_stylized(generator, photo, rows)] for photo in photos]
        blank = torch.zeros(1, 3, _PREVIEW_SIDE, _PREVIEW_SIDE)
        return [[*plan.style_images, *(_run(generator, blank) for _ in range(2))]]


def _enlarged(plan: TrainingPlan, generator: nn.Module, photo: Image.Image) -> list[Image.Image]:
    """Bicubic, the generator's, the original."""
    assert isinstance(plan.objective, ReconstructionSettings)
    low = downscale(photo, plan.scale, plan.objective.degradation)
    bicubic = upscale_bicubic(low, plan.scale)
    return [bicubic, _run(generator, to_tensor(low)), photo]


def shown_rows(plan: TrainingPlan) -> list[int]:
    """Rows of the network that sheets show: of each style the stroke nearest to 1."""
    strokes = plan.info.strokes or (1.0,)
    nearest = min(range(len(strokes)), key=lambda number: abs(math.log(strokes[number])))
    return list(range(nearest, plan.info.rows, len(strokes)))


def _stylized(generator: nn.Module, photo: Image.Image, rows: Sequence[int]) -> list[Image.Image]:
    if not isinstance(generator, MultiStyleGenerator):
        return [_run(generator, to_tensor(photo))]
    mixtures = torch.eye(generator.styles, device=next(generator.parameters()).device)
    return [_run(generator, to_tensor(photo), mixtures[row][None]) for row in rows]


def _run(generator: nn.Module, image: Tensor, *mixture: Tensor) -> Image.Image:
    with torch.no_grad():
        return to_picture(generator(image.to(next(generator.parameters()).device), *mixture))


@contextmanager
def _evaluating(generator: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while, with noise that is always the same."""
    generator.eval()
    network = plain(generator)
    if isinstance(network, TextureNet):
        network.seed_noise(0)
    try:
        yield
    finally:
        generator.train()


def preview_photos(paths: Sequence[str]) -> list[Image.Image]:
    """A few photos from all over the list; one that cannot be read gives way to the next."""
    stride = max(1, len(paths) // _PREVIEW_PHOTOS)
    photos: list[Image.Image] = []
    for path in (*paths[::stride], *paths):
        if len(photos) == min(_PREVIEW_PHOTOS, len(paths)):
            break
        try:
            photo = open_photo(read_content(path), name=path, shrink_towards=_PREVIEW_SIDE)
            photos.append(ImageOps.fit(photo, _PREVIEW_SIZE, Image.Resampling.LANCZOS))
        except MediaError as error:
            _log.info("no preview of it: %s", error)  # the training's report names it
    return photos
