"""The plan of a training run: all that a worker needs, read and checked by the driver."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from jobs.specs.training import (
    LARGEST_TEXTURE,
    STYLE_SEPARATORS,
    LoaderChoice,
    TrainGenerator,
    TrainStyle,
    TrainSuperResolution,
    TrainTexture,
)
from jobs.training.run_folder import RunFolder
from jobs.training.start import Start, find_start, nearest_rows, same_rows, start_as_it_is, start_of
from nst_core.checkpoints.checkpoint import build_generator, load_generator, read_state
from nst_core.checkpoints.info import CheckpointInfo, fingerprint, read_info
from nst_core.color.pixels import to_tensor
from nst_core.engines.eight_bit import EightBit
from nst_core.engines.engine import draws_noise
from nst_core.errors import InputError
from nst_core.networks.conditional_norm import MultiStyleGenerator, norm_names
from nst_core.objectives.layers import bold_objective, content_terms, style_terms
from nst_core.objectives.loss_network import (
    LossNetwork,
    LossNetworkWeights,
    load_loss_network_weights,
)
from nst_core.objectives.perceptual import PerceptualObjective
from nst_core.objectives.reconstruction import FEATURE_LAYER, ReconstructionObjective
from nst_core.pictures.reading import read_rgb, resize_shorter_side
from nst_core.settings import ObjectiveSettings, ReconstructionSettings, TrainingSettings
from nst_core.training.degradation import downscale_batch
from nst_core.training.photos import BlankPictures, PhotoCrops, Sample
from nst_core.training.style_balance import StyleBalance
from nst_core.training.trainer import GeneratorTrainer, keep
from pipeline.pictures.content import find_content, read_content
from pipeline.storage.shared_files import SharedFiles
from pipeline.work.progress import OnProgress, Progress, ignore_progress

_USUAL_CONTENTS = 16
"""Training pictures whose mean square content errors are divided by."""


@dataclass(frozen=True, repr=False)
class Base:
    """A trained generator that another style is added to."""

    tensors: dict[str, Tensor]
    styles: tuple[str, ...]
    fingerprint: str
    training: dict[str, Any]
    """What its checkpoint says of how it was trained."""
    eight_bit: dict[str, EightBit] = field(default_factory=dict)
    """Calibrations for 8 bits, by style, as far as its styles have them."""


@dataclass(frozen=True, repr=False)
class TrainingPlan:
    """All that a worker needs; the driver has read and checked every part of it."""

    info: CheckpointInfo
    """What is known of the network that is trained; its styles are those that are learnt."""
    settings: TrainingSettings
    objective: ObjectiveSettings | ReconstructionSettings
    style_images: tuple[Image.Image, ...]
    """Or the texture; none for super-resolution."""
    photos: tuple[str, ...]
    """Absolute paths or URIs, readable from every worker; none for textures."""
    weights: LossNetworkWeights | None
    """None where pixels alone are compared."""
    base: Base | None
    """What is extended: all of it stays as it is."""
    start: Start | None
    """Trained weights to start from, all of which are fitted."""
    sources: Mapping[str, str]
    """Names of what is learnt from, for the checkpoint's record."""
    loader: LoaderChoice
    run_folder: RunFolder
    checkpoint_every: int
    workers: tuple[int, int]
    """At least and at most."""
    threads: int | None
    """Torch threads of a CPU worker; None until the cluster is known."""
    files: SharedFiles | None = None
    """That every worker must see, on a cluster."""

    @property
    def scale(self) -> int:
        """How much larger the output is than the input."""
        return int(self.info.arguments.get("scale", 1))

    @property
    def samples_per_step(self) -> int:
        """Pictures that all workers together see in a step; as many when some workers are lost."""
        return self.settings.batch_size * self.settings.accumulate * self.workers[1]


def make_plan(job: TrainGenerator, on_progress: OnProgress = ignore_progress) -> TrainingPlan:
    """Read and check everything that training needs, so that no worker finds it missing.

    Raises InputError.
    """
    plan = partial(
        TrainingPlan,
        settings=job.training,
        base=None,
        start=None,
        sources=_sources(job),
        loader=job.loader,
        run_folder=RunFolder(job.run_folder),
        checkpoint_every=job.checkpoint_every,
        workers=job.workers,
        threads=job.cpus_per_worker,
    )
    if isinstance(job, TrainStyle):
        base = read_base(job.extend) if job.extend else None
        objective = bold_objective(job.loss_network, job.objective)
        info = _style_info(job, base)
        objective = _for_each_row(objective, info)
        whole = plan(
            info=info,
            objective=objective,
            style_images=_style_images(job, info),
            photos=find_content(job.content),
            weights=_weights(job, objective),
            base=base,
        )
        return whole if base else _with_start(job, whole, on_progress)
    if isinstance(job, TrainTexture):
        return plan(
            info=CheckpointInfo("texture", job.arguments),
            objective=job.objective,
            style_images=(_texture(job),),
            photos=(),
            weights=_weights(job, job.objective),
        )
    assert isinstance(job, TrainSuperResolution)
    whole = plan(
        info=CheckpointInfo("super-resolution", job.arguments),
        objective=job.objective,
        style_images=(),
        photos=find_content(job.content),
        weights=_weights(job, job.objective) if job.objective.loss == "feature" else None,
    )
    return _with_start(job, whole, on_progress)


def _sources(job: TrainGenerator) -> dict[str, str]:
    sources = {"recipe": job.options["recipe"]} if "recipe" in job.options else {}
    if isinstance(job, TrainStyle):
        sources["style_image"] = ", ".join(path.name for path in job.style_images)
    if isinstance(job, TrainTexture):
        sources["texture_image"] = job.texture_image.name
    if isinstance(job, TrainStyle | TrainSuperResolution):
        names = (source.rstrip("/").rpartition("/")[-1] for source in job.content)
        sources["content"] = ", ".join(names)
    return sources


def _style_images(job: TrainStyle, info: CheckpointInfo) -> tuple[Image.Image, ...]:
    """One for each row of the network: every painting at the size of every stroke."""
    sizes = [round(job.style_size * stroke) for stroke in info.strokes or (1.0,)]
    return tuple(
        resize_shorter_side(painting, size)
        for painting in map(read_rgb, job.style_images)
        for size in sizes
    )


def _for_each_row(objective: ObjectiveSettings, info: CheckpointInfo) -> ObjectiveSettings:
    """Give every stroke of a painting the statistic of the painting."""
    if len(objective.statistics) == 1:
        return objective
    strokes = max(1, len(info.strokes))
    repeated = tuple(one for one in objective.statistics for _ in range(strokes))
    return replace(objective, statistics=repeated)


def _with_start(
    job: TrainStyle | TrainSuperResolution, plan: TrainingPlan, on_progress: OnProgress
) -> TrainingPlan:
    found = find_start(job.start, plan.info)
    if found is None:
        return plan
    if isinstance(job, TrainStyle) and norm_names(build_generator(plan.info)):
        start = start_of(found, plan.info, _rows_to_start_from(found, plan, on_progress))
        told = start.told(job.start, job.style_names)
    else:
        start = start_as_it_is(found)
        told = start.told(job.start)
    on_progress(Progress(0, plan.settings.steps, "steps", news=told))
    return replace(plan, start=start, sources={**plan.sources, "from": start.name})


def _rows_to_start_from(
    found: tuple[Path, CheckpointInfo], plan: TrainingPlan, on_progress: OnProgress
) -> list[int]:
    rows = same_rows(found[1], [_sha256(image.tobytes()) for image in plan.style_images])
    if rows is not None:
        return rows
    on_progress(Progress(0, plan.settings.steps, "steps", "looks for the style to begin with"))
    objective = build_objective(plan)
    assert isinstance(objective, PerceptualObjective)
    return nearest_rows(found, plan.info, objective, plan.photos)


def _style_info(job: TrainStyle, base: Base | None) -> CheckpointInfo:
    if base is None:
        several = len(job.style_names) > 1 or job.strokes
        styles = job.style_names if several else ()
        return CheckpointInfo(job.architecture, job.arguments, styles=styles, strokes=job.strokes)
    taken = sorted(set(base.styles) & set(job.style_names))
    if taken:
        raise InputError(
            f"--extend {job.extend}: it has a style {taken[0]} already; rename the style image"
        )
    assert job.extend is not None
    return replace(read_info(job.extend), training={}, styles=job.style_names, eight_bit={})


def read_base(path: Path) -> Base:
    """Read a generator that styles are to be added to. Raises InputError or CheckpointError."""
    tensors, info = read_state(path)
    plain = build_generator(info)
    if not norm_names(plain) or draws_noise(plain) or getattr(plain, "scale", 1) != 1:
        raise InputError(
            f"--extend {path}: {info.architecture} of {info.arguments} cannot take in styles; "
            "a style network with instance normalisation is needed"
        )
    styles = info.styles or (path.stem,)
    if set(styles[0]) & set(STYLE_SEPARATORS):
        raise InputError(
            f"--extend {path}: its name becomes its style's name, where : , = mean something "
            "else; rename it"
        )
    load_generator(path, {styles[0]: 1.0} if info.styles else None)  # says what is damaged
    eight_bit = {name or styles[0]: found for name, found in info.eight_bit.items()}
    return Base(tensors, styles, fingerprint(path), info.training, eight_bit)


def build_trainer(
    plan: TrainingPlan, device: torch.device, *, world_size: int = 1
) -> GeneratorTrainer:
    """Build a trainer at step 0; the same seed gives the same weights everywhere."""
    torch.manual_seed(plan.settings.seed)
    objective = build_objective(plan).to(device)
    balance = _balance(plan, device)
    if balance is not None and plan.photos and isinstance(objective, PerceptualObjective):
        pictures = training_pictures(plan)
        usual = [pictures[number].picture for number in range(_USUAL_CONTENTS)]
        objective.relate_contents_to(torch.stack(usual).to(device))
    return GeneratorTrainer(
        build_network(plan),
        objective,
        plan.settings,
        device=device,
        balance=balance,
        prepare=_degrading(plan),
        samples_per_step=plan.samples_per_step,
        world_size=world_size,
    )


def _balance(plan: TrainingPlan, device: torch.device) -> StyleBalance | None:
    objective = plan.objective
    if not (isinstance(objective, ObjectiveSettings) and objective.balanced):
        return None
    return StyleBalance(plan.info.rows, objective.style_weight, device)


def build_network(plan: TrainingPlan) -> nn.Module:
    """Build what is trained: fresh or trained weights, or what is added to the base."""
    generator = build_generator(plan.info)
    network: nn.Module = generator
    if plan.info.styles:
        network = MultiStyleGenerator(generator, plan.info.rows)
        if plan.base is not None:
            network.start_from(plan.base.tensors, strokes=max(1, len(plan.info.strokes)))
    if plan.start is not None:
        generator.load_state_dict(plan.start.state)
    return network


def build_objective(plan: TrainingPlan) -> nn.Module:
    """What this run lowers."""
    if isinstance(plan.objective, ReconstructionSettings):
        return ReconstructionObjective(plan.weights, plan.objective)
    assert plan.weights is not None
    images = [to_tensor(image) for image in plan.style_images]
    return PerceptualObjective(plan.weights, images, plan.objective)


def training_pictures(plan: TrainingPlan) -> Dataset[Sample]:
    """The targets of the training, one for each number."""
    size = plan.settings.image_size
    if not plan.photos:
        return BlankPictures(size)
    return PhotoCrops(
        plan.photos,
        size=size,
        seed=plan.settings.seed,
        native=plan.scale > 1,
        read=read_content,
    )


def describe(plan: TrainingPlan) -> dict[str, Any]:
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
            "photos_sha256": _sha256("\n".join(plan.photos).encode(errors="surrogateescape")),
        }
    if plan.style_images:
        values |= {
            "style_size": _style_size(plan),
            "style_sha256": [_sha256(image.tobytes()) for image in plan.style_images],
        }
    return values


def _style_size(plan: TrainingPlan) -> int:
    """Shorter side of the style images at stroke 1."""
    first = plan.info.strokes[0] if plan.info.strokes else 1.0
    return round(min(plan.style_images[0].size) / first)


def _weights(
    job: TrainGenerator, objective: ObjectiveSettings | ReconstructionSettings
) -> LossNetworkWeights:
    """Load them, and say here, and not in a worker, what is wrong."""
    weights = load_loss_network_weights(job.loss_network, job.loss_network_weights)
    layers: tuple[str, ...] = (FEATURE_LAYER,)
    if isinstance(objective, ObjectiveSettings):
        terms = (*style_terms(weights.name, objective), *content_terms(weights.name, objective))
        layers = tuple(dict.fromkeys(term.layer for term in terms))
    LossNetwork(weights, layers)
    return weights


def _texture(job: TrainTexture) -> Image.Image:
    picture = read_rgb(job.texture_image)
    if min(picture.size) < 32:
        raise InputError(
            f"{job.texture_image}: {picture.width}x{picture.height} pixels; at least 32 are needed"
        )
    size = job.texture_size or min(LARGEST_TEXTURE, *picture.size)
    return resize_shorter_side(picture, size)


def _degrading(plan: TrainingPlan) -> Callable[[Tensor], Tensor]:
    """What a generator is given of a picture: super-resolution a small one, others itself."""
    if isinstance(plan.objective, ReconstructionSettings):
        return partial(downscale_batch, scale=plan.scale, degradation=plan.objective.degradation)
    return keep


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
