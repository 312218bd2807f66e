"""Measuring a stylized video: how much it flickers, beside its source, and where most."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from jobs.evaluating.flicker_plot import draw_plot
from jobs.specs.evaluating import EvaluateFlicker
from nst_core.checks import check_new_file
from nst_core.errors import MediaError
from nst_core.measures.warping_error import LEAST_SIDE, PairError, WarpingError, pair_error
from nst_core.processors import usable_processors
from pipeline.films.finished_films import recorded_span
from pipeline.films.paired_frames import FramePair, VideoPair, open_pair
from pipeline.films.plan import input_state
from pipeline.films.span import timecode
from pipeline.pictures.outputs.saving import save_picture
from pipeline.work.progress import OnProgress, Progress, ignore_progress

Verdict = Literal["still", "steady", "unsteady", "flickering", "strongly flickering"]

_VERDICTS: tuple[tuple[float, Verdict], ...] = (
    (1.5, "still"),
    (8.0, "steady"),
    (13.0, "unsteady"),
    (20.0, "flickering"),
    (math.inf, "strongly flickering"),
)
"""Up to how many levels beyond the source. At 480x270 and 24 frames a second a film encoded once
more came to 0.7 at most, bundled styles with --coherence 0.7 to 7 to 19, without to 10 to 27."""
_PLACES = 5
_SECONDS_APART = 1.0
"""Between the worst places: nearer ones are one."""


@dataclass(frozen=True)
class Place:
    """Two consecutive frames between which the output changes more than its source."""

    timecode: str
    """When the second one is shown, in the output."""
    seconds: float
    levels: float
    """As VideoEvaluation.levels, of these two alone."""
    warping_error: float
    source_warping_error: float


@dataclass(frozen=True)
class VideoEvaluation:
    """What the comparison came to; the fields of the command's JSON."""

    source: str
    output: str
    span: dict[str, float | None] | None
    """The part of the source that is compared, in seconds; None: all of it."""
    width: int
    """Width of the compared frames, which is the output's."""
    height: int
    frames: int
    """Compared: as many as both videos have, in the order of showing."""
    source_frames: int
    """In the whole file, or in its part."""
    output_frames: int
    are_by_time: bool
    """Whether frames shown at the same time are compared, some of a video having no partner
    before the other one's end."""
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
    levels: float
    """Root mean square of what the output changes beyond its source, in levels of 255."""
    verdict: Verdict
    worst: list[Place]
    """The worst first."""
    plot: str | None


def evaluate_video(
    job: EvaluateFlicker, on_progress: OnProgress = ignore_progress
) -> VideoEvaluation:
    """Measure the warping error of a video along the motion of its source; draw the plot.

    Videos of different lengths are compared over the frames that both have. Raises InputError for
    a plot that may not be written, MediaError for files that cannot be decoded, are too small, or
    have no two consecutive frames in common.
    """
    source, output = job.video
    if job.plot:
        check_new_file(
            "--plot", job.plot, inputs=job.video, overwrite=job.overwrite, example="flicker.png"
        )
    span = job.span or recorded_span(output, input_state(source))
    pair = open_pair(source, output, span)
    width, height = pair.size
    if min(width, height) < LEAST_SIDE:
        raise MediaError(
            f"{output}: {width}x{height}; sides of {LEAST_SIDE} pixels or more are needed"
        )
    error = WarpingError(list(_errors(pair, on_progress)))
    frames = len(error.errors) + 1
    if not error.pairs:
        raise MediaError(
            f"{source} and {output}: no two consecutive frames to compare "
            f"({frames} in common, {error.cuts} cuts); name a source and what was made of it"
        )
    times = pair.seconds[1:frames]
    worst = _worst(error.errors, times)
    if job.plot:
        plot = draw_plot(times, error.errors, [place.seconds for place in worst])
        save_picture(str(job.plot), np.asarray(plot), quality=95)
    floor = error.of_source
    levels = _levels(error.of_output, floor)
    return VideoEvaluation(
        source=str(source),
        output=str(output),
        span=span.in_report if span else None,
        width=width,
        height=height,
        frames=frames,
        source_frames=pair.source_frames,
        output_frames=pair.output_frames,
        are_by_time=any(one != other for one, other in pair.matches),
        pairs=error.pairs,
        cuts=error.cuts,
        warping_error=error.of_output,
        source_warping_error=floor,
        ratio=error.of_output / floor if floor else None,
        visible_fraction=error.visible_fraction,
        levels=levels,
        verdict=next(word for most, word in _VERDICTS if levels <= most),
        worst=worst,
        plot=str(job.plot) if job.plot else None,
    )


def _errors(pair: VideoPair, on_progress: OnProgress) -> Iterator[PairError | None]:
    """Compare consecutive frames, several pairs at once, in their order."""
    threads, total = usable_processors(), len(pair.matches)
    waiting: deque[Future[PairError | None]] = deque()
    done = 1
    with ThreadPoolExecutor(threads, "flow") as pool:
        last: FramePair | None = None
        for now in pair.frames():
            if last is not None:
                moments = ((each.source, each.output) for each in (last, now))
                waiting.append(pool.submit(pair_error, *moments))
            last = now
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
                done += 1
                on_progress(Progress(done, total, "frames"))
        for one in waiting:
            yield one.result()
    on_progress(Progress(done + len(waiting), total, "frames"))


def _levels(output: float, source: float) -> float:
    return 255 * math.sqrt(max(0.0, output - source))


def _worst(errors: Sequence[PairError | None], times: Sequence[float]) -> list[Place]:
    """Find the pairs where the output changes most beyond its source, apart from each other."""
    places = [
        Place(timecode(Fraction(at)), at, _levels(one.output, one.source), one.output, one.source)
        for at, one in zip(times, errors, strict=True)
        if one
    ]
    worst: list[Place] = []
    for place in sorted(places, key=lambda place: -place.levels):
        if len(worst) == _PLACES or not place.levels:
            break
        if all(abs(place.seconds - other.seconds) >= _SECONDS_APART for other in worst):
            worst.append(place)
    return worst
