"""What an image job came to."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_WARNINGS = 1000
"""In a report; how many there were in all is counted."""


@dataclass
class StylizeImagesReport:
    """The fields of the command's JSON and of report.json; every input is counted once."""

    total: int = 0
    done: int = 0
    reused: int = 0
    failed: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    """``path`` and ``error`` of each input that failed."""
    warnings: list[dict[str, str]] = field(default_factory=list)
    """``path`` and ``warning``, the first of them."""
    warned: int = 0
    """How many warnings there were."""
    images_per_second: float = 0.0
    seconds: float = 0.0
    network_seconds: float = 0.0
    """How long the network took, summed over the workers."""
    engine: str = "none"
    workers: int = 0

    def fail(self, path: str, error: str) -> None:
        """Count an input that could not be done."""
        self.failed += 1
        self.failures.append({"path": path, "error": error})

    def warn(self, path: str, warning: str) -> None:
        """Note what a user should know though nothing failed."""
        self.warned += 1
        if len(self.warnings) < MOST_WARNINGS:
            self.warnings.append({"path": path, "warning": warning})
