"""The kinds of training: styles, textures, super-resolution; each read and checked into a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from jobs.specs.training import (
    LARGEST_TEXTURE,
    TrainGenerator,
    TrainStyle,
    TrainSuperResolution,
    TrainTexture,
)
from jobs.training import sheets
from jobs.training.plan import TrainingPlan, short_sha256
from jobs.training.run_folder import RunFolder
from jobs.training.sheets import Pictures, Rows
from jobs.training.start import (
    Start,
    TrainedNetwork,
    find_start,
    nearest_rows,
    read_extended,
    same_rows,
    start_of,
)
from nst_core.checkpoints.checkpoint import build_generator
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.color.pixels import to_tensor
from nst_core.errors import InputError
from nst_core.networks.conditional_norm import row_keys
from nst_core.networks.generator import Generator
from nst_core.objectives.layers import bold_objective, layers_of
from nst_core.objectives.loss_network import LossNetwork, load_loss_network_weights
from nst_core.objectives.perceptual import PerceptualObjective
from nst_core.objectives.reconstruction import FEATURE_LAYER, ReconstructionObjective
from nst_core.objectives.settings import ObjectiveSettings, ReconstructionSettings
from nst_core.objectives.weights.reading import LossNetworkWeights
from nst_core.pictures.reading import read_painting, resize_shorter_side
from nst_core.training.degradation import downscale_batch
from nst_core.training.photos import BlankPictures, Sample
from nst_core.training.style_balance import StyleBalance
from pipeline.pictures.inputs.training_photos import find_content
from pipeline.work.downloads import shown_in
from pipeline.work.progress import OnProgress, Progress, ignore_progress

_USUAL_CONTENTS = 16
"""Training pictures whose mean square content errors are divided by."""


@dataclass(frozen=True, repr=False, kw_only=True)
class _PerceptualPlan(TrainingPlan):
    objective: ObjectiveSettings
    weights: LossNetworkWeights

    def build_objective(self) -> PerceptualObjective:
        """Style of the style images, content of the targets."""
        images = [to_tensor(image) for image in self.style_images]
        return PerceptualObjective(self.weights, images, self.objective)


@dataclass(frozen=True, repr=False, kw_only=True)
class StylePlan(_PerceptualPlan):
    """Photographs in one or several styles."""

    job: TrainStyle

    @property
    def calibrates(self) -> bool:
        """As asked for; a network that draws noise is not computed in 8 bits."""
        return self.job.calibrate and not self.info.draws_noise

    def build_balance(self, objective: nn.Module, device: torch.device) -> StyleBalance | None:
        """Let each style's weight find itself; content errors are then divided by usual ones."""
        if not self.objective.balanced:
            return None
        assert isinstance(objective, PerceptualObjective)
        targets = self.targets()
        usual = [targets[number].picture for number in range(_USUAL_CONTENTS)]
        objective.relate_contents_to(torch.stack(usual).to(device))
        return StyleBalance(self.info.rows, self.objective.style_weight, device)

    @property
    def shown_rows(self) -> list[int]:
        """Rows of the network that sheets show: of each style the stroke nearest to 1."""
        strokes = self.info.strokes or (1.0,)
        nearest = min(range(len(strokes)), key=lambda number: abs(math.log(strokes[number])))
        return list(range(nearest, self.info.rows, len(strokes)))

    def preview(self, generator: Generator, photos: Pictures) -> Rows:
        """Each photo, and beside it the photo in each of the styles."""
        return sheets.stylized(generator, photos, self.shown_rows)

    def sheet_head(self) -> Rows:
        """The paintings, each above the photos in its style."""
        return [sheets.paintings([self.style_images[row] for row in self.shown_rows])]


@dataclass(frozen=True, repr=False, kw_only=True)
class TexturePlan(_PerceptualPlan):
    """Pictures of one texture, from noise alone."""

    def targets(self) -> Dataset[Sample]:
        """Pictures of which only the size counts."""
        return BlankPictures(self.settings.image_size)

    def preview(self, generator: Generator, photos: Pictures) -> Rows:
        """The texture beside two draws of the noise."""
        return [[*self.style_images, *sheets.drawn(generator, 2)]]


@dataclass(frozen=True, repr=False, kw_only=True)
class SuperResolutionPlan(TrainingPlan):
    """Photographs made small, and enlarged again."""

    objective: ReconstructionSettings

    crops_at_photo_size: ClassVar[bool] = True

    def prepare(self, targets: Tensor) -> Tensor:
        """Shrink N x 3 x H x W targets by the network's scale."""
        return downscale_batch(targets, self.info.scale, self.objective.degradation)

    def build_objective(self) -> ReconstructionObjective:
        """Distance of the enlarged pictures from the photographs."""
        return ReconstructionObjective(self.weights, self.objective)

    def preview(self, generator: Generator, photos: Pictures) -> Rows:
        """The photo made small, enlarged by bicubic and by the generator, and the photo itself."""
        return sheets.enlarged(generator, photos, self.info.scale, self.objective.degradation)


def make_plan(job: TrainGenerator, on_progress: OnProgress = ignore_progress) -> TrainingPlan:
    """Read and check everything that training needs, so that no worker finds it missing.

    Raises InputError.
    """
    if isinstance(job, TrainStyle):
        return _style_plan(job, on_progress)
    if isinstance(job, TrainTexture):
        return _texture_plan(job, on_progress)
    assert isinstance(job, TrainSuperResolution)
    return _super_resolution_plan(job, on_progress)


def _style_plan(job: TrainStyle, on_progress: OnProgress) -> TrainingPlan:
    base = read_extended(job.extend) if job.extend else None
    objective = bold_objective(job.loss_network, job.objective)
    info = _style_info(job, base)
    objective = _for_each_row(objective, info)
    images = ", ".join(path.name for path in job.style_images)
    plan = StylePlan(
        job=job,
        run_folder=RunFolder(job.run_folder),
        info=info,
        objective=objective,
        sources=_sources(job, style_image=images, content=_names(job.content)),
        style_images=_style_images(job, info),
        photos=find_content(job.content),
        weights=_weights(job, on_progress, objective),
        base=base,
    )
    found = None if base else find_start(job.start, info)
    if found is None:
        return plan
    start = start_of(found, info, _rows_to_start_from(found, plan, on_progress))
    return _started(plan, start, start.told(job.start, job.style_names), on_progress)


def _rows_to_start_from(
    found: TrainedNetwork, plan: StylePlan, on_progress: OnProgress
) -> Sequence[int]:
    """Rows that have learnt the same images, or else those that are nearest; none: it has none."""
    if not row_keys(build_generator(plan.info)):
        return ()
    rows = same_rows(found.info, [short_sha256(image.tobytes()) for image in plan.style_images])
    if rows is not None:
        return rows
    _tell(plan, on_progress, note="looks for the style to begin with")
    return nearest_rows(found, plan.info, plan.build_objective(), plan.photos)


def _texture_plan(job: TrainTexture, on_progress: OnProgress) -> TexturePlan:
    picture = read_painting(job.texture_image)
    if min(picture.size) < 32:
        raise InputError(
            f"{job.texture_image}: {picture.width}x{picture.height} pixels; at least 32 are needed"
        )
    size = job.texture_size or min(LARGEST_TEXTURE, *picture.size)
    return TexturePlan(
        job=job,
        run_folder=RunFolder(job.run_folder),
        info=CheckpointInfo("texture", job.arguments),
        objective=job.objective,
        sources=_sources(job, texture_image=job.texture_image.name),
        style_images=(resize_shorter_side(picture, size),),
        weights=_weights(job, on_progress, job.objective),
    )


def _super_resolution_plan(job: TrainSuperResolution, on_progress: OnProgress) -> TrainingPlan:
    plan = SuperResolutionPlan(
        job=job,
        run_folder=RunFolder(job.run_folder),
        info=CheckpointInfo("super-resolution", job.arguments),
        objective=job.objective,
        sources=_sources(job, content=_names(job.content)),
        photos=find_content(job.content),
        weights=_weights(job, on_progress) if job.objective.loss == "feature" else None,
    )
    found = find_start(job.start, plan.info)
    if found is None:
        return plan
    start = start_of(found, plan.info)
    return _started(plan, start, start.told(job.start), on_progress)


def _started(plan: TrainingPlan, start: Start, told: str, on_progress: OnProgress) -> TrainingPlan:
    """Begin with trained weights, and tell which."""
    _tell(plan, on_progress, news=told)
    return replace(plan, start=start, sources={**plan.sources, "from": start.name})


def _tell(plan: TrainingPlan, on_progress: OnProgress, note: str = "", news: str = "") -> None:
    on_progress(Progress(0, plan.settings.steps, "steps", note, news=news))


def _sources(job: TrainGenerator, **names: str) -> dict[str, str]:
    recipe = {"recipe": job.options["recipe"]} if "recipe" in job.options else {}
    return recipe | names


def _names(content: Sequence[str]) -> str:
    return ", ".join(source.rstrip("/").rpartition("/")[-1] for source in content)


def _style_info(job: TrainStyle, base: TrainedNetwork | None) -> CheckpointInfo:
    if base is None:
        several = len(job.style_names) > 1 or job.strokes
        styles = job.style_names if several else ()
        return CheckpointInfo(job.architecture, job.arguments, styles=styles, strokes=job.strokes)
    taken = sorted(set(base.styles) & set(job.style_names))
    if taken:
        raise InputError(
            f"--extend {job.extend}: it has a style {taken[0]} already; rename the style image"
        )
    return replace(base.info, training={}, styles=job.style_names, eight_bit={})


def _for_each_row(objective: ObjectiveSettings, info: CheckpointInfo) -> ObjectiveSettings:
    """Give every stroke of a painting the statistic of the painting."""
    if len(objective.statistics) == 1:
        return objective
    strokes = max(1, len(info.strokes))
    repeated = tuple(one for one in objective.statistics for _ in range(strokes))
    return replace(objective, statistics=repeated)


def _style_images(job: TrainStyle, info: CheckpointInfo) -> tuple[Image.Image, ...]:
    """One for each row of the network: every painting at the size of every stroke."""
    sizes = [round(job.style_size * stroke) for stroke in info.strokes or (1.0,)]
    return tuple(
        resize_shorter_side(painting, size)
        for painting in map(read_painting, job.style_images)
        for size in sizes
    )


def _weights(
    job: TrainGenerator, on_progress: OnProgress, objective: ObjectiveSettings | None = None
) -> LossNetworkWeights:
    """Load them for an objective, or for super-resolution; what is wrong is said here already."""
    layers = layers_of(job.loss_network, objective) if objective else {FEATURE_LAYER}
    weights = load_loss_network_weights(
        job.loss_network,
        job.loss_network_weights,
        layers=layers,
        on_download=shown_in(on_progress),
    )
    LossNetwork(weights, layers)
    return weights
