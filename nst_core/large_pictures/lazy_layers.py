"""The layers of generators, by rows: what each function of torch does with a lazy picture.

A normalisation by the picture's own mean and variance has to see the whole picture: it computes
at once, and keeps what it has seen in host memory. Only what is larger than ``_STORED_BYTES`` and
few convolutions away from what is kept is computed again when it is needed. Sums of two pictures
are kept too: each block of a residual network would else ask for its input twice, and that again
for its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_core.large_pictures.channel_moments import ChannelMoments
from nst_core.large_pictures.lazy_convolutions import Convolution, TransposedConvolution
from nst_core.large_pictures.lazy_picture import (
    FUNCTIONS,
    Arithmetic,
    LazyPicture,
    StoredPicture,
    require,
    store,
)

_STORED_BYTES = 2**31
"""Most bytes of one layer. 16 half-precision channels of 108 megapixels are more; 32 at half size
are not."""
_STORED_DISTANCE = 3
"""Convolutions. A texture network has as many between its joins, at full size."""


class _Padded(LazyPicture):
    def __init__(
        self,
        picture: LazyPicture,
        pad: Sequence[int],
        mode: str = "constant",
        value: float | None = None,
    ) -> None:
        left, right, top, bottom = (*pad, 0, 0)[:4]
        require(len(pad) in (2, 4) and min(pad) >= 0 and not value, f"pad by {pad} with {value}")
        _, channels, height, width = picture.shape
        if mode == "reflect" and max(top, bottom) >= height:
            raise ValueError(f"pad by {pad}: {height} rows are too few to be reflected")
        shape = (1, channels, height + top + bottom, width + left + right)
        super().__init__(shape, picture.arithmetic, picture)
        self._picture, self._mode, self._top, self._columns = picture, mode, top, (left, right)

    def rows(self, first: int, stop: int) -> Tensor:
        start, end = first - self._top, stop - self._top
        if self._mode == "constant":
            return F.pad(self._picture.rows_beyond(start, end), self._columns)
        if start >= 0 and end <= self._picture.shape[2]:
            strip = self._picture.rows(start, end)
        else:
            strip = self._looked_up([self._shown_at(row) for row in range(start, end)])
        return F.pad(strip, (*self._columns, 0, 0), mode=self._mode)

    def _shown_at(self, row: int) -> int:
        """Which row of the picture shows at a row that may be beyond its edges."""
        height = self._picture.shape[2]
        if self._mode == "circular":
            return row % height
        if self._mode == "reflect":
            return min(abs(row), 2 * (height - 1) - abs(row))
        return min(max(row, 0), height - 1)

    def _looked_up(self, rows: list[int]) -> Tensor:
        needed = sorted(set(rows))
        starts = [row for row in needed if row - 1 not in needed]
        ends = [row + 1 for row in needed if row + 1 not in needed]
        runs = [self._picture.rows(*run) for run in zip(starts, ends, strict=True)]
        strip = torch.cat(runs, dim=2)
        places = [needed.index(row) for row in rows]
        return strip.index_select(2, torch.tensor(places, device=strip.device))


class _Mapped(LazyPicture):
    """A function of each strip that keeps its size."""

    def __init__(self, picture: LazyPicture, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__(picture.shape, picture.arithmetic, picture)
        self._picture, self._function = picture, function

    def rows(self, first: int, stop: int) -> Tensor:
        return self._function(self._picture.rows(first, stop))


class _Sum(LazyPicture):
    def __init__(self, first: LazyPicture, second: LazyPicture) -> None:
        require(first.shape == second.shape, f"{first.shape} plus {second.shape}")
        super().__init__(first.shape, first.arithmetic, first, second)
        self._first, self._second = first, second

    def rows(self, first: int, stop: int) -> Tensor:
        return self._first.rows(first, stop) + self._second.rows(first, stop)


class _Joined(LazyPicture):
    """Pictures one behind the other along the channels."""

    def __init__(self, pictures: Sequence[LazyPicture], dim: int = 0) -> None:
        sides = {picture.shape[2:] for picture in pictures}
        require(dim == 1 and len(sides) == 1, f"cat of {sides} along {dim}")
        channels = sum(picture.shape[1] for picture in pictures)
        shape = (1, channels, *pictures[0].shape[2:])
        super().__init__(shape, pictures[0].arithmetic, *pictures)
        self._pictures = pictures

    def rows(self, first: int, stop: int) -> Tensor:
        strips = [picture.rows(first, stop) for picture in self._pictures]
        return torch.cat([strip.to(self.arithmetic.dtype) for strip in strips], dim=1)


class _Cropped(LazyPicture):
    def __init__(self, picture: LazyPicture, key: Any) -> None:
        known = isinstance(key, tuple) and key[0] is Ellipsis and len(key) in (2, 3)
        slices = key[1:] if known else ()
        known = known and all(isinstance(part, slice) and part.step is None for part in slices)
        require(known, f"[{key}]")
        _, channels, height, width = picture.shape
        rows, columns = slices if len(slices) == 2 else (slice(None), *slices)
        self._above, below, _ = rows.indices(height)
        left, right, _ = columns.indices(width)
        shape = (1, channels, below - self._above, right - left)
        super().__init__(shape, picture.arithmetic, picture)
        self._picture, self._columns = picture, slice(left, right)

    def rows(self, first: int, stop: int) -> Tensor:
        strip = self._picture.rows(first + self._above, stop + self._above)
        return strip[..., self._columns]


class _Enlarged(LazyPicture):
    """What ``function`` makes of each row alone: ``scale`` times as many, as many times longer."""

    def __init__(
        self,
        picture: LazyPicture,
        function: Callable[[Tensor], Tensor],
        *,
        channels: int,
        scale: int,
    ) -> None:
        height, width = picture.shape[2:]
        shape = (1, channels, scale * height, scale * width)
        super().__init__(shape, picture.arithmetic, picture)
        self._picture, self._function, self._scale = picture, function, scale

    def rows(self, first: int, stop: int) -> Tensor:
        start, end = first // self._scale, -(-stop // self._scale)
        strip = self._function(self._picture.rows(start, end))
        above = first - start * self._scale
        return strip[:, :, above : above + stop - first]


def _interpolated(
    picture: LazyPicture,
    size: object = None,
    scale_factor: float | None = None,
    mode: str = "nearest",
    **options: object,
) -> LazyPicture:
    """Each pixel repeated ``scale_factor`` times in both directions."""
    scale = int(scale_factor or 0)
    whole = size is None and scale == scale_factor
    require(whole and mode == "nearest", f"interpolate by {scale_factor}, {mode}")
    return _Enlarged(
        picture,
        lambda strip: F.interpolate(strip, scale_factor=float(scale)),
        channels=picture.shape[1],
        scale=scale,
    )


def _pixel_shuffled(picture: LazyPicture, upscale_factor: int) -> LazyPicture:
    """Channels laid out as squares of ``upscale_factor`` x ``upscale_factor`` pixels."""
    return _Enlarged(
        picture,
        lambda strip: F.pixel_shuffle(strip, upscale_factor),
        channels=picture.shape[1] // upscale_factor**2,
        scale=upscale_factor,
    )


class _Pooled(LazyPicture):
    def __init__(self, picture: LazyPicture, kernel_size: int) -> None:
        _, channels, height, width = picture.shape
        shape = (1, channels, height // kernel_size, width // kernel_size)
        super().__init__(shape, picture.arithmetic, picture)
        self._picture, self._side = picture, kernel_size

    def rows(self, first: int, stop: int) -> Tensor:
        return F.avg_pool2d(self._picture.rows(first * self._side, stop * self._side), self._side)


def _normalized(
    picture: LazyPicture,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    own: bool,
    eps: float,
) -> LazyPicture:
    """By the picture's ``own`` moments, or by those given. All parameters are of C numbers."""
    if own:
        moments = ChannelMoments(picture.rows(0, 1))
        if _is_computed_again(picture):
            for _ in picture.each(moments.see):
                pass
        else:
            picture = store(picture, watch=moments.see)
        mean, variance = moments.mean_and_variance()
    # Exact parameters whatever the precision of the strips: a variance may be beyond float16.
    mean, variance, weight, bias = (
        None if given is None else given.to(picture.arithmetic.device, torch.float32)
        for given in (mean, variance, weight, bias)
    )
    return _Mapped(
        picture, lambda strip: F.batch_norm(strip, mean, variance, weight, bias, eps=eps)
    )


def _is_computed_again(picture: LazyPicture) -> bool:
    if picture.distance == 0:
        return True
    size = picture.shape.numel() * picture.arithmetic.stored_dtype.itemsize
    return size > _STORED_BYTES and picture.distance <= _STORED_DISTANCE


def _instance_norm(
    picture: LazyPicture,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> LazyPicture:
    return _normalized(picture, running_mean, running_var, weight, bias, use_input_stats, eps)


def _batch_norm(
    picture: LazyPicture,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> LazyPicture:
    return _normalized(picture, running_mean, running_var, weight, bias, training, eps)


def _activation(function: Callable[..., Tensor]) -> Callable[..., LazyPicture]:
    def apply(picture: LazyPicture, inplace: bool = False, **options: float) -> LazyPicture:
        return _Mapped(picture, lambda strip: function(strip, **options))

    return apply


def _arithmetic(function: Callable[..., Tensor]) -> Callable[..., LazyPicture]:
    """For what generators do at their ends, with the pixels of pictures: in float32."""

    def apply(picture: LazyPicture, *args: Tensor | float) -> LazyPicture:
        operands = [_constant(arg, picture.arithmetic) for arg in args]
        return _Mapped(picture, lambda strip: function(strip.float(), *operands))

    return apply


def _constant(value: Tensor | float, arithmetic: Arithmetic) -> Tensor | float:
    if not isinstance(value, Tensor):
        require(isinstance(value, int | float), f"arithmetic with a {type(value).__name__}")
        return value
    require(value.shape[-2:] in ((), (1, 1)), f"arithmetic with a tensor of {value.shape}")
    return value.to(arithmetic.device, torch.float32)


def _added(first: LazyPicture, second: LazyPicture | Tensor | float) -> LazyPicture:
    if isinstance(second, LazyPicture):
        return store(_Sum(first, second))
    return _arithmetic(torch.add)(first, second)


def _like(values: Tensor, picture: LazyPicture) -> LazyPicture:
    """``tensor.to(picture)``: noise drawn in the size of a picture."""
    kept = values.to(picture.arithmetic.stored_dtype, memory_format=torch.channels_last)
    return StoredPicture(kept, picture.arithmetic)


_ARITHMETIC: tuple[Callable[..., Tensor], ...] = (
    torch.clamp,
    torch.div,
    torch.mul,
    torch.sigmoid,
    torch.sub,
    torch.tanh,
)

_LAYERS: dict[Callable[..., Any], Callable[..., LazyPicture]] = {
    F.conv2d: Convolution,
    F.conv_transpose2d: TransposedConvolution,
    F.pad: _Padded,
    F.interpolate: _interpolated,
    F.pixel_shuffle: _pixel_shuffled,
    F.avg_pool2d: _Pooled,
    F.instance_norm: _instance_norm,
    F.batch_norm: _batch_norm,
    torch.add: _added,
    torch.cat: _Joined,
    Tensor.__getitem__: _Cropped,
    Tensor.to: _like,
    **{function: _activation(function) for function in (F.relu, F.leaky_relu)},
    **{function: _arithmetic(function) for function in _ARITHMETIC},
}
FUNCTIONS.update(_LAYERS)
