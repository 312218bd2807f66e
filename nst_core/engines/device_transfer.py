"""Frames to the device and back while it computes: pinned memory, and streams of their own.

Batch n + 1 goes up while batch n is computed, and batch n - 1 comes down and is handed out. What
travels are planes, 1.5 bytes a pixel in 8 bits. Two batches are under way at most, each in a slot
of staging memory that is kept for the next batch of its size. A slot is taken again only when its
batch has arrived, which the CPU has waited for: so no stream can still be reading it, and no
tensor needs ``record_stream``.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import cycle

import torch
from torch import Tensor

from nst_core.color.yuv import YuvFrames
from nst_core.wording import first_line

_log = logging.getLogger(__name__)

_MOST_UNDER_WAY = 2

Compute = Callable[[YuvFrames], YuvFrames]
Started = Callable[[], YuvFrames]
"""A batch on its way: waits for it, and returns it."""


def overlapped(
    batches: Iterable[YuvFrames | None], compute: Compute, device: torch.device
) -> Iterator[YuvFrames]:
    """Compute batches on ``device``; yield the results on the CPU, in order.

    ``compute`` maps planes on the device to planes of any size there. The result may share memory
    with its argument, and neither may be kept: their memory is used again. What is yielded has
    memory of its own.

    None among the batches is "none now": what is under way comes out, then it asks again.

    On the CPU, and on GPUs that are not CUDA's, they are computed one by one. Where memory cannot
    be pinned, copies wait for each other, and one warning is logged.

    What ``compute`` or ``batches`` raise is raised once the results before it are handed out. No
    batch after it has been taken from ``batches`` then: another call can go on with the rest.
    """
    if device.type != "cuda":
        return one_by_one(batches, compute, device)
    transfer = _Transfer(compute, device)
    return under_way(batches, transfer.start, transfer.wait)


def one_by_one(
    batches: Iterable[YuvFrames | None], compute: Compute, device: torch.device
) -> Iterator[YuvFrames]:
    """Do the same without streams: each batch goes there and comes back before the next."""
    home = torch.device("cpu")
    return (compute(batch.to(device)).to(home) for batch in batches if batch is not None)


def under_way(
    batches: Iterable[YuvFrames | None],
    start: Callable[[YuvFrames], Started],
    wait: Callable[[], None],
) -> Iterator[YuvFrames]:
    """Keep two batches started; yield results in order. ``wait`` ends all work, also early."""
    remaining = iter(batches)
    batch: YuvFrames | None = None
    running: deque[Started] = deque()
    failure: Exception | None = None
    try:
        while failure is None:
            try:
                batch = next(remaining)
                if batch is not None:
                    running.append(start(batch))
            except StopIteration:
                break
            except Exception as error:
                failure = error
            if running and (batch is None or len(running) == _MOST_UNDER_WAY):
                yield running.popleft()()
        while running:
            yield running.popleft()()
        if failure is not None:
            raise failure
    finally:
        failure = None  # its traceback holds this frame, and the tensors of those below
        wait()
        running.clear()


class _Transfer:
    """Starts batches on a CUDA device."""

    def __init__(self, compute: Compute, device: torch.device) -> None:
        self._compute = compute
        self._device = device
        self._own = _own_stream(device)
        self._own.wait_stream(torch.cuda.default_stream(device))  # weights may be on their way
        self._upload = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._download = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._slots = cycle([_Slot() for _ in range(_MOST_UNDER_WAY)])
        self._pins = True

    def start(self, batch: YuvFrames) -> Started:
        """Have a batch computed, behind those before it."""
        with torch.cuda.stream(self._own):
            return self._start(batch)

    def _start(self, batch: YuvFrames) -> Started:
        slot = next(self._slots)
        if not self._pins or not self._pinned(slot.stage, batch):
            arrived = self._compute(batch.to(self._device)).to(torch.device("cpu"))
            return lambda: arrived
        with torch.cuda.stream(self._upload):
            frames = slot.upload(self._device)
        self._own.wait_stream(self._upload)
        result = self._compute(frames)
        if not self._pinned(slot.make_room, result):
            arrived = result.to(torch.device("cpu"))
            return lambda: arrived
        self._download.wait_stream(self._own)
        with torch.cuda.stream(self._download):
            return slot.download(result)

    def wait(self) -> None:
        """End all that the device does: memory may go only then."""
        torch.cuda.synchronize(self._device)

    def _pinned(self, pin: Callable[[YuvFrames], None], frames: YuvFrames) -> bool:
        try:
            pin(frames)
        except RuntimeError as error:
            self._pins = False
            reason = first_line(error)
            _log.warning("memory cannot be pinned, copies will not overlap: %s", reason)
        return self._pins


@cache
def _own_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream that networks compute frames on, always the same one: it keeps memory.

    It is not the default one: there the card's decoder copies its frames, and waits for all that
    is before them, with Python standing still.
    """
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


class _Slot:
    """Staging memory for one batch at a time; kept while batches have one size."""

    def __init__(self) -> None:
        self._going: list[Tensor] = []
        self._there: list[Tensor] = []
        self._coming: list[Tensor] = []

    def stage(self, batch: YuvFrames) -> None:
        """Copy to pinned memory. Raises RuntimeError where there is none."""
        self._going = _room_for(batch, self._going, None)
        for room, plane in zip(self._going, _planes(batch), strict=True):
            room.copy_(plane)

    def upload(self, device: torch.device) -> YuvFrames:
        """Copy what is staged to the device, on the current stream, which owns that memory."""
        self._there = _room_for(YuvFrames(*self._going), self._there, device)
        for room, plane in zip(self._there, self._going, strict=True):
            room.copy_(plane, non_blocking=True)
        return YuvFrames(*self._there)

    def make_room(self, result: YuvFrames) -> None:
        """Pin memory for a result. Raises RuntimeError where there is none."""
        self._coming = _room_for(result, self._coming, None)

    def download(self, result: YuvFrames) -> Started:
        """Copy a result to the room made for it, on the current stream."""
        for room, plane in zip(self._coming, _planes(result), strict=True):
            room.copy_(plane, non_blocking=True)
        arrived = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        arrived.record()
        return partial(_wait_for, arrived, self._coming, result)


def _wait_for(arrived: torch.cuda.Event, room: list[Tensor], _source: YuvFrames) -> YuvFrames:
    """Wait for a copy. Its source is held until then: that memory belongs to another stream."""
    arrived.synchronize()
    return YuvFrames(*(plane.clone() for plane in room))


def _planes(frames: YuvFrames) -> list[Tensor]:
    return [plane for plane in (frames.luma, frames.chroma, frames.alpha) if plane is not None]


def _room_for(frames: YuvFrames, kept: list[Tensor], device: torch.device | None) -> list[Tensor]:
    """Return ``kept`` where it fits, else new memory: on ``device``, or pinned where that is None.

    Ordinary tensors even in inference mode, in which nothing else could write to them later.
    """
    planes = _planes(frames)
    if [(p.shape, p.dtype) for p in planes] == [(k.shape, k.dtype) for k in kept]:
        return kept
    with torch.inference_mode(mode=False):
        return [
            torch.empty(p.shape, dtype=p.dtype, device=device, pin_memory=device is None)
            for p in planes
        ]
