"""A look, and how much of a frame is of it: what a worker is told of each frame."""

from __future__ import annotations

from dataclasses import dataclass

from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.segments.packet_reader import EncodedPacket
from pipeline.segments.plan import Segment
from pipeline.source.source_video import VideoStreamInfo


@dataclass(frozen=True)
class Look:
    """A style as it is applied to the frames of a film."""

    spec: StyleSpec
    stroke: float = 1.0
    """Size of the strokes: one for the whole film, also where its frames change their size."""


@dataclass(frozen=True)
class Share:
    """How much of a frame is of a look."""

    look: Look
    amount: float = 1.0
    """0 to 1; those of a frame sum to 1, where a mask and its outside count once."""
    mask: str | None = None
    """Name of the mask that says where; None: everywhere."""
    outside: bool = False
    """Whether it is where the mask is black, rather than white."""


Shares = tuple[Share, ...]
"""All looks of a frame."""


@dataclass(frozen=True, repr=False)
class SegmentMask:
    """The part of a mask that goes with a segment: a decoder's task of its own."""

    name: str
    segment: Segment
    """Its frames, as if they were a segment of the mask."""
    stream: VideoStreamInfo
    packets: tuple[EncodedPacket, ...]
    shown: tuple[int, ...]
    """PTS of the mask's frame that is shown with each of the film's."""
    turns: tuple[tuple[int, ...] | None, tuple[int, ...] | None]
    """Display matrices of the mask and of the film: they are laid on each other as players show
    them."""
    film: None = None
    """No decoder of it goes on with the next segment."""
    coherence: float = 0.0

    def __repr__(self) -> str:
        return f"SegmentMask({self.name}, {len(self.packets)} packets)"
