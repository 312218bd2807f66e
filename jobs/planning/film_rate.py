"""The rate at which films are stylized here: a few frames are decoded, stylized and encoded."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np

from jobs.applying.workers import make_segment_worker
from jobs.planning.crew import Crew
from jobs.planning.trial import Done, Trial
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.films.film import Film
from pipeline.films.plan import FilmPlan
from pipeline.segments.encoder import packet_bytes
from pipeline.segments.packet_reader import PacketReader
from pipeline.segments.plan import Segment, sample_of
from pipeline.segments.task import SegmentResult, SegmentTask

_SECONDS_OF_A_SAMPLE = 1.0
_SAMPLES = 3
"""Samples of each worker, all from different places of the film."""
_FEWEST_FRAMES, _MOST_FRAMES = 2, 240
"""Frames of a sample."""
_WARM_UP_FRAMES = 2
_WARM_UP_FRAMES_ON_GPU = 64
"""Frames after which a graph of a GPU's kernels is made and used."""
_SECONDS_OF_TRIALS = 20.0
"""After which films of other kinds are not measured but judged by their pixels."""


@dataclass(frozen=True)
class Rate:
    """What was measured on one film, and holds for those like it."""

    engine: str
    seconds_a_frame: float
    """Seconds of one worker, while all of them work."""
    seconds_to_warm_up: float
    """What a worker needs once: to be built, and for the first frames of a size."""
    first_bytes: float
    """Bytes of the first packet of a piece, a keyframe."""
    other_bytes: float
    """Bytes of each other packet."""
    pixels: int
    """Pixels of a frame that the network takes."""
    frames: int
    """Frames that were measured."""
    worker_bytes: int
    """Memory of a worker."""

    def seconds_of(self, segment: Segment, pixels: int, kept: int) -> float:
        """Return what a worker needs for a segment whose frames have so many ``pixels``.

        ``kept`` of them are only decoded and encoded: that is not counted.
        """
        frames = len(segment.warm_pts) + len(segment.owned_pts) - kept
        return frames * self.seconds_a_frame * pixels / self.pixels

    def bytes_of(self, segments: Iterable[Segment], pixels: int) -> int:
        """Return the bytes of the pieces of segments whose frames have so many ``pixels``."""
        frames = [len(segment.owned_pts) for segment in segments]
        more_for_the_first = self.first_bytes - self.other_bytes
        size = len(frames) * more_for_the_first + sum(frames) * self.other_bytes
        return int(size * pixels / self.pixels)


class Rates:
    """The rates of films in one style: one is measured of each kind of film."""

    def __init__(self, styles: Mapping[StyleSpec, Style], crew: Crew) -> None:
        self._styles = styles
        self._crew = crew
        self._began = time.monotonic()
        self._known: dict[tuple[object, ...], Rate] = {}

    @property
    def measured(self) -> list[Rate]:
        """Those that were measured, the first one first."""
        return list(self._known.values())

    def of(self, film: Film) -> Rate:
        """Return the rate of a film that has segments left. Raises what a worker raises."""
        info, output, looks = film.plan.source.info, film.plan.output, film.plan.looks
        kind = (
            *(info.codec, info.pixel_format, output.encoder, output.taken_size),
            *(looks.first, looks.is_one, film.plan.coherence > 0),
            output.tone_mapping is not None,
        )
        if kind in self._known:
            return self._known[kind]
        if self._known and time.monotonic() - self._began > _SECONDS_OF_TRIALS:
            pixels = pixels_of(film.plan)
            return min(self._known.values(), key=lambda each: abs(each.pixels - pixels))
        make_worker = partial(make_segment_worker, self._styles, looks.first)
        with closing(Trial(make_worker, self._crew)) as trial:
            self._known[kind] = _measured(film, trial, on_gpu=self._crew.on_gpu)
        return self._known[kind]


def pixels_of(plan: FilmPlan) -> int:
    """Return the pixels of a frame that the network takes."""
    width, height = plan.output.taken_size
    return width * height


def _measured(film: Film, trial: Trial, *, on_gpu: bool) -> Rate:
    """Do samples of a film's segments that are left; the first frames warm up, and do not count."""
    plan, segments = film.plan, film.segments_left
    frames = _WARM_UP_FRAMES_ON_GPU if on_gpu else _WARM_UP_FRAMES
    with closing(PacketReader(plan.source)) as reader:
        first = [*_samples(plan, reader, segments[:1], frames)] * trial.count
        cold = trial.do(first)
        warm = trial.do(first)
        pace = _seconds_a_frame(warm)
        done = [*warm]
        if pace * frames < _SAMPLES * _SECONDS_OF_A_SAMPLE:
            frames = int(np.clip(_SECONDS_OF_A_SAMPLE / pace, _FEWEST_FRAMES, _MOST_FRAMES))
            places = np.linspace(0, len(segments) - 1, _SAMPLES * trial.count).round().astype(int)
            done = []
            for some in np.split(places, _SAMPLES):
                at_places = [segments[place] for place in some]
                done += trial.do([*_samples(plan, reader, at_places, frames)])
    longer = max(each.seconds for each in cold) - max(each.seconds for each in warm)
    pieces = [packet_bytes(each.result.piece) for each in done if each.result.piece]
    others = [size for piece in pieces for size in piece[1:]]
    first_bytes = float(np.mean([piece[0] for piece in pieces])) if pieces else 0.0
    return Rate(
        engine=trial.engine,
        seconds_a_frame=_seconds_a_frame(done),
        seconds_to_warm_up=trial.seconds_to_build + max(0.0, longer),
        first_bytes=first_bytes,
        other_bytes=float(np.mean(others)) if others else first_bytes,
        pixels=pixels_of(plan),
        frames=sum(_frames(each.result) for each in done),
        worker_bytes=trial.worker_bytes,
    )


def _samples(
    plan: FilmPlan, reader: PacketReader, segments: Iterable[Segment], frames: int
) -> Iterator[SegmentTask]:
    for each in segments:
        sample = sample_of(plan.source.packets, each, frames)
        yield plan.task(sample, reader.read(sample))


def _seconds_a_frame(done: Sequence[Done]) -> float:
    frames = sum(_frames(each.result) for each in done)
    return sum(each.seconds for each in done) / frames


def _frames(result: SegmentResult[bytes]) -> int:
    return len(result.pts) + len(result.missing_pts)
