"""What became of one film, and of all films of a job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nst_core.wording import counted, listed
from pipeline.assembly.reassembly import CopyReport
from pipeline.assembly.verification import Verified
from pipeline.segments.task import KeptResult
from pipeline.source.source_video import SourceVideo

MOST_PLACES = 10
"""Places of damage told one by one; the rest is counted."""
_MOST_SKIPPED = 3

Status = Literal["done", "damaged", "failed", "skipped"]


@dataclass
class VideoReport:
    """What became of one input; the fields of the command's JSON."""

    input: str
    output: str
    status: Status = "failed"
    error: str | None = None
    span: dict[str, float | None] | None = None
    """The part of the film that was asked for, in seconds: ``start`` and ``end``; None: all of it.
    Other times of the report are those of the output."""
    frames_in: int = 0
    frames_out: int = 0
    missing_pts_seconds: list[float] = field(default_factory=list)
    corrupt_pts_seconds: list[float] = field(default_factory=list)
    """Times of frames that are in the output, but were damaged in the source."""
    segments: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("total", "done", "reused", "retried"), 0)
    )
    reused: bool = False
    """Whether an earlier run has made the output, with the same source, style and settings."""
    styles: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the checkpoints, by the names of the styles."""
    verified: Verified | None = None
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("scan", "stylize", "mux", "verify", "total"), 0.0)
    )
    """``total`` is what a user waits for the film, from its scan, or from the end of those before
    it, to the verified output; the others are parts of it, which may overlap."""
    frames_per_second: float = 0.0
    """Frames of ``total`` a second."""


@dataclass(frozen=True)
class StylizeVideoReport:
    """What a video job came to; the fields of the command's JSON."""

    engine: str
    workers: int
    inputs: list[VideoReport]
    not_films: list[str] = field(default_factory=list)
    """Files in folders of films that are none: they are skipped."""

    @property
    def nothing_started(self) -> bool:
        """Whether not one input got past scanning."""
        return all(video.error and not video.segments["total"] for video in self.inputs)


def skipped_in_words(files: Sequence[str]) -> str:
    """Name files in folders of films that are none: all, or a few and how many more there are."""
    more = len(files) - _MOST_SKIPPED
    named = [*files[:_MOST_SKIPPED], *([f"{more} more"] if more > 0 else [])]
    return f"{counted(len(files), 'files')} skipped, which are no films: {listed(named)}"


def with_outcome(
    report: VideoReport,
    source: SourceVideo,
    pieces: list[KeptResult],
    copied: CopyReport,
) -> VideoReport:
    """Return the report of a verified output: what it holds, what was damaged, what changed."""
    time_base = source.info.time_base
    missing = [pts for piece in pieces for pts in piece.missing_pts]
    corrupt = [pts for piece in pieces for pts in piece.corrupt_pts]
    errors = [error for piece in pieces for error in piece.errors]
    warnings = [*report.warnings, *_changes(report, pieces), *copied.warnings]
    if damaged := bool(missing or errors or corrupt):
        shown = source.packets.shown_pts
        warnings.append(
            f"the source is damaged: {frames_in_words(missing, 'missing', shown, time_base)}, "
            f"{frames_in_words(corrupt, 'corrupt', shown, time_base)}, "
            f"{counted(len(errors), 'packets')} that could not be decoded"
        )
    whole = source.is_whole and copied.is_whole and not damaged
    return replace(
        report,
        status="done" if whole else "damaged",
        frames_out=sum(len(piece.pts) for piece in pieces),
        missing_pts_seconds=[round(float(pts * time_base), 6) for pts in missing],
        corrupt_pts_seconds=[round(float(pts * time_base), 6) for pts in corrupt],
        warnings=warnings,
    )


def _changes(report: VideoReport, pieces: list[KeptResult]) -> Iterator[str]:
    """What has come to light on the way and is not damage."""
    later = report.verified.later_by_seconds if report.verified else 0.0
    if later > 0:
        suffix = Path(report.output).suffix
        yield f"every time is {1000 * later:.1f} ms later: {suffix} has no times before zero"
    if later < 0:
        yield f"every time is {-1000 * later:.1f} ms earlier: a GIF begins at zero"
    yield from sorted({note for piece in pieces for note in piece.notes})


def frames_in_words(
    pts: Sequence[int], what: str, shown: NDArray[np.int64], time_base: Fraction
) -> str:
    """Say how many frames are ``what`` and where: ``2 frames missing (1.20 s, 4.00 s)``."""
    if not pts:
        return f"no frames {what}"
    return f"{counted(len(pts), 'frames')} {what} ({places_in_words(pts, shown, time_base)})"


def places_in_words(pts: Sequence[int], shown: NDArray[np.int64], time_base: Fraction) -> str:
    """Say where frames are: ``1.20-1.95 s, 4.00 s``, at most MOST_PLACES and a count.

    ``pts`` are some of ``shown``, the PTS of all frames of the video, ascending; both in ticks of
    ``time_base`` seconds.
    """
    ranks = np.searchsorted(shown, np.sort(np.array(pts, dtype=np.int64)))
    places = np.split(ranks, np.flatnonzero(np.diff(ranks) > 1) + 1)
    words = [_place(shown[[place[0], place[-1]]], time_base) for place in places[:MOST_PLACES]]
    more = len(places) - len(words)
    return ", ".join(words) + (f" and {counted(more, 'more places')}" if more else "")


def _place(ends: NDArray[np.int64], time_base: Fraction) -> str:
    first, last = (f"{float(int(pts) * time_base):.2f}" for pts in ends)
    return f"{first} s" if first == last else f"{first}-{last} s"
