"""Worker 0's records in the run folder: metrics, TensorBoard events, previews."""

from __future__ import annotations

import time

from PIL import Image

from jobs.training import sheets
from jobs.training.plan import TrainingPlan
from jobs.training.sheets import preview_photos
from nst_core.color.pixels import to_tensor
from nst_core.networks.generator import Generator
from nst_core.pictures.reading import sheet
from nst_core.training.trainer import GeneratorTrainer

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

    def preview(self, steps_done: int, generator: Generator) -> None:
        """Write a sheet of what the generator makes of a few fixed pictures."""
        start = time.monotonic()
        rows = self.plan.preview(generator, self.photos)
        if not rows:
            return
        picture = sheet(rows, cell_height=sheets.CELL_HEIGHT)
        picture.save(self.folder.previews / f"step-{steps_done:06d}.png")
        self.board.add_image("preview", to_tensor(picture)[0].numpy(), steps_done)
        self.board.flush()
        self._last = time.monotonic()  # drawing is not training
        pause = max(_SECONDS_BETWEEN_PREVIEWS, (self._last - start) / _SHARE_OF_PREVIEWS)
        self._preview_due = self._last + pause


def final_sheet(plan: TrainingPlan, generator: Generator) -> Image.Image:
    """Draw what a finished training makes of a few photos, below what it has learnt from."""
    rows = plan.preview(generator, preview_photos(plan.photos))
    return sheet([*plan.sheet_head(), *rows], cell_height=sheets.CELL_HEIGHT)
