"""What a worker does with a segment: decode, stylize, encode. An ordinary class; no Ray here.

A worker of one CPU does one after the other, for its core is never idle. One of several, or with a
GPU, decodes the next frames and encodes the last ones while the network computes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import av

from nst_core.coherence import Coherence
from nst_core.color.yuv import YuvFrames, join_frames, split_frames
from nst_core.stylizer import Stylizer
from pipeline.encoding.output_frame import loses_chroma, output_encoding, source_encoding
from pipeline.segments.begun import Batch, FrameKeeper, Last, unpacked
from pipeline.segments.decoder import DecoderOnItsWay, SegmentDecoder
from pipeline.segments.encoder import SegmentEncoder
from pipeline.segments.frames import (
    frame_to_encode,
    loses_alpha,
    loses_light,
    shows_color,
    source_planes,
)
from pipeline.segments.plan import warm_up_frames
from pipeline.segments.task import BegunPart, SegmentResult, SegmentTask
from pipeline.work.read_ahead import prefetch


class SegmentWorker:
    """Stylizes segments, one after the other, with one Stylizer, or with one for each stroke."""

    def __init__(
        self, stylizer: Stylizer, at_stroke: Callable[[float], Stylizer] | None = None
    ) -> None:
        """``at_stroke`` gives the Stylizer of a film's stroke; None: ``stylizer`` is for all."""
        self._stylizer = stylizer
        self._at_stroke = at_stroke
        self._decoder: DecoderOnItsWay | None = None
        self._coherence = Coherence(0)
        self._coherent: tuple[object, ...] = ()
        """What it is of: frames of another film or stroke are not like these."""
        self.tell: Callable[[int, BegunPart | None], None] = lambda frames, part: None
        """Is told how many frames of the segment in work are done, and now and then given what
        to keep of it; not of the last ones: its result tells those."""

    @property
    def engine(self) -> str:
        """What computes, for the report."""
        return self._stylizer.engine

    def process(self, task: SegmentTask) -> SegmentResult[bytes]:
        """Decode, stylize and encode. Damage is reported in the result, not raised."""
        if self._at_stroke:
            self._stylizer = self._at_stroke(task.stroke)
        decoder = SegmentDecoder(task, threads=self._stylizer.threads, earlier=self._decoder)
        self._decoder = None  # until this one has come to its end
        encoder = SegmentEncoder(task.stream, task.output)
        owned = set(task.segment.owned_pts)
        pts: list[int] = []
        for batch, part in self._batches(task, decoder):
            self.tell(len(pts), part)
            for frame_pts, planes in zip(batch.pts, split_frames(batch.planes), strict=True):
                if frame_pts not in owned:  # those behind follow it
                    continue
                encoder.encode(frame_to_encode(planes, task.output), frame_pts)
                pts.append(frame_pts)
        self._decoder = decoder.on_its_way
        delivered = set(pts)
        return SegmentResult(
            number=task.segment.number,
            piece=encoder.finish() if pts else b"",
            pts=tuple(pts),
            missing_pts=tuple(p for p in task.segment.owned_pts if p not in delivered),
            corrupt_pts=tuple(decoder.corrupt_pts),
            errors=tuple(decoder.errors),
            notes=tuple(sorted(decoder.notes)),
        )

    def _batches(
        self, task: SegmentTask, decoder: SegmentDecoder
    ) -> Iterator[tuple[Batch, BegunPart | None]]:
        """Yield what is stylized, first that of a run before, with parts of it to be kept."""
        frames = [*task.segment.warm_pts, *task.segment.owned_pts]
        last, done, parts = None, 0, 0
        for last in unpacked(task.begun, frames):
            yield last, None
            done, parts = done + len(last.pts), parts + 1
        keeper = FrameKeeper(len(frames) - done, parts)
        # Where others are under way, what the next frame follows is not what this batch left.
        is_kept = not (task.coherence and self._stylizer.works_ahead)
        for batch in self._stylized(task, self._decoded(task, decoder), last):
            yield batch, keeper.add(batch) if is_kept else None

    def _decoded(self, task: SegmentTask, decoder: SegmentDecoder) -> Iterator[Batch]:
        stream, output = task.stream, task.output
        size = self._stylizer.frames_a_batch(output.taken_size[1], output.taken_size[0])
        batches = _batches(decoder.frames(), size)

        passes_light = output.encoder.layout.is_float and not self._stylizer.computes
        may_lose_light = stream.layout.is_float and not passes_light
        may_lose_color = stream.colorless and loses_chroma(stream, output)

        def taken() -> Iterator[Batch]:
            for frames in batches:
                planes = join_frames([source_planes(f, stream, output.taken_size) for f in frames])
                if not stream.transparent and loses_alpha(planes, stream, output):
                    decoder.notes.add(
                        "its transparency, which begins later, is left out: "
                        f"{output.encoder.codec} has none; --codec ffv1, prores or vp9 keeps it"
                    )
                if may_lose_light and loses_light(planes):
                    decoder.notes.add(
                        "what is brighter than 1 in it is clipped: networks and displays see 0 to "
                        "1, sRGB-encoded"
                    )
                if may_lose_color and shows_color(planes, stream):
                    decoder.notes.add(
                        "its colours, which begin later, are written with fewer samples than it "
                        f"has by {output.encoder.codec}; --codec ffv1 or prores keeps them"
                    )
                yield Batch([_pts(frame) for frame in frames], planes)

        return self._beside(taken())

    def _stylized(
        self, task: SegmentTask, batches: Iterator[Batch], before: Batch | None
    ) -> Iterator[Batch]:
        """Stylize what comes behind the batch ``before``, which a run before has done."""
        pts_of_batches: deque[Sequence[int]] = deque()  # on a GPU two batches are under way
        coherence = self._begun_coherence(task, before.last if before else ())

        def planes() -> Iterator[YuvFrames]:
            for batch in batches:
                new = batch.behind(before.pts[-1]) if before else batch
                if new.pts:
                    pts_of_batches.append(new.pts)
                    yield new.planes

        stylized = self._stylizer.stylize_yuv_batches(
            planes(),
            source_encoding(task.stream),
            output_encoding(task.stream, task.output),
            tone_mapping=task.output.tone_mapping,
            coherence=coherence,
        )
        return self._beside(
            Batch(pts_of_batches.popleft(), each, (coherence and coherence.last) or ())
            for each in stylized
        )

    def _begun_coherence(self, task: SegmentTask, last: Last) -> Coherence | None:
        if not task.coherence:
            return None
        of = task.film, task.stroke, task.coherence
        if task.film is None or self._coherent != of:
            # Where work overlaps, frames come in batches, in memory that is used again.
            frames = 0 if self._stylizer.overlaps else warm_up_frames(task.coherence)
            self._coherence, self._coherent = Coherence(task.coherence, remembers=frames), of
        self._coherence.begin(cast("tuple[Any, Any, Any]", last) if last else None)
        return self._coherence

    def _beside(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Have the batches made while others are worked on, where that gains anything."""
        return prefetch(batches) if self._stylizer.overlaps else batches


def _pts(frame: av.VideoFrame) -> int:
    assert frame.pts is not None
    return frame.pts


def _batches(frames: Iterator[av.VideoFrame], size: int) -> Iterator[list[av.VideoFrame]]:
    batch: list[av.VideoFrame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
