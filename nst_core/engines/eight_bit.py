"""How a style is computed in 8 bits; `calibration.py` finds it, checkpoints hold it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

LEAST_MEAN_DECIBELS = 40.0
LEAST_DECIBELS = 37.0
"""The least PSNR allowed for a single photograph."""


@dataclass(frozen=True)
class EightBit:
    """How a style's generator is computed in 8 bits, and how close that is to float32."""

    ranges: dict[str, tuple[float, float]]
    """Least and largest input of each convolution in 8 bits, by its name in the generator."""
    mean_decibels: float
    """PSNR against float32, over the photographs that were not calibrated on."""
    least_decibels: float
    """PSNR of the worst of these photographs."""
    photos: int
    """On which the ranges were found."""

    @property
    def is_close(self) -> bool:
        """Whether it is chosen by itself: 40 dB on average, and no photograph below 37."""
        return self.mean_decibels >= LEAST_MEAN_DECIBELS and self.least_decibels >= LEAST_DECIBELS

    def fields(self) -> dict[str, Any]:
        """What a checkpoint's metadata says of it."""
        return asdict(self)

    @staticmethod
    def of(fields: dict[str, Any]) -> EightBit:
        """Undo ``fields``. Raises KeyError, TypeError or ValueError for what is none."""
        ranges = {name: (float(low), float(high)) for name, (low, high) in fields["ranges"].items()}
        mean, least = float(fields["mean_decibels"]), float(fields["least_decibels"])
        return EightBit(ranges, mean, least, int(fields["photos"]))
