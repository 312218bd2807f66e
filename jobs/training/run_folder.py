"""The folder of one training run: the one place that knows its paths and its records."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nst_core.errors import InputError
from nst_core.files import check_can_write, is_cut_short, lock, write_whole

_LONGER_THAN_TWO_LINES = 4096
_SECONDS_FOR_ORPHANS = 60.0
"""The workers of a killed command end within seconds; those of a lost node somewhat later."""
_SECONDS_BETWEEN_TRIES = 0.1
_COMMAND_LOCK = ".command.lock"

Line = dict[str, Any]


class _Inside:
    """A path in the run folder, by its name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, folder: RunFolder, _: type[RunFolder] | None = None) -> Path:
        return folder.path / self._name


@dataclass(frozen=True)
class RunFolder:
    """Paths of a training run. The folder must be reachable from every worker."""

    path: Path
    """Absolute."""

    metrics = _Inside("metrics.jsonl")
    """One JSON object a line and step."""
    settings = _Inside("settings.json")
    """The settings that decide the result, as JSON: a resumed run must have the same."""
    previews = _Inside("preview")
    """Sheets of a few fixed photos, each with its stylized version."""
    tensorboard = _Inside("tensorboard")
    """TensorBoard's event files."""
    checkpoint = _Inside("checkpoint")
    """What the present command went on from, and the last one came to."""
    ray = _Inside("ray")
    """Ray Train's own, while it runs: the checkpoints that the present command came to."""
    events = _Inside("events.jsonl")
    """One JSON object a line for what is worth telling: starts, rollbacks."""
    sheet = _Inside("sheet.png")
    """What came of it: the style images, and photos in the styles."""
    so_far = _Inside("so-far.safetensors")
    """A checkpoint of the averaged weights that the run has come to, until it is finished."""
    failure_file = _Inside("failure.json")
    """Why the present command must end, from the worker that knows it."""
    stop_file = _Inside("stop")
    """Asks the workers of the present command to write a checkpoint and end."""
    options = _Inside("options.json")
    """Options that the run was started with, as JSON."""

    @property
    def started(self) -> bool:
        """Whether a run has left anything here."""
        return self.settings.exists()

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Have the folder for one command alone; it is made where there is none.

        Raises InputError when another command trains there, or where it cannot be written.
        """
        with ExitStack() as held:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                held.enter_context(_locked(self.path / _COMMAND_LOCK, seconds=0))
            except TimeoutError as error:
                raise self._in_use() from error
            except OSError as error:
                raise self._unwritable(error) from error
            yield

    def look(self) -> None:
        """Raise the InputError that ``reserved`` would raise; nothing is written."""
        try:
            check_can_write(self.path)
            with (self.path / _COMMAND_LOCK).open("rb") as file:
                if not lock(file):
                    raise self._in_use()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._unwritable(error) from error

    def _in_use(self) -> InputError:
        return InputError(
            f"{self.path}: another nst train is at work in this run folder; wait for "
            "its end, or choose another one with --run-dir"
        )

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            f"{self.path}: {error.strerror}; choose a run folder that can be written with --run-dir"
        )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one worker that writes down steps, after the end of every earlier one.

        Raises TimeoutError when one of those does not end, OSError where nothing can be written.
        """
        with _locked(self.path / ".writer.lock", seconds=_SECONDS_FOR_ORPHANS):
            yield

    def write_settings(self, settings: Line) -> None:
        """Say what is trained here; from now on the run has started."""
        write_whole(self.settings, json.dumps(settings, indent=1))

    def read_settings(self) -> Line:
        """Return what is trained here. Raises InputError where that cannot be read."""
        try:
            settings: Line = json.loads(self.settings.read_text())
        except ValueError as error:
            raise InputError(
                f"{self.settings}: damaged; --overwrite trains anew, or choose another --run-dir"
            ) from error
        return settings

    def write_options(self, options: Mapping[str, Any]) -> None:
        """Keep the options of the command line that the run was started with."""
        write_whole(self.options, json.dumps(dict(options), indent=1))

    def read_options(self) -> Line:
        """Return the options that the run was started with; none where nobody knows."""
        try:
            options = json.loads(self.options.read_text())
        except (OSError, ValueError):
            return {}
        return options if isinstance(options, dict) else {}

    def ask_to_stop(self) -> None:
        """Let the workers of this command write a checkpoint after their present step, and end."""
        self.stop_file.touch()

    def is_to_stop(self) -> bool:
        """Say whether the workers have been asked to end."""
        return self.stop_file.exists()

    def read_metrics(self) -> list[Line]:
        """All whole lines; a line cut short by a kill is left out."""
        return _read_lines(self.metrics)

    def last_metrics(self) -> Line | None:
        """The last whole line, without reading those before it."""
        try:
            with self.metrics.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _LONGER_THAN_TWO_LINES))
                lines = file.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return None
        return next(_parsed(reversed(lines)), None)

    def note_step(self, line: Line) -> None:
        """Append the line of a step to the metrics."""
        _append(self.metrics, [line])

    def forget_metrics_from(self, step: int) -> None:
        """Drop the lines of steps that will be done again (``step`` and later, from 0)."""
        _keep_lines(self.metrics, [line for line in self.read_metrics() if line["step"] < step])

    def forget_from(self, step: int) -> None:
        """Drop the metrics of steps that will be done again, and the rollbacks to them."""
        self.forget_metrics_from(step)
        events = self.read_events()
        kept = [e for e in events if e["event"] != "rollback" or e["step"] < step]
        _keep_lines(self.events, kept)

    def note_failure(self, why: str) -> None:
        """Let no worker of this command begin again: it would only fail again."""
        write_whole(self.failure_file, json.dumps({"failure": why}))

    def failure(self) -> str | None:
        """Why no worker of this command may begin again; None where they may."""
        try:
            failure: str = json.loads(self.failure_file.read_text())["failure"]
        except FileNotFoundError:
            return None
        return failure

    def forget_failure(self) -> None:
        """Let workers begin: what kept those of the last command from it may be mended."""
        self.failure_file.unlink(missing_ok=True)
        self.stop_file.unlink(missing_ok=True)

    def forget_so_far(self) -> None:
        """Remove what stood for the checkpoint until that was written."""
        self.so_far.unlink(missing_ok=True)
        self.forget_unfinished()

    def forget_unfinished(self) -> None:
        """Remove what a kill has left of a checkpoint that was being written."""
        for part in self.path.glob(f".{self.so_far.name}.*.part"):
            part.unlink(missing_ok=True)

    def note_unreadable(self, rank: int, unreadable: Mapping[str, str]) -> None:
        """Keep the photos that worker ``rank`` could not read, and why."""
        lines = [{"path": path, "error": error} for path, error in unreadable.items()]
        if lines:
            _append(self._unreadable(rank), lines)

    def unreadable(self) -> dict[str, str]:
        """All photos that a worker could not read, and why, in sorted order."""
        found: dict[str, str] = {}
        for file in self.path.glob(self._unreadable("*").name):
            found |= {line["path"]: line["error"] for line in _read_lines(file)}
        return dict(sorted(found.items()))

    def note_event(self, event: Line) -> None:
        """Append to the events, with the time, by which they are told apart."""
        _append(self.events, [event | {"time": datetime.now(UTC).isoformat()}])

    def read_events(self) -> list[Line]:
        """All events, the oldest first."""
        return _read_lines(self.events)

    def _unreadable(self, rank: int | str) -> Path:
        return self.path / f"unreadable-{rank}.jsonl"

    def records(self) -> Iterator[Path]:
        """Files that a run leaves here, beside checkpoints and pictures of the steps."""
        yield from (self.metrics, self.events, self.failure_file, self.sheet, self.so_far)
        yield from (self.stop_file, self.options)
        yield from self.path.glob(self._unreadable("*").name)
        yield self.settings  # last: as long as it is there, a run is


@contextmanager
def _locked(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold a lock that a process loses with its life. Raises TimeoutError after ``seconds``."""
    with path.open("a") as file:
        end = time.monotonic() + seconds
        while not lock(file):
            if time.monotonic() >= end:
                raise TimeoutError(f"{path}: held by another process")
            time.sleep(_SECONDS_BETWEEN_TRIES)
        yield


def _read_lines(path: Path) -> list[Line]:
    """Read JSON lines; those cut short by a kill are left out."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return list(_parsed(content.split(b"\n")[:-1]))


def _parsed(lines: Iterable[bytes]) -> Iterator[Line]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _append(path: Path, lines: Iterable[Line]) -> None:
    """Append JSON lines, after the end of one that a kill has cut short."""
    with path.open("ab") as file:
        if is_cut_short(path):
            file.write(b"\n")
        file.write(_text(lines).encode())


def _keep_lines(path: Path, lines: Iterable[Line]) -> None:
    if path.exists():
        write_whole(path, _text(lines))


def _text(lines: Iterable[Line]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)
