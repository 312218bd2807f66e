"""Batches as large as the device's memory takes: planned by its size, halved where that fails."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from nst_core.color.yuv import YuvFrames, join_frames
from nst_core.errors import EnvironmentProblem

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

_MOST_FRAMES = 16
_MOST_PIXELS = 2**24
"""Pixels of a batch on a GPU, as they come out: 8 frames of 1080p keep all of it at work."""
_MOST_VALUES = 2**31 - 1
"""Numbers in a layer: kernels count in 32 bits."""
_VALUES_A_PIXEL = 6
"""Values a pixel, in layers of ``full_size_width`` channels, that a forward pass holds at its
peak. Counted for the generators that draw no noise: 2.1 to 5.6 (a test counts again)."""
_COLOUR_BYTES_A_PIXEL = 100
"""Float32 RGB in and out, planes, and what converts them."""


def free_bytes(device: torch.device) -> int:
    """Return what this process may still take of a GPU's memory, or of its share of it."""
    if device.type == "mps":  # it shares the machine's
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    if device.type == "xpu":
        return int(torch.xpu.mem_get_info(device)[0])
    free, total = torch.cuda.mem_get_info(device)
    return min(free, int(total * torch.cuda.get_per_process_memory_fraction(device)))


def pixels_at_once(
    *, generator_width: int, free_bytes: int, scale: int = 1, bytes_a_value: int = 2
) -> int:
    """Choose how many pixels of pictures a GPU computes at once, by its memory.

    ``generator_width`` is a generator's ``full_size_width``, ``scale`` its enlargement.
    ``free_bytes`` is what is free before the first batch. Half of that is planned with: the other
    half is for a graph's own memory and for what convolutions work in. It is an estimate;
    HalvingBatches corrects it. The largest layer has twice the width.
    """
    layers = _VALUES_A_PIXEL * generator_width * bytes_a_value
    by_memory = free_bytes // 2 // (scale**2 * (layers + _COLOUR_BYTES_A_PIXEL))
    return max(1, min(by_memory, _MOST_VALUES // (2 * generator_width * scale**2)))


def frames_a_batch(height: int, width: int, *, most_pixels: int, scale: int = 1) -> int:
    """Choose how many frames of ``height`` x ``width`` pixels a GPU computes at once, 1 to 16.

    ``most_pixels`` is what ``pixels_at_once`` gave.
    """
    most = min(most_pixels, _MOST_PIXELS // scale**2)
    return max(1, min(_MOST_FRAMES, most // (height * width)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device's memory has run out; torch has no class for it on Apple's GPUs."""
    return isinstance(error, torch.OutOfMemoryError) or "MPS backend out of memory" in str(error)


def release_memory() -> None:
    """Give back what torch keeps of GPUs' memory for itself."""
    gc.collect()
    for module in (torch.cuda, torch.xpu):
        if module.is_available():
            module.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


class HalvingBatches:
    """Runs a function on slices of a batch; where memory runs out, on halves from then on."""

    def __init__(self) -> None:
        self.largest: int | None = None
        """How many fit at once, as far as is known; None: all so far."""

    def run(self, count: int, function: Callable[[slice], Result]) -> list[Result]:
        """Call ``function`` with slices that cover ``range(count)``, in order.

        Raises EnvironmentProblem where not even one fits.
        """
        results: list[Result] = []
        start = 0
        while start < count:
            size = min(self.largest or count, count - start)
            try:
                results.append(function(slice(start, start + size)))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if size == 1:
                    raise EnvironmentProblem(
                        "the device's memory does not hold a single picture of this size; try "
                        "--max-side, --precision float16, or --device cpu"
                    ) from error
            else:
                start += size
                continue
            self.largest = size // 2  # beyond the handler: its traceback would hold the tensors
            _log.warning("out of memory on the device: batches of %d from now on", self.largest)
            release_memory()
        return results

    def run_frames(self, convert: Callable[[YuvFrames], YuvFrames], frames: YuvFrames) -> YuvFrames:
        """Convert a batch of frames in as many parts as the memory makes necessary."""

        def part(taken: slice) -> YuvFrames:
            alpha = None if frames.alpha is None else frames.alpha[taken]
            return convert(YuvFrames(frames.luma[taken], frames.chroma[taken], alpha))

        return join_frames(self.run(len(frames.luma), part))
