"""Convolutions by rows: each asks the picture before it for a margin."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_core.large_pictures.lazy_picture import Arithmetic, LazyPicture, remembered, require

_Pair = tuple[int, int]


class _AnyConvolution(LazyPicture):
    """Keeps the rows last asked for: the end of a strip is in the margin of the next one."""

    convolves = True

    def __init__(
        self,
        picture: LazyPicture,
        weight: Tensor,
        bias: Tensor | None,
        *,
        channels: int,
        stride: _Pair,
        padding: _Pair,
        sides: Iterable[int],
    ) -> None:
        super().__init__((1, channels, *sides), picture.arithmetic, picture)
        self._picture = picture
        self._weight = _ready(weight, self.arithmetic)
        self._bias = None if bias is None else _ready(bias, self.arithmetic)
        self._stride, self._padding, self._kernel = stride, padding, weight.shape[2]

    def rows(self, first: int, stop: int) -> Tensor:
        """Compute those rows that were not among the last ones."""
        memory = remembered()
        kept_first, kept_stop, kept = memory.get(self, (0, 0, torch.empty(0)))
        if kept_first <= first < kept_stop:
            kept = kept[:, :, first - kept_first : stop - kept_first]
            if stop <= kept_stop:
                return kept
            result = torch.cat((kept, self._computed(kept_stop, stop)), dim=2)
        else:
            result = self._computed(first, stop)
        memory[self] = (first, stop, result)
        return result

    @abstractmethod
    def _computed(self, first: int, stop: int) -> Tensor:
        """Compute rows that are not remembered."""


class Convolution(_AnyConvolution):
    """What ``F.conv2d`` gives; of its arguments dilation is not known here."""

    def __init__(
        self,
        picture: LazyPicture,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: int | _Pair = 1,
        padding: int | _Pair = 0,
        dilation: int | _Pair = 1,
        groups: int = 1,
    ) -> None:
        require(_pair(dilation) == (1, 1), "conv2d with dilation")
        self._groups = groups
        steps, zeros = _pair(stride), _pair(padding)
        sides = [
            (side + 2 * zero - kernel) // step + 1
            for side, zero, kernel, step in zip(
                picture.shape[2:], zeros, weight.shape[2:], steps, strict=True
            )
        ]
        channels = weight.shape[0]
        super().__init__(
            picture, weight, bias, channels=channels, stride=steps, padding=zeros, sides=sides
        )

    def _computed(self, first: int, stop: int) -> Tensor:
        start = first * self._stride[0] - self._padding[0]
        end = (stop - 1) * self._stride[0] - self._padding[0] + self._kernel
        strip = _ready(self._picture.rows_beyond(start, end), self.arithmetic)
        padding = (0, self._padding[1])
        return F.conv2d(strip, self._weight, self._bias, self._stride, padding, groups=self._groups)


class TransposedConvolution(_AnyConvolution):
    """What ``F.conv_transpose2d`` gives."""

    def __init__(
        self,
        picture: LazyPicture,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: int | _Pair = 1,
        padding: int | _Pair = 0,
        output_padding: int | _Pair = 0,
        groups: int = 1,
        dilation: int | _Pair = 1,
    ) -> None:
        plain = groups == 1 and _pair(dilation) == (1, 1)
        require(plain, "conv_transpose2d with groups or dilation")
        steps, cuts, self._more = _pair(stride), _pair(padding), _pair(output_padding)
        sides = [
            (side - 1) * step - 2 * cut + kernel + more
            for side, step, cut, kernel, more in zip(
                picture.shape[2:], steps, cuts, weight.shape[2:], self._more, strict=True
            )
        ]
        channels = weight.shape[1]
        super().__init__(
            picture, weight, bias, channels=channels, stride=steps, padding=cuts, sides=sides
        )

    def _computed(self, first: int, stop: int) -> Tensor:
        # Row i of the input adds to ``kernel`` rows from i * stride - padding on.
        stride, padding = self._stride[0], self._padding[0]
        start = max(0, -(-(first + padding - self._kernel + 1) // stride))
        end = min(self._picture.shape[2], (stop - 1 + padding) // stride + 1)
        strip = F.conv_transpose2d(
            _ready(self._picture.rows(start, end), self.arithmetic),
            self._weight,
            self._bias,
            self._stride,
            (0, self._padding[1]),
            self._more,
        )
        above = first - (start * stride - padding)
        return strip[:, :, above : above + stop - first]


def _ready(tensor: Tensor, arithmetic: Arithmetic) -> Tensor:
    """Convert what a convolution takes: with the channels last it is fastest."""
    layout = torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
    return tensor.to(arithmetic.device, arithmetic.dtype, memory_format=layout)


def _pair(value: int | Sequence[int]) -> _Pair:
    first, second = (value, value) if isinstance(value, int) else value
    return first, second
