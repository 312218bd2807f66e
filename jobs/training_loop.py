"""What every Ray Train worker runs: read crops, step, record, keep checkpoints."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor, nn

from jobs.run_folder import RunFolder
from nst_core.checkpoint import CheckpointInfo, build_generator
from nst_core.errors import MediaError
from nst_core.loss_network import LossNetworkWeights
from nst_core.objective import Losses, PerceptualObjective
from nst_core.pictures import read_rgb, resize_shorter_side, sheet, to_picture, to_tensor
from nst_core.settings import ObjectiveSettings, TrainingSettings
from nst_core.training import GeneratorTrainer, learning_rate_at
from nst_core.training_photos import PhotoCrops, StepSampler, photo_loader

if TYPE_CHECKING:
    from ray.train import Checkpoint

_log = logging.getLogger(__name__)

CHECKPOINT_FILE = "trainer.pt"
_PREVIEW_PHOTOS = 4
_PREVIEW_SIDE = 256


@dataclass(frozen=True)
class TrainingPlan:
    """All that a worker needs; the driver has read and checked every part of it."""

    info: CheckpointInfo
    settings: TrainingSettings
    objective: ObjectiveSettings
    style_image: Image.Image
    photos: tuple[Path, ...]
    """Absolute, and readable from every worker."""
    weights: LossNetworkWeights
    run_folder: RunFolder
    checkpoint_every: int
    workers: int
    threads: int | None
    """Torch threads of a CPU worker; None until the cluster is known."""


def training_loop(config: dict[str, Any]) -> None:
    """Entry point for Ray Train; ``config["plan"]`` is the TrainingPlan."""
    import ray.train
    import ray.train.torch

    plan: TrainingPlan = config["plan"]
    context = ray.train.get_context()
    device = ray.train.torch.get_device()
    if device.type == "cpu" and plan.threads is not None:
        torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.settings.seed)
    trainer = build_trainer(plan, device)
    resumed = ray.train.get_checkpoint()
    if resumed is not None:
        trainer.load_state_dict(_read_checkpoint(resumed))
    if context.get_world_size() > 1:
        trainer.data_parallel(ray.train.torch.prepare_model)
    records = TrainingRecords(plan) if context.get_world_rank() == 0 else None
    if records:
        records.begin(trainer.steps_done)
    sampler = StepSampler(
        first_step=trainer.steps_done,
        last_step=plan.settings.steps,
        batch_size=plan.settings.batch_size,
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
    )
    photos = PhotoCrops(plan.photos, size=plan.settings.image_size, seed=plan.settings.seed)
    for batch in photo_loader(photos, sampler, processes=_loader_processes(device)):
        losses = _mean_over_workers(trainer.step(batch), context.get_world_size())
        if records:
            records.step(trainer.steps_done - 1, losses, len(batch) * context.get_world_size())
        done = trainer.steps_done
        if done % plan.checkpoint_every == 0 or done == plan.settings.steps:
            if records:
                records.preview(done, trainer.generator)
            _report(trainer, keep=records is not None)


def build_trainer(plan: TrainingPlan, device: torch.device) -> GeneratorTrainer:
    """Build a trainer at step 0; the same seed gives the same weights everywhere."""
    objective = PerceptualObjective(plan.weights, to_tensor(plan.style_image), plan.objective)
    return GeneratorTrainer(build_generator(plan.info), objective, plan.settings, device=device)


class TrainingRecords:
    """Worker 0's records in the run folder: metrics, TensorBoard events, previews."""

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
        """Write a sheet of the fixed photos beside their stylized versions."""
        if not self.photos:
            return
        rows = []
        parameter = next(generator.parameters())
        for photo in self.photos:
            with torch.no_grad():
                stylized = generator(to_tensor(photo).to(parameter.device))
            rows.append([photo, to_picture(stylized)])
        picture = sheet(rows, cell_height=_PREVIEW_SIDE)
        path = self.folder.previews / f"step-{steps_done:06d}.png"
        picture.save(path)
        tensor = to_tensor(picture)[0]
        self.board.add_image("preview", tensor.numpy(), steps_done)
        self.board.flush()
        self._last = time.monotonic()  # drawing is not training


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


def _loader_processes(device: torch.device) -> int:
    """A GPU waits for crops unless others cut them; on a CPU they would fight for its cores."""
    return min(8, os.cpu_count() or 1) if device.type == "cuda" else 0


def _mean_over_workers(losses: Losses, world_size: int) -> dict[str, float]:
    values = losses.as_floats()
    if world_size == 1:
        return values
    stacked: Tensor = torch.stack(list(vars(losses).values())) / world_size
    torch.distributed.all_reduce(stacked)
    return dict(zip(values, stacked.tolist(), strict=True))


def _report(trainer: GeneratorTrainer, *, keep: bool) -> None:
    import ray.train

    metrics = {"steps_done": trainer.steps_done}
    if not keep:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.save(trainer.state_dict(), Path(folder) / CHECKPOINT_FILE)
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def _read_checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    with checkpoint.as_directory() as folder:
        return read_trainer_state(Path(folder))


def read_trainer_state(folder: Path) -> dict[str, Any]:
    """Read what GeneratorTrainer.state_dict returned from a checkpoint folder."""
    state: dict[str, Any] = torch.load(
        folder / CHECKPOINT_FILE, map_location="cpu", weights_only=True
    )
    return state


def describe(plan: TrainingPlan) -> dict[str, Any]:
    """Everything in the plan that decides the result, as plain values."""
    return {
        "architecture": plan.info.architecture,
        "arguments": plan.info.arguments,
        "training": asdict(plan.settings),
        "objective": asdict(plan.objective),
        "loss_network": plan.weights.name,
        "loss_network_weights": plan.weights.source,
        "loss_network_sha256": plan.weights.fingerprint(),
        "photos": len(plan.photos),
        "photos_sha256": _sha256("\n".join(map(str, plan.photos)).encode()),
        "style_size": list(plan.style_image.size),
        "style_sha256": _sha256(plan.style_image.tobytes()),
        "workers": plan.workers,
    }


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
