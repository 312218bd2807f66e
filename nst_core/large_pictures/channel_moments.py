"""Mean and variance of each channel of a picture that is seen a strip at a time."""

from __future__ import annotations

import threading

import torch
from torch import Tensor


class ChannelMoments:
    """What a normalisation needs of a picture of C channels. Several threads may show it strips.

    Sums of the distance to the first row's mean, row by row in float32, beyond that in float64,
    from top to bottom: exact also where the mean is far from 0, and always the same.
    """

    def __init__(self, first_row: Tensor) -> None:
        self._shift = first_row.float().mean(dim=(0, 2, 3))
        self._sums: dict[int, Tensor] = {}
        self._counts: dict[int, int] = {}
        # One buffer for all strips of a thread: fresh memory costs more than the sums.
        self._buffers = threading.local()

    def see(self, rows: slice, strip: Tensor) -> None:
        """Take in ``rows``, 1 x C x h x W. A thread's first strip is its largest, or as large."""
        values = strip[0].permute(1, 2, 0)  # h x W x C
        distances = self._buffer(values).copy_(values).sub_(self._shift)
        sums = distances.sum(dim=1), distances.square_().sum(dim=1)
        of_rows = torch.stack(sums)
        if of_rows.device.type == "mps":  # it has no float64
            of_rows = of_rows.cpu()
        self._sums[rows.start] = of_rows.sum(dim=1, dtype=torch.float64)
        self._counts[rows.start] = values.shape[0] * values.shape[1]

    def mean_and_variance(self) -> tuple[Tensor, Tensor]:
        """Two of C, float32. The variance is biased, as torch's normalisations want it."""
        sums = torch.stack([self._sums[start] for start in sorted(self._sums)]).sum(dim=0)
        mean, square = sums / sum(self._counts.values())
        variance = (square - mean**2).clamp(min=0).float().to(self._shift.device)
        shift = self._shift.to(mean.device)
        return (shift + mean).float().to(self._shift.device), variance

    def _buffer(self, values: Tensor) -> Tensor:
        buffer = getattr(self._buffers, "values", None)
        if buffer is None or len(buffer) < len(values):
            buffer = self._buffers.values = torch.empty(values.shape, device=values.device)
        return buffer[: len(values)]
