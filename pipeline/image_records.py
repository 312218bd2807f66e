"""What has been done in an image output folder: one line a picture, the basis of resuming."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.image_files import ImageTask

_FILE_NAME = "progress.jsonl"


class ImageRecords:
    """Remembers, for every output, the source and the settings that it was made from.

    ``identity`` stands for everything else that decides the pixels: style, settings, version.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._path = folder / _FILE_NAME
        self._folder = folder
        self._identity = identity
        self._known = self._read()

    def is_done(self, task: ImageTask) -> bool:
        """Whether the output is there, made from this very source under this identity."""
        known = self._known.get(self._name(task))
        return task.output.exists() and known == self._record(task, done=True)

    def may_replace(self, task: ImageTask) -> bool:
        """Whether an existing output is our own: made, or begun, from this source in this way."""
        known = self._known.get(self._name(task), {})
        ours = self._record(task, done=False)
        return all(known.get(key) == ours[key] for key in ("source", "identity"))

    def begin(self, task: ImageTask) -> None:
        """Note an output that is about to be written: a kill may come before ``add``."""
        self._append(task, done=False)

    def add(self, task: ImageTask) -> None:
        """Note an output that has just been written."""
        self._append(task, done=True)

    def _append(self, task: ImageTask, *, done: bool) -> None:
        line = {"output": self._name(task), **self._record(task, done=done)}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _name(self, task: ImageTask) -> str:
        return str(task.output.relative_to(self._folder))

    def _record(self, task: ImageTask, *, done: bool) -> dict[str, Any]:
        return {
            "source": str(task.source),
            "state": list(task.source_state),
            "identity": self._identity,
            "done": done,
        }

    def _read(self) -> dict[str, dict[str, Any]]:
        if not self._path.exists():
            return {}
        known: dict[str, dict[str, Any]] = {}
        for text in self._path.read_text().splitlines():
            try:
                line = json.loads(text)
                known[line.pop("output")] = line
            except (ValueError, KeyError):
                continue  # cut short by a kill: that picture is done again
        return known
