"""What an image job came to."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nst_core.errors import InputError, MediaError
from pipeline.datasets.annotations import CarriedAnnotations
from pipeline.storage.local import LocalStorage

_log = logging.getLogger(__name__)

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
    tried: int = 0
    """Inputs that went to a worker: the others were there already, or refused before any work."""
    styles_per_image: int = 1
    """Outputs of each input."""
    styles: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the checkpoints, by the names of the styles."""
    untried: int = 0
    """Inputs that were left, neither done nor failed, where the run ended at --max-failures."""
    annotations: list[CarriedAnnotations] = field(default_factory=list)
    """What has become of --annotations."""

    @property
    def nothing_started(self) -> bool:
        """Whether every input was refused before any work."""
        return not self.tried and self.failed == self.total

    def fail(self, path: str, error: str) -> None:
        """Count an input that could not be done."""
        self.failed += 1
        self.failures.append({"path": path, "error": error})

    def warn(self, path: str, warning: str) -> None:
        """Note what a user should know though nothing failed."""
        self.warned += 1
        if len(self.warnings) < MOST_WARNINGS:
            self.warnings.append({"path": path, "warning": warning})


def as_text(report: StylizeImagesReport) -> bytes:
    """Return a report as JSON, for a file."""
    return (json.dumps(asdict(report), indent=1) + "\n").encode()


def check_report(path: Path | None) -> None:
    """Raise InputError, before any work, for a --report that would replace anything else."""
    if path is None or not path.exists():
        return
    try:
        is_ours = "images_per_second" in json.loads(path.read_bytes())
    except (OSError, ValueError, TypeError):
        is_ours = False
    if not is_ours:
        raise InputError(f"--report {path}: exists and is no report of ours; name another file")


def write_report(path: Path, report: StylizeImagesReport) -> None:
    """Let a report appear whole. Raises InputError where it cannot be written."""
    try:
        LocalStorage().write(str(path.absolute()), as_text(report))
    except MediaError as error:
        raise InputError(f"--report {error}") from error


@contextmanager
def warn_on_failure(folder: str, what: str = "the record") -> Iterator[None]:
    """Warn of what cannot be written; what a record would have said is done again."""
    try:
        yield
    except (OSError, MediaError) as error:
        _log.warning("%s: %s cannot be written: %s", folder, what, reason_of(error))


def reason_of(error: OSError | MediaError) -> str:
    """Say why a file cannot be written."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
