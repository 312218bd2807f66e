"""What a worker is given of a video, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from nst_core.checkpoints.library import IDENTITY
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.encoding.output_frame import OutputFrame
from pipeline.films.settings import DecoderKind
from pipeline.looks.look import Look, SegmentMask, Shares
from pipeline.segments.packet_reader import EncodedPacket
from pipeline.segments.plan import Segment
from pipeline.source.source_video import VideoStreamInfo

Piece = TypeVar("Piece", bytes, Path | None)


@dataclass(frozen=True, repr=False)
class BegunPart:
    """Some frames of a segment in work, packed: see begun.py."""

    number: int
    """From 0, within the segment."""
    data: bytes


@dataclass(frozen=True, repr=False)
class SegmentTask:
    """A segment with all that a worker needs: it sees no file."""

    segment: Segment
    stream: VideoStreamInfo
    output: OutputFrame
    packets: tuple[EncodedPacket, ...]
    film: int | None = None
    """Tells the films of a job apart; None: a worker keeps nothing for the segments behind."""
    looks: tuple[Look, ...] = (Look(StyleSpec(IDENTITY)),)
    """All that its frames have."""
    shares: tuple[Shares, ...] = ()
    """How much of each frame is of which look, those to warm up with first; none: all of all
    frames is of the first."""
    masks: tuple[SegmentMask, ...] = ()
    coherence: float = 0.0
    """How much each stylized frame follows the one before it: see nst_core/coherence.py."""
    begun: tuple[BegunPart, ...] = ()
    """Its first frames, as a run has left them that was stopped."""
    decoder: DecoderKind = "software"

    def __repr__(self) -> str:
        return f"SegmentTask({self.segment.name}, {len(self.packets)} packets)"


@dataclass(frozen=True, repr=False)
class SegmentResult(Generic[Piece]):
    """A segment done: an encoded piece, and what came to light on the way."""

    number: int
    piece: Piece
    """A file with one closed-GOP stream: its bytes from a worker, its path in the work folder.
    Empty or None when no frame could be decoded."""
    pts: tuple[int, ...]
    """Times of the frames in the piece, ascending."""
    missing_pts: tuple[int, ...]
    """Owned, but the decoder gave no frame."""
    corrupt_pts: tuple[int, ...]
    """Times of the frames in the piece that the decoder marked as damaged, ascending."""
    errors: tuple[str, ...]
    """What the decoder complained of."""
    notes: tuple[str, ...] = ()
    """Lines for the user on what came to light and is not damage."""
    redone: bool = False
    """Whether it has been done a second time, with pre-roll, and this is the better result."""

    @property
    def damage(self) -> tuple[int, int, int]:
        """Counts that compare: of two results the one with less is the better."""
        return len(self.missing_pts), len(self.corrupt_pts), len(self.errors)


KeptResult = SegmentResult[Path | None]
"""A result whose piece lies in the work folder."""
