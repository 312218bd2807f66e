"""Fitting the bundled network's normalisations to one painting: in this process, in a minute.

A network that has learnt many styles can show others by its scales and shifts alone (Dumoulin et
al. 2017): a few thousand numbers, while all convolutions stay. They begin as the mean of all its
styles, from which paintings were nearer after a minute than from the style nearest to them: .24
against .32 and .21 against .22 (sums of relative Gram errors at three sizes). It is a training that
extends the bundled network, as of ``nst train style --extend``, but short enough to do without Ray
and a run folder.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image
from torch import Tensor

from jobs.fitting.contents import save_contents
from jobs.fitting.preview import Preview
from jobs.specs.fitting import FitStyle
from jobs.specs.training import STYLE_OBJECTIVE, TrainStyle
from jobs.training.calibration import eight_bit_of, read_photos
from jobs.training.kinds import StylePlan, make_plan
from jobs.training.plan import build_trainer
from jobs.training.states import checkpoint_of
from nst_core.checkpoints.checkpoint import save_state
from nst_core.checkpoints.fitted import PREVIEW_SUFFIX, path_by_content, path_by_name, style_name
from nst_core.checkpoints.info import read_info
from nst_core.checkpoints.library import bundled_packs, find_checkpoint
from nst_core.engines.choice import choose_device
from nst_core.errors import TrainingDiverged
from nst_core.pictures.reading import read_painting
from nst_core.training.photos import Batch
from nst_core.training.settings import TrainingSettings
from nst_core.training.trainer import GeneratorTrainer, uses_bfloat16
from nst_core.wording import about
from pipeline.work.progress import OnProgress, Progress, ignore_progress, stage

_log = logging.getLogger(__name__)

SETTINGS = TrainingSettings(
    batch_size=3,  # one crop for each stroke of the bundled network
    image_size=224,
    learning_rate=0.05,
    style_rate=1.0,
    warmup_steps=3,
    final_rate=0.1,
    average=0.9,
)
"""Found by trying: at the rate of a training of hours a minute would not do."""
OBJECTIVE = replace(
    STYLE_OBJECTIVE,
    style_weight=3.0,
    shading_weight=1.5,
    palette_weight=1.0,
    style_layers=(
        *("relu1_1@1=0.3", "relu2_1@1=0.3", "relu3_1@1=0.3"),
        *("relu1_1@0.5", "relu2_1@0.5", "relu3_1@0.5", "relu4_1@0.5"),
        *("relu3_1@0.25=0.5", "relu4_1@0.25=0.5"),
    ),
    content_layers=("relu4_2@0.5",),
)
"""Less style than for the bundled ones: what is fitted to few pictures comes nearer to the painting
by itself, and their subject is to stay. So is their light: without, smooth things get blotches.
The painting's colours come too slowly by themselves. Of what is as fine as the painting's grain
there is little, for normalisations alone draw it as a weave."""
_UPSAMPLING = "bilinear"
"""Not what the bundled network was trained with: of repeated pixels its convolutions, which stay as
they are, make small squares wherever a new style has them draw strokes."""
STYLE_SIZE = 512
"""Shorter side of the painting at stroke 1, pixels."""
_TRIES = 3
_SLOWER = 0.3
"""Factor of the rate after a divergence."""


def fit_style(job: FitStyle, on_progress: OnProgress = ignore_progress) -> Path:
    """Fit a style to the painting; returns its checkpoint.

    Beside it a picture grows that shows how far it is. Raises InputError, LossNetworkError for
    weights that are not at hand, TrainingDiverged.
    """
    painting = read_painting(job.painting)
    output = path_by_name(job.name) if job.name else path_by_content(job.painting)
    output.parent.mkdir(parents=True, exist_ok=True)  # rather now than after a minute
    device = torch.device(choose_device(job.device))
    with TemporaryDirectory(prefix="nst-fit-") as folder:
        plan = _plan(job, painting, output, Path(folder), on_progress)
        on_progress(stage(f"fitting a style to {job.painting.name}", "steps"))
        preview = Preview(plan, output.with_suffix(PREVIEW_SUFFIX))
        try:
            _fit(job, plan, device, preview, on_progress)
        finally:
            if not output.exists():  # interrupted: nobody would find the picture
                preview.path.unlink(missing_ok=True)
    return output


def _fit(
    job: FitStyle,
    plan: StylePlan,
    device: torch.device,
    preview: Preview,
    on_progress: OnProgress,
) -> None:
    """Fit, more slowly where that diverges, calibrate where that is asked for, and save."""
    for attempt in range(_TRIES):
        try:
            trainer, losses = _fitted(plan, _SLOWER**attempt, device, preview, on_progress)
            break
        except TrainingDiverged:
            if attempt == _TRIES - 1:
                raise
            _log.info("it diverged; once more, with a lower rate")
    preview.draw(trainer)
    state, info = checkpoint_of(plan, trainer.state_dict(), losses)
    assert plan.base is not None
    path, found = plan.job.output, {}  # the bundled styles' were found with other upsampling
    if job.calibrate:
        photos = read_photos(plan.photos)
        found = eight_bit_of(path, state, info, info.styles[-1:], photos, on_progress)
    save_state(path, state, replace(info, eight_bit=found))


def _plan(
    job: FitStyle, painting: Image.Image, output: Path, folder: Path, on_progress: OnProgress
) -> StylePlan:
    """Read and check everything, as for the training that adds a style to the bundled network."""
    base = _base()
    name = job.name or style_name(job.painting)
    inside = f"{name}_2" if name in read_info(base).styles else name
    file = folder / f"{inside}.png"
    painting.save(file, compress_level=1)
    photos = folder / "contents"
    photos.mkdir()
    save_contents(job.content, photos)
    plan = make_plan(
        TrainStyle(
            style_images=(file,),
            content=(str(photos),),
            output=output,
            extend=base,
            objective=OBJECTIVE,
            style_size=STYLE_SIZE,
            training=replace(SETTINGS, steps=job.fit_steps),
            loss_network_weights=job.loss_network_weights,
            calibrate=False,
        ),
        on_progress,
    )
    assert isinstance(plan, StylePlan)
    info = replace(plan.info, arguments=plan.info.arguments | {"upsampling": _UPSAMPLING})
    content = ", ".join(Path(source).name for source in job.content) or "the demo's scene"
    return replace(plan, info=info, sources={"style_image": job.painting.name, "content": content})


def _base() -> Path:
    """Return the bundled network of the most styles."""
    packs = bundled_packs()
    path = find_checkpoint(max(packs, key=lambda name: len(packs[name]))).path
    assert path is not None
    return path


def _fitted(
    plan: StylePlan,
    rate: float,
    device: torch.device,
    preview: Preview,
    on_progress: OnProgress,
) -> tuple[GeneratorTrainer, dict[str, float]]:
    """Take all steps; returns the trainer and the losses before the last step."""
    bfloat16 = uses_bfloat16(plan.settings.precision, device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):  # the paintings too
        trainer = build_trainer(plan, device)
    trainer.rate_factor = rate
    for rows in trainer.parameters:
        # What one stroke of the painting learns, the others learn too.
        rows.register_hook(_shared)  # type: ignore[no-untyped-call]
    crops, size = plan.targets(), plan.samples_per_step
    tell = _teller(plan, preview, on_progress)
    losses: dict[str, float] = {}
    while trainer.steps_done < plan.settings.steps:
        samples = range(trainer.steps_done * size, (trainer.steps_done + 1) * size)
        losses = trainer.step([Batch.of([crops[number] for number in samples])])
        tell(trainer)
    return trainer, losses


def _shared(gradient: Tensor) -> Tensor:
    return gradient + gradient.sum(dim=0, keepdim=True)


def _teller(
    plan: StylePlan, preview: Preview, on_progress: OnProgress
) -> Callable[[GeneratorTrainer], None]:
    """Return what tells, after each step, how far it is, and draws the preview when it is due."""
    began = time.monotonic()
    after_first = began

    def tell(trainer: GeneratorTrainer) -> None:
        nonlocal after_first
        done, steps, now = trainer.steps_done, plan.settings.steps, time.monotonic()
        if done == 1:  # which warms up
            after_first = now
        each = (now - after_first) / (done - 1) if done > 1 else now - began
        news = ""
        if done == 2:
            news = f"{about(each * (steps - done))} left; how it looks by now: {preview.path}"
        on_progress(
            Progress(
                *(done, steps, "steps"),
                note=f"fitting {plan.job.style_names[0]}",
                seconds_left=each * (steps - done),
                estimates=True,
                news=news,
            )
        )
        if done < steps:
            preview.draw_if_due(trainer)

    return tell
