"""What a worker does with a segment: decode, stylize, encode. An ordinary class; no Ray here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import av

from nst_core.stylizer import Stylizer
from nst_core.yuv import join_frames, split_frames
from pipeline.frames import frame_to_encode, loses_alpha, source_planes
from pipeline.output_frame import OutputFrame, output_encoding, source_encoding
from pipeline.segment_decoder import SegmentDecoder, SegmentTask
from pipeline.segment_encoder import SegmentEncoder

_MOST_FRAMES_PER_BATCH = 8
_PIXELS_PER_BATCH = 4_000_000
"""Bounds the memory of large frames, as they come out: 4 at 720p, 1 at 4K. Stylized frames are as
many as there are threads at least; enlarged ones are not, for each is many times its source."""


@dataclass(frozen=True, repr=False)
class StylizedSegment:
    """A segment done: an encoded piece, and what came to light on the way."""

    number: int
    piece: bytes
    """A file with one closed-GOP stream; empty when no frame could be decoded."""
    pts: tuple[int, ...]
    """Of the frames in the piece, ascending."""
    missing_pts: tuple[int, ...]
    """Owned, but the decoder gave no frame."""
    corrupt_pts: tuple[int, ...]
    """Of the frames in the piece that the decoder marked as damaged, ascending."""
    errors: tuple[str, ...]
    """What the decoder complained of."""
    notes: tuple[str, ...] = ()
    """Lines for the user on what came to light and is not damage."""


class SegmentWorker:
    """Stylizes segments, one after the other, with one Stylizer."""

    def __init__(self, stylizer: Stylizer) -> None:
        self._stylizer = stylizer

    @property
    def engine(self) -> str:
        """What computes, for the report."""
        return self._stylizer.engine

    def process(self, task: SegmentTask) -> StylizedSegment:
        """Decode, stylize and encode. Damage is reported in the result, not raised."""
        stream, output = task.stream, task.output
        decoder = SegmentDecoder(task, threads=self._stylizer.threads)
        encoder = SegmentEncoder(stream, output)
        source, target = source_encoding(stream), output_encoding(stream, output)
        pts: list[int] = []
        for batch in _batches(decoder.frames(), self._batch_size(output)):
            planes = join_frames([source_planes(f, stream, output.taken_size) for f in batch])
            if not stream.transparent and loses_alpha(planes, stream, output):
                decoder.notes.add(
                    f"its transparency, which begins later, is left out: {output.encoder.codec} "
                    "has none; --codec ffv1, prores or vp9 keeps it"
                )
            stylized = self._stylizer.stylize_yuv(
                planes, source, target, tone_mapping=output.tone_mapping
            )
            for frame, one in zip(batch, split_frames(stylized), strict=True):
                assert frame.pts is not None
                encoder.encode(frame_to_encode(one, output), frame.pts)
                pts.append(frame.pts)
        delivered = set(pts)
        return StylizedSegment(
            number=task.segment.number,
            piece=encoder.finish() if pts else b"",
            pts=tuple(pts),
            missing_pts=tuple(p for p in task.segment.owned_pts if p not in delivered),
            corrupt_pts=tuple(decoder.corrupt_pts),
            errors=tuple(decoder.errors),
            notes=tuple(sorted(decoder.notes)),
        )

    def _batch_size(self, output: OutputFrame) -> int:
        if not self._stylizer.computes:
            return 1  # stays in the processor's cache
        pixels = output.shown_width * output.shown_height
        least = self._stylizer.threads if output.scale == 1 else 1
        return max(least, min(_MOST_FRAMES_PER_BATCH, _PIXELS_PER_BATCH // pixels))


def _batches(frames: Iterator[av.VideoFrame], size: int) -> Iterator[list[av.VideoFrame]]:
    batch: list[av.VideoFrame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
