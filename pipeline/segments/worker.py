"""What a worker does with a segment: decode, stylize, encode. An ordinary class; no Ray here.

A worker of one CPU does one after the other, for its core is never idle. One of several, or with a
GPU, decodes the next frames and encodes the last ones while the network computes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice

import av
import torch

from nst_core.coherence import Coherence
from nst_core.color.yuv import join_frames, split_frames
from nst_core.stylizer import Stylizer
from pipeline.encoding.encoder_elsewhere import EncoderElsewhere, FarEncoder
from pipeline.encoding.output_frame import loses_chroma
from pipeline.looks.blending import Weigher, blended_batches
from pipeline.looks.look import Look
from pipeline.segments.begun import Batch, FrameKeeper, Last, unpacked
from pipeline.segments.card_decoder import CardError
from pipeline.segments.decoder import DecoderOnItsWay, SegmentDecoder, begun_by_card
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
from pipeline.source.source_video import VideoStreamInfo
from pipeline.work.read_ahead import prefetch
from pipeline.work.shared_network import SharedStylizer

_FRAMES_COMPARED = 16
"""First frames by which a card's decoder is judged, for a film."""


class SegmentWorker:
    """Stylizes segments, one after the other, with one Stylizer, or with one for each look."""

    def __init__(
        self,
        stylizer: Stylizer | SharedStylizer,
        stylizer_for: Callable[[Look], Stylizer | SharedStylizer] | None = None,
        *,
        elsewhere: FarEncoder | None = None,
    ) -> None:
        """``stylizer_for`` gives the Stylizer of a look; None: ``stylizer`` is for all.

        With an encoder ``elsewhere`` that encodes; ``process`` then raises EncoderLost, too.
        """
        self.engine = stylizer.engine
        """What computes, for the report."""
        self._stylizers = [stylizer]
        """Those of the segment in work, in the order of its looks."""
        self._stylizer_for = stylizer_for or (lambda _: stylizer)
        self._decoder: DecoderOnItsWay | None = None
        self._coherences: dict[Look, Coherence] = {}
        self._coherent: tuple[object, ...] = ()
        """What they are of: frames of another film are not like these."""
        self._card: tuple[int | None, bool] = (None, False)
        """The film last asked for, and whether the graphics card may decode it."""
        self.elsewhere = elsewhere
        self.frames = 0
        """Encoded so far, in all segments."""
        self.encoding_seconds = self.other_seconds = 0.0
        """Seconds of a processor in the caller's thread, for encoding or packing; for the rest."""
        self.tell: Callable[[int, BegunPart | None], None] = lambda frames, part: None
        """Is told how many frames of the segment in work are done, and now and then given what
        to keep of it; not of the last ones: its result tells those."""

    def process(self, task: SegmentTask) -> SegmentResult[bytes]:
        """Decode, stylize and encode. Damage is reported in the result, not raised.

        Raises InputError where a graphics card is to decode and does not.
        """
        self._stylizers = [self._stylizer_for(look) for look in task.looks]
        self.engine = next((each.engine for each in self._stylizers if each.computes), self.engine)
        threads = self._stylizers[0].threads
        notes: set[str] = set()
        decoder = SegmentDecoder(
            task, threads=threads, earlier=self._decoder, by_card=self._uses_card(task, notes)
        )
        self._decoder = None  # until this one has come to its end
        encoder = self._encoder(task)
        owned = set(task.segment.owned_pts)
        pts: list[int] = []
        since = time.thread_time()
        for batch, part in self._batches(task, decoder):
            self.tell(len(pts), part)
            for frame_pts, planes in zip(batch.pts, split_frames(batch.planes), strict=True):
                if frame_pts not in owned:  # those behind follow it
                    continue
                frame = frame_to_encode(planes, task.output)
                made = time.thread_time()
                encoder.encode(frame, frame_pts)
                done = time.thread_time()
                self.other_seconds += made - since
                self.encoding_seconds += done - made
                since = done
                self.frames += 1
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
            notes=tuple(sorted(decoder.notes | notes)),
        )

    def _uses_card(self, task: SegmentTask, notes: set[str]) -> bool:
        """Whether the graphics card decodes a film: where its first frames are software's, too."""
        on_gpu = any(each.on_gpu for each in self._stylizers)
        if task.decoder == "software" or (task.decoder == "auto" and not on_gpu):
            return False
        if task.film is None or task.film != self._card[0]:
            is_equal = False
            try:
                is_equal = equal_by_card(task)
                if not is_equal:
                    notes.add("NVDEC gives other frames than software does: software decodes it")
            except CardError as error:
                if task.decoder == "nvdec":
                    raise error.as_demanded() from error
            self._card = task.film, is_equal
        return self._card[1]

    def _encoder(self, task: SegmentTask) -> SegmentEncoder | EncoderElsewhere:
        if self.elsewhere is None:
            return SegmentEncoder(task.stream, task.output)
        return EncoderElsewhere(self.elsewhere, task.stream, task.output)

    def _batches(
        self, task: SegmentTask, decoder: SegmentDecoder
    ) -> Iterator[tuple[Batch, BegunPart | None]]:
        """Yield what is stylized, first that of a run before, with parts of it to be kept."""
        frames = [*task.segment.warm_pts, *task.segment.owned_pts]
        last, done, parts = None, 0, 0
        for last in unpacked(task.begun, frames):
            yield last, None
            done, parts = done + len(last.pts), parts + 1
        keeper = FrameKeeper(len(frames) - done, task.begun[:parts])
        # Where others are under way, what the next frame follows is not what this batch left.
        is_kept = not (task.coherence and any(each.works_ahead for each in self._stylizers))
        stylized = self._stylized(task, self._decoded(task, decoder), last, decoder.notes)
        for batch in self._beside(stylized):
            yield batch, keeper.add(batch) if is_kept else None

    def _decoded(self, task: SegmentTask, decoder: SegmentDecoder) -> Iterator[Batch]:
        stream, output = task.stream, task.output
        computing = [each for each in self._stylizers if each.computes]
        width, height = output.taken_size
        sizes = [each.frames_a_batch(height, width) for each in computing]
        batches = _batches(decoder.frames(), min(sizes, default=1))

        passes_light = output.encoder.layout.is_float and not computing
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
        self,
        task: SegmentTask,
        batches: Iterator[Batch],
        before: Batch | None,
        notes: set[str],
    ) -> Iterator[Batch]:
        """Stylize what comes behind the batch ``before``, which a run before has done."""
        weigher = Weigher(task)
        new = (batch.behind(before.pts[-1]) if before else batch for batch in batches)
        coherences = self._begun_coherences(task, before.last if before else {})
        some = (batch for batch in new if batch.pts)
        yield from blended_batches(task, some, self._stylizers, coherences, weigher)
        notes.update(weigher.notes)

    def _begun_coherences(self, task: SegmentTask, last: Last) -> list[Coherence | None]:
        """Return those of a segment's looks, each begun after its part of ``last``."""
        if not task.coherence:
            return [None] * len(task.looks)
        if task.film is None or self._coherent != (task.film, task.coherence):
            self._coherences, self._coherent = {}, (task.film, task.coherence)
        # Where work overlaps, frames come in batches, in memory that is used again.
        frames = 0 if self._overlaps else warm_up_frames(task.coherence)
        for number, look in enumerate(task.looks):
            if look not in self._coherences:
                self._coherences[look] = Coherence(task.coherence, remembers=frames)
            self._coherences[look].begin(last.get(number))
        return [self._coherences[look] for look in task.looks]

    @property
    def _overlaps(self) -> bool:
        return any(each.overlaps for each in self._stylizers)

    def _beside(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Have the batches made while others are worked on, where that gains anything."""
        return prefetch(batches) if self._overlaps else batches


def equal_by_card(task: SegmentTask) -> bool:
    """Whether the card gives the first frames of a segment as software does. Raises CardError."""
    by_card = islice(begun_by_card(task), _FRAMES_COMPARED)
    by_software = SegmentDecoder(task, threads=1).frames()
    pairs = zip(by_card, by_software, strict=False)
    return all(_are_equal(*pair, task.stream) for pair in pairs)


def _are_equal(frame: av.VideoFrame, other: av.VideoFrame, stream: VideoStreamInfo) -> bool:
    size = (frame.width, frame.height)
    if (frame.pts, *size) != (other.pts, other.width, other.height):
        return False
    one, two = (source_planes(each, stream, size) for each in (frame, other))
    return torch.equal(one.luma, two.luma) and torch.equal(one.chroma, two.chroma)


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
