"""`nst optimize`: one picture by Gatys' method, from files to a file."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jobs.applying.optimization_start import check_start, starting_picture
from jobs.specs.single import Optimize
from nst_core.checkpoints.library import IDENTITY, bundled_styles
from nst_core.color.pixels import to_picture, to_tensor
from nst_core.engines.choice import choose_device
from nst_core.errors import InputError
from nst_core.file_kinds import kind_of
from nst_core.objectives.layers import layers_of
from nst_core.objectives.lbfgs import Iterate, optimize_picture
from nst_core.objectives.loss_network import load_loss_network_weights
from nst_core.objectives.perceptual import FixedContentObjective, PerceptualObjective
from nst_core.pictures.reading import read_painting, read_rgb, resize_shorter_side
from nst_core.wording import quoted
from pipeline.pictures.outputs.saving import save_picture
from pipeline.work.downloads import shown_in
from pipeline.work.progress import OnProgress, Progress, ignore_progress

_QUALITY = 95
"""Quality of JPEG and WebP, 1 to 100."""


@dataclass(frozen=True)
class OptimizeReport:
    """What an optimisation came to; the fields of the command's JSON."""

    output: str
    method: str
    """``optimisation``, or ``hybrid`` where it started from a generator's picture."""
    init: str
    """``content``, ``noise``, or ``generator:`` and the style."""
    steps: int
    seconds: float
    losses_before: dict[str, float]
    """Losses of the picture that the optimisation started from."""
    losses: dict[str, float]
    """Losses of the picture that was written."""


def optimize(job: Optimize, on_progress: OnProgress = ignore_progress) -> OptimizeReport:
    """Optimise and write ``job.output``. Raises InputError, EnvironmentProblem, TrainingFailed."""
    content, objective = checked_objective(job, on_progress)
    began = time.monotonic()
    of_content = FixedContentObjective(objective, content)
    iterates: list[Iterate] = []

    def watch(iterate: Iterate) -> None:
        iterates[1:] = [iterate]  # the first and the last
        on_progress(
            Progress(
                iterate.iteration,
                job.steps,
                "iterations",
                _note(iterate),
                time_is_summed_up=True,
            )
        )

    init, start = starting_picture(job, of_content, content)
    best = optimize_picture(of_content, content, start, iterations=job.steps, on_iterate=watch)
    rgb = np.asarray(to_picture(best.image))
    save_picture(str(job.output), rgb, quality=_QUALITY)
    return OptimizeReport(
        output=str(job.output),
        method="hybrid" if init.startswith("generator") else "optimisation",
        init=init,
        steps=job.steps,
        seconds=round(time.monotonic() - began, 3),
        losses_before=iterates[0].losses.as_floats(),
        losses=best.losses.as_floats(),
    )


def checked_objective(
    job: Optimize, on_progress: OnProgress = ignore_progress
) -> tuple[Tensor, PerceptualObjective]:
    """Check and read all that the job needs; nothing is written.

    Returns the content, 1 x 3 x H x W in [0, 1], and what is to be lowered. Raises InputError and
    EnvironmentProblem.
    """
    _check_output(job)
    _check_pictures(job)
    check_start(job.init)
    device = torch.device(choose_device(job.device))
    content = to_tensor(_fit(read_rgb(job.content), job.image_size))
    style = read_painting(job.style_image)
    style = resize_shorter_side(style, job.style_size or min(content.shape[-2:]))
    weights = load_loss_network_weights(
        job.loss_network,
        job.loss_network_weights,
        layers=layers_of(job.loss_network, job.objective),
        on_download=shown_in(on_progress),
    )
    objective = PerceptualObjective(weights, to_tensor(style), job.objective)
    objective.to(device).to(memory_format=torch.channels_last)
    return content.to(device), objective


def _check_output(job: Optimize) -> None:
    if not job.output.parent.is_dir():
        raise InputError(f"-o {job.output}: no such folder to write into")
    if job.output.exists():
        for source in (job.content, job.style_image):
            if source.exists() and source.samefile(job.output):
                raise InputError(f"-o {job.output}: the output would replace its own input")
        if not job.overwrite:
            raise InputError(f"{job.output} exists; --overwrite replaces it")


def _check_pictures(job: Optimize) -> None:
    """Name the command that takes what was given instead of pictures. Raises InputError."""
    if kind_of(job.content) == "video":
        raise InputError(
            f"{job.content}: a video, and this method paints one picture; `nst train style "
            f"{quoted(job.style_image)} ...` makes a style of it for `nst stylize video`"
        )
    name = str(job.style_image)
    if not job.style_image.exists() and name in (IDENTITY, *bundled_styles()):
        raise InputError(
            f"--style {name}: a trained style, and this method takes a picture; "
            f"`nst stylize images {quoted(job.content)} -o {quoted(job.output)} --style {name}` "
            "applies it"
        )


def _fit(picture: Image.Image, longer_side: int) -> Image.Image:
    factor = longer_side / max(picture.size)
    width, height = (max(1, round(side * factor)) for side in picture.size)
    if min(width, height) < 32:
        raise InputError(
            f"a picture of {picture.width}x{picture.height} becomes {width}x{height} pixels; "
            "at least 32 a side are needed: raise --image-size"
        )
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def _note(iterate: Iterate) -> str:
    losses = iterate.losses.as_floats()
    return (
        f"content {losses['content']:.4g} style {losses['style']:.4g} total {losses['total']:.4g}"
    )
