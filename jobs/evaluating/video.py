"""Measuring a stylized video: how much it flickers, beside its source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nst_core.errors import MediaError
from nst_core.measures.warping_error import LEAST_SIDE, WarpingError
from pipeline.films.paired_frames import VideoPair, open_pair
from pipeline.work.progress import OnProgress, Progress, ignore_progress


@dataclass(frozen=True)
class VideoEvaluation:
    """What the comparison came to; the fields of the command's JSON."""

    source: str
    output: str
    width: int
    """Width of the compared frames, which is the output's."""
    height: int
    frames: int
    """Compared: as many as both videos have, in the order of showing."""
    source_frames: int
    """In the whole file."""
    output_frames: int
    pairs: int
    """Consecutive frames compared, cuts left out."""
    cuts: int
    warping_error: float
    """The output's mean squared difference, RGB in [0, 1]; see warping_error.py."""
    source_warping_error: float
    """The same for the source: the floor that noise and the flow's errors leave."""
    ratio: float | None
    """Output over source; None where the source's is 0."""
    visible_fraction: float
    """Mean share of pixels compared, the rest being occluded or at motion boundaries."""


def evaluate_video(
    source: Path, output: Path, on_progress: OnProgress = ignore_progress
) -> VideoEvaluation:
    """Measure the warping error of ``output`` along the motion of ``source``.

    Videos of different lengths are compared over the frames that both have. Raises MediaError for
    files that cannot be decoded, are too small, or have no two consecutive frames in common.
    """
    pair = open_pair(source, output)
    width, height = pair.size
    if min(width, height) < LEAST_SIDE:
        raise MediaError(
            f"{output}: {width}x{height}; sides of {LEAST_SIDE} pixels or more are needed"
        )
    error = _measure(pair, on_progress)
    if not error.pairs:
        raise MediaError(
            f"{source} and {output}: no two consecutive frames to compare "
            f"({error.frames} in common, {error.cuts} cuts); name a source and what was made of it"
        )
    floor = error.of_source
    return VideoEvaluation(
        source=str(source),
        output=str(output),
        width=width,
        height=height,
        frames=error.frames,
        source_frames=pair.source_frames,
        output_frames=pair.output_frames,
        pairs=error.pairs,
        cuts=error.cuts,
        warping_error=error.of_output,
        source_warping_error=floor,
        ratio=error.of_output / floor if floor else None,
        visible_fraction=error.visible_fraction,
    )


def _measure(pair: VideoPair, on_progress: OnProgress) -> WarpingError:
    error = WarpingError()
    total = min(pair.source_frames, pair.output_frames)
    for frames in pair.frames():
        error.add(frames.source, frames.output)
        on_progress(Progress(error.frames, total, "frames"))
    return error
