"""Pictures that are computed when their rows are asked for.

A generator's own ``forward`` runs on a LazyPicture: torch hands every function that is applied to
one to ``__torch_function__``, and what comes back is a LazyPicture again, of a known shape. So a
picture of any size goes through a network strip by strip. ``lazy_layers.py`` has the functions.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nst_core.color.codes import Pixels
from nst_core.color.pixels import to_unit_range

FUNCTIONS: dict[Callable[..., Any], Callable[..., LazyPicture]] = {}
"""What each function of torch does with a lazy picture."""

_LARGEST_FLOAT16 = 65504
_BAND_ROWS = 64
_BANDS = 64
"""A band has so many rows, or the picture has so many bands. They do not depend on the threads, so
that the pixels do not either; a convolution computes its margin twice where they meet."""

_memory = threading.local()

Result = TypeVar("Result")


@dataclass(frozen=True)
class Arithmetic:
    """Where and how lazy pictures are computed."""

    device: torch.device
    dtype: torch.dtype
    """Type that convolutions compute in, and of what goes from one to the next."""
    stored_dtype: torch.dtype
    """Type of what waits in host memory."""
    strip_values: int
    """How many numbers of a layer are computed at once, by rows: one row at least."""
    pool: ThreadPoolExecutor | None = None
    """Threads of torch's own are not used: they wait for each other after every function, which
    takes three times as long where another program has one of the cores."""
    threads: int = 1
    """Threads of the pool."""


class LazyPicture(ABC):
    """1 x C x H x W that can compute any of its rows."""

    convolves: ClassVar[bool] = False
    """Whether a row costs much more than reading it."""

    def __init__(self, shape: Sequence[int], arithmetic: Arithmetic, *inputs: LazyPicture) -> None:
        self.shape = torch.Size(shape)
        self.arithmetic = arithmetic
        self.distance: int = self.convolves + max((i.distance for i in inputs), default=0)
        """How many convolutions away what is stored is."""
        _, channels, height, width = shape
        before = (i.row_values * i.shape[2] // height for i in inputs)
        self.row_values: int = max(channels * width, *before, 1)
        """Numbers in a row, of this or of what it is computed from, whichever has more."""

    @abstractmethod
    def rows(self, first: int, stop: int) -> Tensor:
        """Compute 1 x C x (stop - first) x W. Not to be changed: it may be part of a buffer."""

    def rows_beyond(self, first: int, stop: int) -> Tensor:
        """Compute rows of which some may lie beyond the edges: they are zeros."""
        _, channels, height, width = self.shape
        start, end = max(first, 0), min(stop, height)
        if start >= end:
            return torch.zeros((1, channels, stop - first, width), device=self.arithmetic.device)
        strip = self.rows(start, end)
        inside = (start, end) == (first, stop)
        return strip if inside else F.pad(strip, (0, 0, start - first, stop - end))

    def each(self, function: Callable[[slice, Tensor], Result]) -> Iterator[Result]:
        """Call ``function`` with all rows, strip by strip, and give what it returns, in order.

        It is called by several threads at once, with which rows they are and 1 x C x h x W.
        """
        pool = self.arithmetic.pool
        computed: deque[Future[list[Result]]] = deque()
        for band in self._bands():
            if pool is None:
                yield from self._computed_band(band, function)
                continue
            computed.append(pool.submit(self._computed_band, band, function))
            if len(computed) > 2 * self.arithmetic.threads:
                yield from computed.popleft().result()
        while computed:
            yield from computed.popleft().result()

    def _bands(self) -> Iterator[list[slice]]:
        """Strips that are computed one after the other by one thread."""
        step = max(1, self.arithmetic.strip_values // self.row_values)
        height = self.shape[2]
        strips = [slice(first, min(first + step, height)) for first in range(0, height, step)]
        many = -(-max(_BAND_ROWS, height // _BANDS) // step)
        for first in range(0, len(strips), many):
            yield strips[first : first + many]

    @torch.inference_mode()
    def _computed_band(
        self, band: list[slice], function: Callable[[slice, Tensor], Result]
    ) -> list[Result]:
        _memory.kept = {}
        try:
            return [function(rows, self.rows(rows.start, rows.stop)) for rows in band]
        finally:
            del _memory.kept

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> LazyPicture:
        """Apply a function of torch. Raises NotImplementedError for one that is not known."""
        if function not in FUNCTIONS:
            known = ", ".join(sorted({known.__name__ for known in FUNCTIONS}))
            raise NotImplementedError(
                f"{getattr(function, '__name__', function)} has no way to be computed by rows, "
                f"only {known} have; write it in lazy_layers.py, or use --tile off"
            )
        return FUNCTIONS[function](*args, **(kwargs or {}))

    def dim(self) -> int:
        """As a tensor's."""
        return len(self.shape)

    def size(self, dim: int) -> int:
        """As a tensor's."""
        return self.shape[dim]

    def clamp(self, least: float, most: float) -> LazyPicture:
        """As a tensor's."""
        return self._apply(torch.clamp, self, least, most)

    def __add__(self, other: object) -> LazyPicture:
        return self._apply(torch.add, self, other)

    __radd__ = __add__

    def __sub__(self, other: object) -> LazyPicture:
        return self._apply(torch.sub, self, other)

    def __mul__(self, other: object) -> LazyPicture:
        return self._apply(torch.mul, self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> LazyPicture:
        return self._apply(torch.div, self, other)

    def __getitem__(self, key: object) -> LazyPicture:
        return self._apply(Tensor.__getitem__, self, key)

    def _apply(self, function: Callable[..., Any], *args: object) -> LazyPicture:
        return self.__torch_function__(function, (), args)


class PixelPicture(LazyPicture):
    """Pixels as they are decoded, uint8 or uint16 H x W x 3; its rows are float32 in [0, 1]."""

    def __init__(self, pixels: Pixels, arithmetic: Arithmetic) -> None:
        height, width, channels = pixels.shape
        super().__init__((1, channels, height, width), arithmetic)
        self._pixels = pixels

    def rows(self, first: int, stop: int) -> Tensor:
        """Bring pixels to the device."""
        return to_unit_range(self._pixels[None, first:stop], self.arithmetic.device)


class StoredPicture(LazyPicture):
    """Waits in host memory."""

    def __init__(self, values: Tensor, arithmetic: Arithmetic) -> None:
        super().__init__(values.shape, arithmetic)
        self._values = values

    def rows(self, first: int, stop: int) -> Tensor:
        """Bring rows to the device, in the precision that is computed in."""
        rows = self._values[:, :, first:stop]
        return rows.to(self.arithmetic.device, self.arithmetic.dtype)


def require(known: bool, what: str) -> None:
    """Raise NotImplementedError for what functions of torch can do beyond what is done here."""
    if not known:
        raise NotImplementedError(f"{what} cannot be computed by rows; use --tile off")


def store(
    picture: LazyPicture, watch: Callable[[slice, Tensor], None] | None = None
) -> StoredPicture:
    """Compute a picture and keep it; ``watch`` is shown each strip, by several threads."""
    values = _host_memory(picture.shape, picture.arithmetic.stored_dtype)

    def keep(rows: slice, strip: Tensor) -> bool:
        values[:, :, rows] = strip
        if watch:
            watch(rows, strip)
        return values.dtype == torch.float16 and _exceeds_float16(strip)

    if any([*picture.each(keep)]):
        values = _host_memory(picture.shape, torch.float32)
        for _ in picture.each(keep):
            pass
    return StoredPicture(values, picture.arithmetic)


def remembered() -> dict[LazyPicture, tuple[int, int, Tensor]]:
    """What was computed last of each picture, for the strip at work: first row, end, rows."""
    kept: dict[LazyPicture, tuple[int, int, Tensor]] = getattr(_memory, "kept", {})
    return kept


def _host_memory(shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """1 x C x H x W with the channels last.

    numpy asks the system for huge pages, torch does not: filling it takes a fifth of the time.
    """
    _, channels, height, width = shape
    values = np.empty((1, height, width, channels * dtype.itemsize), dtype=np.uint8)
    return torch.from_numpy(values).view(dtype).permute(0, 3, 1, 2)


def _exceeds_float16(strip: Tensor) -> bool:
    if strip.dtype == torch.float16:
        return False
    return bool(strip.abs().amax() > _LARGEST_FLOAT16)
