"""What a frame costs a worker with a device, and how many frames a second that makes.

The processors of a worker decode and encode, its device computes. Encoders on other machines take
frames off its processors, which pack and send those instead (docs/performance.md has the model).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

_MAY_WAIT = 0.05
"""Part of the time that a device may wait without encoders being sought for it."""
_PACKING_IF_UNKNOWN = 0.3
"""Part of the time for encoding, before any frame was packed: 9 of 29 ms at 1080p."""


@dataclass(frozen=True)
class FrameCosts:
    """Seconds that a frame takes: of the device for ``network``, else of one processor."""

    network: float
    decode: float
    """Decoding, copies, and all else but encoding."""
    encode: float
    pack: float
    """To compress and send it, where it is encoded elsewhere."""
    unpack: float
    """At the encoder elsewhere, before it encodes."""


@dataclass(frozen=True)
class Balance:
    """What a worker comes to."""

    frames_a_second: float
    processors: float
    """Part of their time that they are busy."""
    device: float


def balance_of(costs: FrameCosts, processors: float, encoders: int = 0) -> Balance:
    """Return what a worker comes to with so many encoders elsewhere, a processor each."""
    away = encoders / (costs.unpack + costs.encode)
    saved = away * (costs.encode - costs.pack)
    rate = min(
        1 / costs.network,
        (processors + saved) / (costs.decode + costs.encode),
        processors / (costs.decode + min(costs.encode, costs.pack)),
    )
    used = rate * (costs.decode + costs.encode) - min(away, rate) * (costs.encode - costs.pack)
    return Balance(rate, min(1.0, used / processors), rate * costs.network)


def encoders_needed(costs: FrameCosts, processors: float) -> int:
    """Return how many encoders elsewhere keep the device busy, or as busy as may be."""
    gain = costs.encode - costs.pack
    best = min(1 / costs.network, processors / (costs.decode + costs.pack))
    lacking = best * (costs.decode + costs.encode) - processors
    if gain <= 0 or lacking <= _MAY_WAIT * processors:
        return 0
    return math.ceil(lacking / gain * (costs.unpack + costs.encode))


@dataclass(frozen=True)
class Used:
    """What a worker has used up to now: seconds, and frames."""

    wall: float = 0.0
    waited: float = 0.0
    """Seconds in which its device had nothing to compute."""
    processors: float = 0.0
    """Seconds of processors, by all its threads."""
    decoding: float = 0.0
    """Seconds of processors, for all else but encoding and packing."""
    packing: float = 0.0
    frames: int = 0
    packed: int = 0

    def __sub__(self, before: Used) -> Used:
        return Used(*(getattr(self, f.name) - getattr(before, f.name) for f in fields(Used)))

    def costs(self) -> FrameCosts | None:
        """Return what a frame has cost; None where too few were done to tell."""
        encoded = self.frames - self.packed
        encoding = self.processors - self.decoding - self.packing
        computing = self.wall - self.waited
        if min(encoded, encoding, computing) <= 0:
            return None
        encode = encoding / encoded
        pack = self.packing / self.packed if self.packed else _PACKING_IF_UNKNOWN * encode
        decode = self.decoding / self.frames
        return FrameCosts(computing / self.frames, decode, encode, pack, unpack=pack)
