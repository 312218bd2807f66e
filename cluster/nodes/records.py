"""What `nst cluster up` has started on this machine: a small file for each node."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from nst_core.files import write_whole

MARK = "NST_CLUSTER_NODE"
"""In the environment of every process of a node, jobs and workers included: its record's name."""
NO_PROCESS = -1
"""In place of a pid, before there is one."""
_FOLDER_VARIABLE = "NST_STATE_DIR"


@dataclass(frozen=True)
class NodeRecord:
    """A node that was started here."""

    name: str
    """Name of the record; its processes carry it in MARK."""
    address: str
    """HOST:PORT of the cluster's head."""
    is_head: bool
    dashboard: str | None
    """URL of the Jobs API; None beside the head."""
    folder: str
    """Ray's temporary files of the node, and of no other."""
    pid: int
    """Process that all others of the node come from."""
    started: float
    """That process's start, in seconds since the epoch: pids are used again."""

    @property
    def is_running(self) -> bool:
        """Whether the node's first process lives."""
        if self.pid == NO_PROCESS:
            return False
        try:
            return bool(abs(psutil.Process(self.pid).create_time() - self.started) < 1.0)
        except psutil.Error:
            return False

    def processes(self) -> list[psutil.Process]:
        """Return all living processes of the node, whatever became of the first."""
        return processes_of(self.name)


def processes_of(name: str) -> list[psutil.Process]:
    """Return all living processes that carry a node's name."""
    return [each for each in psutil.process_iter() if _carries(each, name)]


def write_record(record: NodeRecord) -> None:
    """Keep a record until the node is ended."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(folder / f"{record.name}.json", json.dumps(asdict(record)))


def forget_record(name: str) -> None:
    """Drop the record of a node that is ended."""
    (_folder() / f"{name}.json").unlink(missing_ok=True)


def read_records() -> Iterator[NodeRecord]:
    """Yield the records of this user and machine, in the order in which nodes were started."""
    records = []
    for path in _folder().glob("*.json"):
        try:
            records.append(NodeRecord(**json.loads(path.read_text())))
        except (OSError, ValueError, TypeError):  # half written, or of another version
            continue
    yield from sorted(records, key=lambda record: record.started)


def running_heads() -> Iterator[NodeRecord]:
    """Yield the heads that were started here and live."""
    return (record for record in read_records() if record.is_head and record.is_running)


def running_node() -> NodeRecord | None:
    """Return the node here that lives, the head before others; None without one."""
    running = [record for record in read_records() if record.is_running]
    return min(running, key=lambda record: not record.is_head, default=None)


def _folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(os.environ.get(_FOLDER_VARIABLE) or Path(state, "nst")) / "cluster"


def _carries(process: psutil.Process, name: str) -> bool:
    try:
        is_ours: bool = process.environ().get(MARK) == name
        return is_ours and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):  # another user's, or gone
        return False
