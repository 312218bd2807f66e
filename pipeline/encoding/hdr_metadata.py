"""HDR10's static metadata: the mastering display and the content's light, from source to encoder.

SMPTE ST 2086 and CTA-861.3. FFmpeg hands both over as C structures (AVMasteringDisplayMetadata,
AVContentLightMetadata); x265 and SVT-AV1 take them as text.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

_MASTERING = struct.Struct("<22i")
_LIGHT = struct.Struct("<2I")


@dataclass(frozen=True)
class MasteringDisplay:
    """The display that a film was graded on."""

    primaries: tuple[tuple[Fraction, Fraction], ...]
    """CIE x and y of red, green and blue."""
    white: tuple[Fraction, Fraction]
    darkest: Fraction
    """cd/m2, as ``brightest``."""
    brightest: Fraction


@dataclass(frozen=True)
class HdrMetadata:
    """What of both a source has."""

    mastering: MasteringDisplay | None
    light: tuple[int, int] | None
    """MaxCLL and MaxFALL: cd/m2 of the brightest pixel and of the brightest frame's mean."""

    @property
    def peak(self) -> float | None:
        """Brightest light in cd/m2, if it is told."""
        if self.light and self.light[0]:
            return float(self.light[0])
        return float(self.mastering.brightest) if self.mastering else None

    def x265_parameters(self) -> str:
        """As x265's own options."""
        parts = ["hdr10=1"] if self.mastering or self.light else []
        if self.mastering:
            red, green, blue, white = (
                f"({round(x * 50_000)},{round(y * 50_000)})"
                for x, y in (*self.mastering.primaries, self.mastering.white)
            )
            lights = (self.mastering.brightest, self.mastering.darkest)
            brightest, darkest = (round(light * 10_000) for light in lights)
            parts.append(f"master-display=G{green}B{blue}R{red}WP{white}L({brightest},{darkest})")
        if self.light:
            parts.append("max-cll={},{}".format(*self.light))
        return ":".join(parts)

    def svt_av1_parameters(self) -> str:
        """As SVT-AV1's own options."""
        parts = []
        if self.mastering:
            red, green, blue, white = (
                f"({float(x):.5f},{float(y):.5f})"
                for x, y in (*self.mastering.primaries, self.mastering.white)
            )
            light = f"({float(self.mastering.brightest):.4f},{float(self.mastering.darkest):.4f})"
            parts.append(f"mastering-display=G{green}B{blue}R{red}WP{white}L{light}")
        if self.light:
            parts.append("content-light={},{}".format(*self.light))
        return ":".join(parts)


def read_hdr_metadata(
    mastering_display: bytes | None, content_light: bytes | None
) -> HdrMetadata | None:
    """Read FFmpeg's structures; None where there is neither."""
    mastering = _read_mastering(mastering_display) if mastering_display else None
    light = None
    if content_light and len(content_light) >= _LIGHT.size:
        light = _LIGHT.unpack_from(content_light)
    return HdrMetadata(mastering, light) if mastering or light else None


def _read_mastering(data: bytes) -> MasteringDisplay | None:
    if len(data) < _MASTERING.size:
        return None
    numbers = _MASTERING.unpack_from(data)
    *rationals, has_primaries, has_luminance = numbers
    if not (has_primaries and has_luminance) or not all(rationals[1::2]):
        return None  # x265 wants all of it
    values = [Fraction(a, b) for a, b in zip(rationals[::2], rationals[1::2], strict=True)]
    points = [(values[place], values[place + 1]) for place in range(0, 8, 2)]
    return MasteringDisplay(tuple(points[:3]), points[3], darkest=values[8], brightest=values[9])
