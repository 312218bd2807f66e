"""The folder of one training run: the one place that knows its paths and its records."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
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
    def events(self) -> Path:
        """One JSON object a line for what is worth telling: starts, rollbacks."""
        return self.path / "events.jsonl"

    @property
    def sheet(self) -> Path:
        """What came of it: the style images, and photos in the styles."""
        return self.path / "sheet.png"

    @property
    def failures(self) -> Path:
        """What went wrong in the present session, as JSON; the workers write it."""
        return self.path / "failures.json"

    @property
    def started(self) -> bool:
        """Whether a run has left anything here."""
        return self.settings.exists()

    def read_metrics(self) -> list[dict[str, Any]]:
        """All whole lines; a line cut short by a kill is left out."""
        return _whole_lines(self.metrics)

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
        _write_whole(self.metrics, "".join(json.dumps(line) + "\n" for line in kept))

    def begin_session(self) -> None:
        """Forget what the last command left for its own workers."""
        for file in (self.session, self.failures):
            file.unlink(missing_ok=True)

    def note_start(self, step: int) -> int:
        """Note that workers start at ``step``; returns how many starts in a row were there."""
        record = self._failure_record()
        starts = record.get("starts", 0) + 1 if record.get("step") == step else 1
        self._write_failures(record | {"step": step, "starts": starts})
        return starts

    def note_error(self, error: str, *, is_final: bool) -> None:
        """Keep a worker's words; ``is_final`` where trying again makes no sense."""
        record = self._failure_record() | {"error": error}
        self._write_failures(record | ({"failure": error} if is_final else {}))

    def give_up(self, reason: str) -> None:
        """Let the session end as failed, with the last worker's words."""
        record = self._failure_record()
        error = record.get("error", "a worker died without a word, such as for want of memory")
        self._write_failures(record | {"failure": f"{reason}; the last: {error}"})

    def failure(self) -> str | None:
        """Why the present session must end, if it must."""
        failure: str | None = self._failure_record().get("failure")
        return failure

    def _failure_record(self) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads(self.failures.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return record

    def _write_failures(self, record: dict[str, Any]) -> None:
        _write_whole(self.failures, json.dumps(record))

    def note_unreadable(self, rank: int, unreadable: Mapping[str, str]) -> None:
        """Keep the photos that worker ``rank`` could not read, and why."""
        if not unreadable:
            return
        with self._unreadable(rank).open("a") as file:
            for path, error in unreadable.items():
                file.write(json.dumps({"path": path, "error": error}) + "\n")

    def unreadable(self) -> dict[str, str]:
        """All photos that a worker could not read, and why, in sorted order."""
        found: dict[str, str] = {}
        for file in self.path.glob(self._unreadable("*").name):
            found |= {line["path"]: line["error"] for line in _whole_lines(file)}
        return dict(sorted(found.items()))

    def note_event(self, event: dict[str, Any]) -> None:
        """Append to the events."""
        with self.events.open("a") as file:
            file.write(json.dumps(event) + "\n")

    def read_events(self) -> list[dict[str, Any]]:
        """All events, the oldest first."""
        return _whole_lines(self.events)

    def _unreadable(self, rank: int | str) -> Path:
        return self.path / f"unreadable-{rank}.jsonl"

    def records(self) -> Iterator[Path]:
        """Files that a run leaves here, beside Ray's and the pictures."""
        yield from (self.metrics, self.settings, self.session, self.failures, self.events)
        yield self.sheet
        yield from self.path.glob(self._unreadable("*").name)


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines; one cut short by a kill is left out."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_text(text)
    temporary.replace(path)
