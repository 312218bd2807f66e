"""High dynamic range to standard: what an 8-bit output shows of an HDR10 or HLG source.

Transfer functions: SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG) as in ITU-R BT.2100-2, table 4 and
5. Tone mapping: the EETF of ITU-R BT.2390-10, section 5.4, applied to the largest of R, G and B
and the others in proportion, so that hues stay. Diffuse white of 203 cd/m2 (ITU-R BT.2408)
becomes SDR white; the result has BT.709's primaries and a display's gamma of 2.4 (BT.1886).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Transfer = Literal["pq", "hlg"]
Primaries = Literal["bt2020", "p3", "bt709"]

SDR_WHITE = 203.0
"""cd/m2."""
_HLG_PEAK = 1000.0
"""cd/m2 of the display for which HLG's system gamma is 1.2."""
_HLG_GAMMA = 1.2
DISPLAY_GAMMA = 2.4
_PQ_PEAK = 10_000.0
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_BT2020_LUMA = (0.2627, 0.6780, 0.0593)
_TO_BT709: dict[Primaries, tuple[tuple[float, float, float], ...]] = {
    "bt2020": (
        (1.660491, -0.587641, -0.072850),
        (-0.124550, 1.132900, -0.008349),
        (-0.018151, -0.100579, 1.118730),
    ),
    "p3": (
        (1.224940, -0.224940, 0.0),
        (-0.042057, 1.042057, 0.0),
        (-0.019638, -0.078636, 1.098274),
    ),
    "bt709": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
}
"""Linear light, from the chromaticities of the primaries (white is D65 in all three)."""


@dataclass(frozen=True)
class ToneMapping:
    """How a source's signal means light, and how much of it there is."""

    transfer: Transfer
    peak: float = 1000.0
    """cd/m2 of the brightest that the source shows, from its metadata."""
    primaries: Primaries = "bt2020"

    def __post_init__(self) -> None:
        if not SDR_WHITE <= self.peak <= _PQ_PEAK:
            raise ValueError(f"peak {self.peak}: {SDR_WHITE} to {_PQ_PEAK} cd/m2 is allowed")

    def to_sdr(self, rgb: Tensor) -> Tensor:
        """Map N x 3 x H x W of PQ or HLG signal in [0, 1] to BT.709's, in [0, 1]."""
        light = _from_pq(rgb) if self.transfer == "pq" else _from_hlg(rgb)
        light = _mix(light, _TO_BT709[self.primaries]).clamp_(min=0)
        peak = _HLG_PEAK if self.transfer == "hlg" else self.peak
        largest = light.amax(dim=1, keepdim=True).clamp_(min=1e-4)
        light = light * (_compressed(largest, peak) / largest)
        return (light / SDR_WHITE).clamp_(0, 1).pow_(1 / DISPLAY_GAMMA)


def _from_pq(signal: Tensor) -> Tensor:
    """Signal to cd/m2."""
    power = signal.clamp(0, 1).pow(1 / _M2)
    return ((power - _C1).clamp_(min=0) / (_C2 - _C3 * power)).pow_(1 / _M1).mul_(_PQ_PEAK)


def _to_pq(light: Tensor) -> Tensor:
    """Light in cd/m2 to signal."""
    power = (light / _PQ_PEAK).clamp(0, 1).pow(_M1)
    return ((_C1 + _C2 * power) / (1 + _C3 * power)).pow_(_M2)


def _from_hlg(signal: Tensor) -> Tensor:
    """Signal to cd/m2 on a display of 1000."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    dark = signal.square() / 3
    bright = (((signal - c) / a).exp() + b) / 12
    scene = dark.where(signal <= 0.5, bright)
    weights = _constant(_BT2020_LUMA, scene)
    luminance = (scene * weights.view(1, 3, 1, 1)).sum(dim=1, keepdim=True).clamp_(min=1e-6)
    return scene * luminance.pow_(_HLG_GAMMA - 1) * _HLG_PEAK


def _compressed(light: Tensor, peak: float) -> Tensor:
    """BT.2390's EETF from ``peak`` to SDR_WHITE, in cd/m2: a knee, then a Hermite spline."""
    source_peak = _pq_of(peak)
    signal = (_to_pq(light) / source_peak).clamp_(max=1)
    target = float(_pq_of(SDR_WHITE) / source_peak)
    knee = max(0.0, 1.5 * target - 0.5)
    t = ((signal - knee) / (1 - knee)).clamp_(0, 1) if knee < 1 else signal.new_zeros(signal.shape)
    t2, t3 = t.square(), t.pow(3)
    spline = (2 * t3 - 3 * t2 + 1) * knee + (t3 - 2 * t2 + t) * (1 - knee)
    spline = spline + (3 * t2 - 2 * t3) * target
    return _from_pq(signal.where(signal < knee, spline) * source_peak)


def _pq_of(light: float) -> Tensor:
    """``_to_pq`` of a single number; it stays on the CPU, where asking for it waits for nothing."""
    import torch

    return _to_pq(torch.tensor(light))


def _constant(values: tuple[object, ...], like: Tensor) -> Tensor:
    from nst_core.color.constants import constant  # torch, which drivers do without

    return constant(values, like.device, like.dtype)


def _mix(rgb: Tensor, matrix: tuple[tuple[float, float, float], ...]) -> Tensor:
    return (_constant(matrix, rgb) @ rgb.flatten(2)).view(rgb.shape)
