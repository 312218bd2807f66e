"""Frames and pictures of a preview in a style, under a mask, by a timeline: as a run makes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.applying.workers import make_stylizer
from jobs.preview.frames import Shown
from jobs.specs.applying import StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.color.pixels import to_bytes
from nst_core.color.yuv import yuv_to_rgb
from nst_core.errors import MediaError
from nst_core.kept_stylizers import KeptStylizers
from nst_core.stylizer import Stylizer
from pipeline.encoding.encoders import choose_encoder
from pipeline.encoding.output_frame import output_encoding, plan_output
from pipeline.looks.blending import Weigher, blended_batches
from pipeline.looks.direction import Direction
from pipeline.looks.film_looks import FilmLooks
from pipeline.looks.look import Look
from pipeline.numbered.probing import probe_film
from pipeline.pictures.inputs.masks import blended
from pipeline.segments.begun import Batch
from pipeline.segments.decoder import SegmentDecoder
from pipeline.segments.frames import source_planes
from pipeline.segments.packet_reader import PacketReader
from pipeline.segments.plan import segment_of
from pipeline.segments.task import SegmentTask
from pipeline.source.trimming import film_seconds

_SAME_TIME = 0.001
"""Seconds by which times that are the same may differ."""


class Directed:
    """Applies a direction to frames of films, and its style and mask to pictures."""

    def __init__(self, direction: Direction, job: StylizeVideo) -> None:
        """``job`` is the run of the films."""
        self._direction = direction
        self._job = job
        self._stylizers = KeptStylizers(self._build)

    @property
    def engine(self) -> str:
        """What computes, for the report."""
        return self._stylizers.engine

    def each(self, shown: Sequence[Shown]) -> Iterator[NDArray[np.uint8]]:
        """Yield what becomes of frames and pictures: H x W x 3, before they are displayed.

        Raises InputError and MediaError, also where a mask ends before its film.
        """
        is_plain = self._direction.scene.mask is None and not self._direction.timeline
        for path, some in groupby(shown, key=lambda each: each.input):
            frames = [*some]
            seconds = [each.seconds for each in frames if each.seconds is not None]
            if is_plain or not seconds:
                yield from map(self._picture, frames)
            else:
                yield from self._frames(Path(path), seconds)

    def _picture(self, shown: Shown) -> NDArray[np.uint8]:
        scene = self._direction.scene
        inside = self._stylized(scene.spec, shown.rgb)
        if shown.mask is None or scene.rest is None:
            return inside
        return blended(inside, self._stylized(scene.rest, shown.rgb), shown.mask)

    def _stylized(self, spec: StyleSpec, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        strokes = spec.strokes_of(self._direction.styles[spec])
        return self._stylizers.at(Look(spec, strokes.of(*rgb.shape[:2]))).stylize(rgb)

    def _frames(self, path: Path, times: Iterable[float]) -> Iterator[NDArray[np.uint8]]:
        """Do what a worker does with segments of one frame, but for the encoder."""
        source = probe_film(path)
        info = source.info
        encoder = choose_encoder(Path(self._job.output), info, self._job)
        output = plan_output(info, encoder, self._job)
        looks = FilmLooks(self._direction, source, output.taken_size, None)
        shown = source.packets.shown_pts
        ends = film_seconds(source, shown)[1:]
        with closing(looks), PacketReader(source) as reader:
            for seconds in times:
                place = int(np.searchsorted(ends, seconds + _SAME_TIME, side="right"))
                segment = segment_of(source.packets, place, shown[place : place + 1])
                packets = reader.read(segment)
                task = SegmentTask(segment, info, output, packets, **looks.of(segment))
                found = [*SegmentDecoder(task, threads=1).frames()]
                if not found:
                    raise MediaError(f"{path}: no frame of it can be decoded at {seconds:.2f} s")
                planes = source_planes(found[0], info, output.taken_size)
                (made,) = blended_batches(
                    task,
                    iter([Batch(segment.owned_pts, planes)]),
                    [self._stylizers.at(look) for look in task.looks],
                    [None] * len(task.looks),
                    Weigher(task),
                )
                yield to_bytes(yuv_to_rgb(made.planes, output_encoding(info, output)))[0]

    def _build(self, look: Look) -> Stylizer:
        return make_stylizer(self._direction.styles[look.spec], look.spec, look.stroke)
