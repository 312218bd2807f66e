"""What became of one film."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pipeline.verification import Verified

Status = Literal["done", "damaged", "failed", "skipped"]


@dataclass
class VideoReport:
    """What became of one input; the fields of the command's JSON."""

    input: str
    output: str
    status: Status = "failed"
    error: str | None = None
    frames_in: int = 0
    frames_out: int = 0
    missing_pts_seconds: list[float] = field(default_factory=list)
    corrupt_pts_seconds: list[float] = field(default_factory=list)
    """Of frames that are in the output, but were damaged in the source."""
    segments: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("total", "done", "reused", "retried"), 0)
    )
    verified: Verified | None = None
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("scan", "stylize", "mux", "verify", "total"), 0.0)
    )
    """``total`` is what a user waits for the film, from its scan, or from the end of those before
    it, to the verified output; the others are parts of it, which may overlap."""
    frames_per_second: float = 0.0
    """Of ``total``."""
