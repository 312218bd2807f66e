"""One network for several threads: one of its own computes what all of them hand over.

A device has one queue of work, and a process one set of kernels, graphs and staging memory. Threads
that decode, encode and follow each hand over frames and go on with their own work meanwhile. On a
GPU, frames of several threads are computed in one batch.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Generic, TypeVar

from nst_core.coherence import Coherence
from nst_core.color.tone_mapping import ToneMapping
from nst_core.color.yuv import YuvFrames, join_frames
from nst_core.color.yuv_encoding import YuvEncoding
from nst_core.stylizer import Stylizer

Key = TypeVar("Key")
"""What a Stylizer is for: a look."""

_MOST_AHEAD = 2
"""Batches of a thread that are handed over and not fetched yet."""
_IDLE_SECONDS = 1.0
"""Without work, after which the streams and staging memory of a device are given up."""


@dataclass(eq=False)
class _Request:
    """Frames to be computed, and who waits for them."""

    kind: tuple[object, ...]
    """Stylizer, encodings, tone mapping, sizes: those of one kind can be computed together."""
    stylizer: Stylizer
    frames: YuvFrames
    how: tuple[YuvEncoding, YuvEncoding, ToneMapping | None]
    made: Future[YuvFrames] = field(default_factory=Future)


class SharedNetwork(Generic[Key]):
    """The thread that computes; it lives as long as there is work, and a little longer."""

    def __init__(self, stylizer_for: Callable[[Key], Stylizer]) -> None:
        """``stylizer_for`` builds the Stylizer of a key, or returns the one that it has built."""
        self._stylizer_for = stylizer_for
        self._waiting: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        self._thread = ThreadPoolExecutor(1, "network")
        self._building = Lock()
        self._lock = Lock()
        self._serves = False
        self.seconds_waited = 0.0
        """Seconds that it had nothing to compute; of each longer pause the first one."""
        self.processor_seconds = 0.0
        """Seconds of a processor that the thread has used."""

    def at(self, key: Key) -> SharedStylizer:
        """Return what a thread uses in place of the Stylizer of a key."""
        with self._building:
            return SharedStylizer(self._stylizer_for(key), self)

    def hand_over(self, request: _Request) -> None:
        """Have a request computed behind those before it."""
        self._waiting.put(request)
        with self._lock:
            if not self._serves:
                self._serves = True
                self._thread.submit(self._serve)

    def _serve(self) -> None:
        request = self._next()
        while request is not None:
            request = self._stream(request) or self._next()

    def _next(self) -> _Request | None:
        """The next request; None, and the end of the thread, when none has come."""
        with self._lock:
            self._serves = not self._waiting.empty()
            return self._waiting.get() if self._serves else None

    def _stream(self, first: _Request) -> _Request | None:
        """Compute requests of one kind as they come; returns the first one of another."""
        under_way: deque[list[_Request]] = deque()
        other: list[_Request] = []
        stylizer, (source, target, tone_mapping) = first.stylizer, first.how

        def batches() -> Iterator[YuvFrames | None]:
            request: _Request | None = first
            while request is not None and request.kind == first.kind:
                together = [request, *self._others_like(request, other)]
                under_way.append(together)
                yield join_frames([each.frames for each in together])
                while not other and self._waiting.empty() and under_way:
                    yield None
                request = other.pop() if other else self._next_soon()
            other.extend([request] if request is not None else [])

        try:
            for made in stylizer.make_yuv_batches(
                batches(), source, target, tone_mapping=tone_mapping
            ):
                _give(under_way.popleft(), made)
                self.processor_seconds = time.thread_time()
        except BaseException as error:
            for request in (each for together in under_way for each in together):
                request.made.set_exception(error)
        return other.pop() if other else None

    def _others_like(self, request: _Request, other: list[_Request]) -> Iterator[_Request]:
        """Draw what waits and fits into one batch with it; what does not goes to ``other``."""
        room = request.stylizer.frames_together(request.frames) - len(request.frames.luma)
        while room > 0 and (following := self._next_at_once()) is not None:
            room -= len(following.frames.luma)
            if following.kind != request.kind or room < 0:
                other.append(following)
                return
            yield following

    def _next_soon(self) -> _Request | None:
        """The next request; None when none comes for a while."""
        began = time.monotonic()
        try:
            return self._waiting.get(timeout=_IDLE_SECONDS)
        except queue.Empty:
            return None
        finally:
            self.seconds_waited += time.monotonic() - began

    def _next_at_once(self) -> _Request | None:
        try:
            return self._waiting.get_nowait()
        except queue.Empty:
            return None


def _give(requests: list[_Request], made: YuvFrames) -> None:
    """Hand each its part of a batch."""
    start = 0
    for request in requests:
        end = start + len(request.frames.luma)
        request.made.set_result(YuvFrames(made.luma[start:end], made.chroma[start:end]))
        start = end


class SharedStylizer:
    """What a thread uses in place of a Stylizer; its frames are computed by the shared thread."""

    overlaps = False
    """The caller's thread decodes and encodes itself while its frames are computed elsewhere."""
    works_ahead = False
    """What follows a frame is made when it is fetched, whatever is under way elsewhere."""

    def __init__(self, stylizer: Stylizer, network: SharedNetwork[Any]) -> None:
        self._stylizer = stylizer
        self._network = network
        self.threads = 1
        """For the caller's own work, decoding."""

    @property
    def engine(self) -> str:
        """What computes, for the report."""
        return self._stylizer.engine

    @property
    def computes(self) -> bool:
        """Whether a network is run."""
        return self._stylizer.computes

    @property
    def on_gpu(self) -> bool:
        """Whether torch computes frames on a GPU."""
        return self._stylizer.on_gpu

    def frames_a_batch(self, height: int, width: int) -> int:
        """How many frames to hand over at once, where they are not joined with others'."""
        if self.on_gpu:
            return 1
        return self._stylizer.frames_a_batch(height, width)

    def stylize_yuv_batches(
        self,
        batches: Iterable[YuvFrames | None],
        source: YuvEncoding,
        target: YuvEncoding,
        *,
        tone_mapping: ToneMapping | None = None,
        coherence: Coherence | None = None,
    ) -> Iterator[YuvFrames]:
        """Do what Stylizer.stylize_yuv_batches does."""
        ahead: deque[tuple[YuvFrames, Future[YuvFrames]]] = deque()

        def fetched() -> YuvFrames:
            frames, made = ahead.popleft()
            result = made.result()
            if coherence:
                coherence.remember(frames, result)
            return self._stylizer.finished(frames, result, source, target, coherence)

        for frames in batches:
            if frames is not None:
                ahead.append(
                    (frames, self._made(frames, (source, target, tone_mapping), coherence))
                )
            if ahead and (frames is None or len(ahead) > _MOST_AHEAD):
                yield fetched()
        while ahead:
            yield fetched()

    def _made(
        self,
        frames: YuvFrames,
        how: tuple[YuvEncoding, YuvEncoding, ToneMapping | None],
        coherence: Coherence | None,
    ) -> Future[YuvFrames]:
        known = coherence.remembered(frames) if coherence else None
        if known is None and not self.computes:
            (known,) = self._stylizer.make_yuv_batches([frames], *how[:2], tone_mapping=how[2])
        if known is not None:
            made: Future[YuvFrames] = Future()
            made.set_result(known)
            return made
        planes = [frames.luma, frames.chroma, frames.alpha]
        sizes = [None if each is None else (each.shape[1:], each.dtype) for each in planes]
        request = _Request((self._stylizer, *how, *sizes), self._stylizer, frames, how)
        self._network.hand_over(request)
        return request.made
