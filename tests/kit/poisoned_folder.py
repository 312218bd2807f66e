"""A user's folder that holds a file for every module there is; none of them may ever be run."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

_OURS = ("nst", "pipeline", "jobs", "cluster", "nst_core")
_MARK = "MARK"
_POISON = """
import os
with open({mark!r}, "a") as file:
    print({name!r}, os.getpid(), file=file)
raise ImportError("a user's own {name}")
"""


class PoisonedFolder:
    """Every module of the standard library, of this environment and of ours, as files that bite."""

    def __init__(self, path: Path, *, without: Collection[str] = ()) -> None:
        """``without`` names modules that are not there."""
        self.path = path
        mark = str(path / _MARK)
        names = {*_OURS, *sys.stdlib_module_names, *importlib.metadata.packages_distributions()}
        for name in names - set(without) - {"__main__"}:
            if not name.isidentifier():
                continue
            as_folder = name in _OURS or len(name) % 2
            file = path / name / "__init__.py" if as_folder else path / f"{name}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(_POISON.format(mark=mark, name=name))

    @property
    def bitten(self) -> str:
        """What has been imported, with the pids of who did so."""
        mark = self.path / _MARK
        return mark.read_text() if mark.exists() else ""


def imported_by_python(*more: str) -> set[str]:
    """What Python itself imports before the first line of a program, and with ``more``."""
    code = f"import {', '.join(('sys', *more))}; "
    code += "print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())
