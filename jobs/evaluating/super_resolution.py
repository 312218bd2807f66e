"""Measuring a super-resolution network: PSNR and SSIM on luma, beside bicubic enlargement."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
from PIL import Image

from jobs.specs.evaluating import EvaluateSuperResolution
from nst_core.checkpoints.library import Style, find_for
from nst_core.color.histograms import match_histogram
from nst_core.errors import InputError, MediaError
from nst_core.measures.image_quality import LEAST_SIDE, psnr_y, ssim_y
from nst_core.objectives.settings import Degradation
from nst_core.pictures.reading import read_rgb
from nst_core.stylizer import Stylizer
from nst_core.training.degradation import crop_to_multiple, downscale, upscale_bicubic
from pipeline.pictures.inputs.sources import find_images
from pipeline.work.progress import OnProgress, Progress, ignore_progress


@dataclass(frozen=True)
class Quality:
    """How near an enlarged picture is to the original, on luma."""

    psnr: float | None
    """dB; None for equal pictures, where it is infinite."""
    ssim: float
    """1 for equal pictures."""


@dataclass(frozen=True)
class PictureQuality:
    """One picture: the network beside bicubic."""

    picture: str
    """Its path in the folder."""
    width: int
    """Width of the original in pixels, cropped to a multiple of the scale."""
    height: int
    bicubic: Quality
    model: Quality
    """As it is, or with ``match_histogram`` after it."""
    model_matched: Quality
    """After histogram matching."""


@dataclass(frozen=True)
class SuperResolutionEvaluation:
    """What the comparison came to; the fields of the command's JSON."""

    checkpoint: str
    scale: int
    match_histogram: bool
    """Whether the network's pictures took the histogram of their inputs."""
    degradation: str
    """How the inputs were made of the originals: see nst_core/training/degradation.py."""
    engine: str
    pictures: tuple[PictureQuality, ...]
    bicubic: Quality
    """Mean over the pictures, those of infinite PSNR left out of its mean."""
    model: Quality
    model_matched: Quality
    """With the histogram of its input: a row of its own in the paper."""
    failures: tuple[dict[str, str], ...]
    """``path`` and ``error`` of each picture that could not be measured."""


def evaluate_super_resolution(
    job: EvaluateSuperResolution, on_progress: OnProgress = ignore_progress
) -> SuperResolutionEvaluation:
    """Shrink the high-resolution pictures of a folder, enlarge them again, compare.

    Pictures are cropped to a multiple of the scale and shrunk as the network's training did, or
    by ``job.degradation`` (see degradation.py); borders count. The network's pictures are
    measured as they are and after histogram matching, the post-processing of Johnson et al.
    (section 4.2); ``job.match_histogram`` takes those for ``model`` too. A picture that cannot be
    read, or is too small, is among the failures.
    Raises InputError for a model that is no super-resolution network of this scale, or a folder
    without pictures, and MediaError where no picture could be measured.
    """
    style, images = _load(job), job.images
    files = sorted(Path(found.path) for found in find_images((str(images),)))
    stylizer = Stylizer(
        style,
        engine=job.engine,
        device=job.device,
        precision=job.precision,
        threads=job.threads,
    )
    shrink = job.degradation or _trained_on(style)
    rows: list[PictureQuality] = []
    failures: list[dict[str, str]] = []
    for path in files:
        try:
            name = os.path.relpath(path, images.absolute()) if images.is_dir() else path.name
            row = _measure(path, name, stylizer, style.scale, shrink)
            rows.append(replace(row, model=row.model_matched) if job.match_histogram else row)
        except MediaError as error:
            failures.append({"path": str(path), "error": str(error)})
        on_progress(Progress(len(rows) + len(failures), len(files), "pictures", path.name))
    if not rows:
        raise MediaError(f"{images}: none of its pictures can be measured; {failures[0]['error']}")
    return SuperResolutionEvaluation(
        checkpoint=job.model,
        scale=style.scale,
        match_histogram=job.match_histogram,
        degradation=shrink,
        engine=stylizer.engine,
        pictures=tuple(rows),
        bicubic=_mean([row.bicubic for row in rows]),
        model=_mean([row.model for row in rows]),
        model_matched=_mean([row.model_matched for row in rows]),
        failures=tuple(failures),
    )


def _load(job: EvaluateSuperResolution) -> Style:
    style = find_for("upscale", job.model)
    if job.scale is not None and job.scale != style.scale:
        raise InputError(
            f"--scale {job.scale}: {job.model} enlarges by {style.scale}; "
            "leave --scale out, or name another"
        )
    return style


def _trained_on(style: Style) -> Degradation:
    """The small pictures of a network's training; antialiased where its checkpoint says nothing."""
    objective = style.training.get("objective") or {}
    found: Degradation = objective.get("degradation", "antialiased")
    return found


def _measure(
    path: Path, name: str, stylizer: Stylizer, scale: int, degradation: Degradation
) -> PictureQuality:
    picture = read_rgb(path)
    if min(picture.size) // scale * scale < LEAST_SIDE:
        raise MediaError(
            f"{path}: {picture.width}x{picture.height} pixels; "
            f"at scale {scale} sides of {-(-LEAST_SIDE // scale) * scale} or more are needed"
        )
    original = crop_to_multiple(picture, scale)
    small = downscale(picture, scale, degradation)
    enlarged = stylizer.stylize(np.asarray(small, dtype=np.uint8))
    matched = match_histogram(enlarged, np.asarray(small, dtype=np.uint8))
    return PictureQuality(
        picture=name,
        width=original.width,
        height=original.height,
        bicubic=_quality(upscale_bicubic(small, scale), original),
        model=_quality(Image.fromarray(enlarged), original),
        model_matched=_quality(Image.fromarray(matched), original),
    )


def _quality(picture: Image.Image, original: Image.Image) -> Quality:
    pixels, reference = (np.asarray(image, dtype=np.uint8) for image in (picture, original))
    psnr = psnr_y(pixels, reference)
    return Quality(psnr if math.isfinite(psnr) else None, ssim_y(pixels, reference))


def _mean(rows: Sequence[Quality]) -> Quality:
    finite = [row.psnr for row in rows if row.psnr is not None]
    return Quality(fmean(finite) if finite else None, fmean(row.ssim for row in rows))
