"""The plan of a training run: all that a worker needs, read and checked by the driver."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from jobs.specs.training import TrainGenerator
from jobs.training.run_folder import RunFolder
from jobs.training.sheets import Pictures, Rows
from jobs.training.start import Start, TrainedNetwork
from nst_core.checkpoints.checkpoint import build_generator
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.networks.conditional_norm import MultiStyleGenerator
from nst_core.networks.generator import Generator
from nst_core.objectives.settings import ObjectiveSettings, ReconstructionSettings
from nst_core.objectives.weights.reading import LossNetworkWeights
from nst_core.training.photos import PhotoCrops, Sample
from nst_core.training.settings import TrainingSettings
from nst_core.training.style_balance import StyleBalance
from nst_core.training.trainer import GeneratorTrainer
from pipeline.pictures.inputs.training_photos import read_photo
from pipeline.storage.shared_files import SharedFiles


@dataclass(frozen=True, repr=False, kw_only=True)
class TrainingPlan(ABC):
    """All that a worker needs; the driver has read and checked every part of it.

    ``kinds.py`` has a subclass for each kind of training: what it learns from, what the generator
    is given of that, what it lowers, and what previews show.
    """

    job: TrainGenerator
    """What was asked for; its paths are the driver's, who may be in another folder."""
    run_folder: RunFolder
    info: CheckpointInfo
    """What is known of the network that is trained; its styles are those that are learnt."""
    objective: ObjectiveSettings | ReconstructionSettings
    sources: Mapping[str, str]
    """Names of what is learnt from, for the checkpoint's record."""
    style_images: tuple[Image.Image, ...] = ()
    """One for each row of the network, or the texture; none for super-resolution."""
    photos: tuple[str, ...] = ()
    """Absolute paths or URIs, readable from every worker; none for textures."""
    weights: LossNetworkWeights | None
    """None where pixels alone are compared."""
    base: TrainedNetwork | None = None
    """What is extended: all of it stays as it is."""
    start: Start | None = None
    """Trained weights to start from, all of which are fitted."""
    threads: int | None = None
    """CPUs of each worker: torch's threads, or processes that load photographs for a GPU. None
    until the cluster is known."""
    files: SharedFiles | None = None
    """Files that every worker must see, on a cluster."""

    crops_at_photo_size: ClassVar[bool] = False
    """Whether crops keep the photographs' own resolution."""

    @property
    def settings(self) -> TrainingSettings:
        """How the generator is fitted."""
        return self.job.training

    @property
    def samples_per_step(self) -> int:
        """Pictures that all workers together see in a step; as many when some workers are lost."""
        return self.settings.batch_size * self.settings.accumulate * self.job.workers[1]

    @property
    def calibrates(self) -> bool:
        """Whether the new styles are calibrated for 8 bits at the end."""
        return False

    def targets(self) -> Dataset[Sample]:
        """The pictures that the generator's outputs are compared with, one for each number."""
        return PhotoCrops(
            self.photos,
            size=self.settings.image_size,
            seed=self.settings.seed,
            native=self.crops_at_photo_size,
            open_photo=read_photo,
        )

    def prepare(self, targets: Tensor) -> Tensor:
        """Make the generator's input from N x 3 x H x W targets."""
        return targets

    @abstractmethod
    def build_objective(self) -> nn.Module:
        """Build what this run lowers."""

    def build_balance(self, objective: nn.Module, device: torch.device) -> StyleBalance | None:
        """Build what finds the styles' weights, on ``device`` like the objective; None: fixed."""
        return None

    @abstractmethod
    def preview(self, generator: Generator, photos: Pictures) -> Rows:
        """Rows of pictures: each of the photos beside what the generator makes of it."""

    def sheet_head(self) -> Rows:
        """Rows above those of ``preview`` in the final sheet."""
        return []


def build_trainer(
    plan: TrainingPlan, device: torch.device, *, world_size: int = 1
) -> GeneratorTrainer:
    """Build a trainer at step 0; the same seed gives the same weights everywhere."""
    torch.manual_seed(plan.settings.seed)
    objective = plan.build_objective().to(device)
    return GeneratorTrainer(
        build_network(plan),
        objective,
        plan.settings,
        device=device,
        balance=plan.build_balance(objective, device),
        prepare=plan.prepare,
        samples_per_step=plan.samples_per_step,
        world_size=world_size,
    )


def build_network(plan: TrainingPlan) -> Generator:
    """Build what is trained: fresh or trained weights, or what is added to the base."""
    network = build_generator(plan.info)
    if plan.info.styles:
        network = MultiStyleGenerator(network, plan.info.rows)
        if plan.base is not None:
            network.start_from(plan.base.tensors, strokes=max(1, len(plan.info.strokes)))
    if plan.start is not None:
        network.unwrapped.load_state_dict(plan.start.state)
    return network


def plan_settings(plan: TrainingPlan) -> dict[str, Any]:
    """Everything in the plan that decides the result, as plain values."""
    values: dict[str, Any] = {
        "architecture": plan.info.architecture,
        "arguments": plan.info.arguments,
        "training": asdict(plan.settings),
        "objective": asdict(plan.objective),
        "samples_per_step": plan.samples_per_step,
    }
    if plan.info.styles:
        values["styles"] = list(plan.info.styles)
    if plan.info.strokes:
        values["strokes"] = list(plan.info.strokes)
    if plan.start is not None:
        values["start"] = {"rows": list(plan.start.rows), "sha256": plan.start.fingerprint}
    if plan.base is not None:
        values["extends"] = {"styles": list(plan.base.styles), "sha256": plan.base.fingerprint}
    if plan.weights is not None:
        values |= {
            "loss_network": plan.weights.name,
            "loss_network_weights": plan.weights.source,
            "loss_network_sha256": plan.weights.fingerprint(),
        }
    if plan.photos:
        values |= {
            "photos": len(plan.photos),
            "photos_sha256": short_sha256("\n".join(plan.photos).encode(errors="surrogateescape")),
        }
    if plan.style_images:
        first = plan.info.strokes[0] if plan.info.strokes else 1.0
        values |= {
            "style_size": round(min(plan.style_images[0].size) / first),  # at stroke 1
            "style_sha256": [short_sha256(image.tobytes()) for image in plan.style_images],
        }
    return values


def short_sha256(data: bytes) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of ``data``."""
    return hashlib.sha256(data).hexdigest()[:16]
