"""The folder of one training run: the one place that knows its paths and its records."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LONGER_THAN_TWO_LINES = 4096


@dataclass(frozen=True)
class RunFolder:
    """Paths of a training run. The folder must be reachable from every worker."""

    path: Path
    """Absolute."""

    @property
    def metrics(self) -> Path:
        """One JSON object a line and step."""
        return self.path / "metrics.jsonl"

    @property
    def settings(self) -> Path:
        """The settings that decide the result, as JSON: a resumed run must have the same."""
        return self.path / "settings.json"

    @property
    def session(self) -> Path:
        """Where the present session began, written by the first worker group of it."""
        return self.path / "session.json"

    @property
    def previews(self) -> Path:
        """Sheets of a few fixed photos, each with its stylized version."""
        return self.path / "preview"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def ray(self) -> Path:
        """Ray Train's own: its snapshot and the checkpoints."""
        return self.path / "ray"

    @property
    def started(self) -> bool:
        """Whether a run has left anything here."""
        return self.settings.exists()

    def read_metrics(self) -> list[dict[str, Any]]:
        """All whole lines; a line cut short by a kill is left out."""
        if not self.metrics.exists():
            return []
        lines = self.metrics.read_text().split("\n")
        return [json.loads(line) for line in lines[:-1]]

    def last_metrics(self) -> dict[str, Any] | None:
        """The last whole line, without reading those before it."""
        if not self.metrics.exists():
            return None
        with self.metrics.open("rb") as file:
            file.seek(max(0, self.metrics.stat().st_size - _LONGER_THAN_TWO_LINES))
            lines = file.read().decode().split("\n")
        return json.loads(lines[-2]) if len(lines) > 1 else None

    def forget_metrics_from(self, step: int) -> None:
        """Drop the lines of steps that will be done again (``step`` and later, from 0)."""
        kept = [line for line in self.read_metrics() if line["step"] < step]
        temporary = self.metrics.with_suffix(".part")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        temporary.replace(self.metrics)
