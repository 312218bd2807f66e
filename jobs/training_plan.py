"""The plan of a training run: all that a worker needs, read and checked by the driver."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from jobs.run_folder import RunFolder
from jobs.training_specs import (
    LARGEST_TEXTURE,
    TrainGenerator,
    TrainStyle,
    TrainSuperResolution,
    TrainTexture,
)
from nst_core.checkpoint import CheckpointInfo, build_generator
from nst_core.degradation import downscale_batch
from nst_core.errors import InputError
from nst_core.loss_network import LossNetwork, LossNetworkWeights, load_loss_network_weights
from nst_core.objective import PerceptualObjective, layers_of
from nst_core.pictures import read_rgb, resize_shorter_side, to_tensor
from nst_core.reconstruction import FEATURE_LAYER, ReconstructionObjective
from nst_core.settings import ObjectiveSettings, ReconstructionSettings, TrainingSettings
from nst_core.training import GeneratorTrainer, keep
from nst_core.training_photos import BlankPictures, PhotoCrops, find_photos


@dataclass(frozen=True, repr=False)
class TrainingPlan:
    """All that a worker needs; the driver has read and checked every part of it."""

    info: CheckpointInfo
    settings: TrainingSettings
    objective: ObjectiveSettings | ReconstructionSettings
    style_image: Image.Image | None
    """Or the texture; None for super-resolution."""
    photos: tuple[Path, ...]
    """Absolute, and readable from every worker; none for textures."""
    weights: LossNetworkWeights | None
    """None where pixels alone are compared."""
    run_folder: RunFolder
    checkpoint_every: int
    workers: int
    threads: int | None
    """Torch threads of a CPU worker; None until the cluster is known."""

    @property
    def scale(self) -> int:
        """How much larger the output is than the input."""
        return int(self.info.arguments.get("scale", 1))


def make_plan(job: TrainGenerator) -> TrainingPlan:
    """Read and check everything that training needs, so that no worker finds it missing.

    Raises InputError.
    """
    if job.output.is_dir():
        raise InputError(f"-o {job.output}: a folder; name the checkpoint file to write")
    plan = partial(
        TrainingPlan,
        settings=job.training,
        run_folder=RunFolder(job.run_folder),
        checkpoint_every=job.checkpoint_every,
        workers=job.workers,
        threads=job.cpus_per_worker,
    )
    if isinstance(job, TrainStyle):
        weights = _weights(job, job.objective)
        style_image = resize_shorter_side(read_rgb(job.style_image), job.style_size)
        return plan(
            info=CheckpointInfo(job.architecture, job.arguments),
            objective=job.objective,
            style_image=style_image,
            photos=_photos(job.content),
            weights=weights,
        )
    if isinstance(job, TrainTexture):
        return plan(
            info=CheckpointInfo("texture", job.arguments),
            objective=job.objective,
            style_image=_texture(job),
            photos=(),
            weights=_weights(job, job.objective),
        )
    assert isinstance(job, TrainSuperResolution)
    return plan(
        info=CheckpointInfo("super-resolution", job.arguments),
        objective=job.objective,
        style_image=None,
        photos=_photos(job.content),
        weights=_weights(job, job.objective) if job.objective.loss == "feature" else None,
    )


def build_trainer(plan: TrainingPlan, device: torch.device, *, rank: int = 0) -> GeneratorTrainer:
    """Build a trainer at step 0; the same seed gives the same weights everywhere."""
    torch.manual_seed(plan.settings.seed)
    generator = build_generator(plan.info)
    prepare = partial(_low_resolution, scale=plan.scale) if plan.scale > 1 else keep
    return GeneratorTrainer(
        generator, build_objective(plan), plan.settings, device=device, prepare=prepare, rank=rank
    )


def build_objective(plan: TrainingPlan) -> nn.Module:
    """What this run lowers."""
    if isinstance(plan.objective, ReconstructionSettings):
        return ReconstructionObjective(plan.weights, plan.objective)
    assert plan.weights is not None
    assert plan.style_image is not None
    return PerceptualObjective(plan.weights, to_tensor(plan.style_image), plan.objective)


def training_pictures(plan: TrainingPlan) -> Dataset[Tensor]:
    """The targets of the training, one for each index."""
    size = plan.settings.image_size
    if not plan.photos:
        return BlankPictures(size)
    return PhotoCrops(plan.photos, size=size, seed=plan.settings.seed, native=plan.scale > 1)


def describe(plan: TrainingPlan) -> dict[str, Any]:
    """Everything in the plan that decides the result, as plain values."""
    values: dict[str, Any] = {
        "architecture": plan.info.architecture,
        "arguments": plan.info.arguments,
        "training": asdict(plan.settings),
        "objective": asdict(plan.objective),
        "workers": plan.workers,
    }
    if plan.weights is not None:
        values |= {
            "loss_network": plan.weights.name,
            "loss_network_weights": plan.weights.source,
            "loss_network_sha256": plan.weights.fingerprint(),
        }
    if plan.photos:
        values |= {
            "photos": len(plan.photos),
            "photos_sha256": _sha256("\n".join(map(str, plan.photos)).encode()),
        }
    if plan.style_image is not None:
        values |= {
            "style_size": list(plan.style_image.size),
            "style_sha256": _sha256(plan.style_image.tobytes()),
        }
    return values


def _weights(
    job: TrainGenerator, objective: ObjectiveSettings | ReconstructionSettings
) -> LossNetworkWeights:
    """Load them, and say here, and not in a worker, what is wrong."""
    weights = load_loss_network_weights(job.loss_network, job.loss_network_weights)
    layers: tuple[str, ...] = (FEATURE_LAYER,)
    if isinstance(objective, ObjectiveSettings):
        style_layers, content_layer = layers_of(weights.name, objective)
        layers = (*style_layers, *([content_layer] if objective.content_weight else []))
    LossNetwork(weights, layers)
    return weights


def _photos(folder: Path) -> tuple[Path, ...]:
    return tuple(path.absolute() for path in find_photos(folder))


def _texture(job: TrainTexture) -> Image.Image:
    picture = read_rgb(job.texture_image)
    if min(picture.size) < 32:
        raise InputError(
            f"{job.texture_image}: {picture.width}x{picture.height} pixels; at least 32 are needed"
        )
    size = job.texture_size or min(LARGEST_TEXTURE, *picture.size)
    return resize_shorter_side(picture, size)


def _low_resolution(batch: Tensor, *, scale: int) -> Tensor:
    return downscale_batch(batch, scale)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
