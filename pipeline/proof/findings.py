"""What a proof has found, as the report of `nst verify` tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "missing", "changed", "added", "unfinished", "source missing", "source changed", "not whole"
]

MOST_TOLD = 1000
"""Findings in a report; how many there are of each kind is counted."""


@dataclass
class Findings:
    """The fields of the command's JSON."""

    output: str
    verified: bool = True
    """Whether all is as it was made."""
    films: int = 0
    pictures: int = 0
    sources: int = 0
    """Sources that were read and compared."""
    counts: dict[Kind, int] = field(default_factory=dict)
    """How many findings there are of each kind."""
    findings: list[dict[str, str]] = field(default_factory=list)
    """``path``, ``kind`` and ``finding``, the first of them."""
    notes: list[str] = field(default_factory=list)
    """What could not be compared, and why."""
    seconds: float = 0.0

    def add(self, kind: Kind, path: str, finding: str) -> None:
        """Note what is not as it was made."""
        self.verified = False
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if len(self.findings) < MOST_TOLD:
            self.findings.append({"path": path, "kind": kind, "finding": finding})
