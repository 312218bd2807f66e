"""Connecting to Ray: what it is told about a driver, and what it is not."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.job_config import JobConfig


def init_ray(**how: Any) -> None:
    """Connect this process to Ray: `ray.init`, quietly, without a log on our streams."""
    import ray

    with _readable_command_line():
        ray.init(job_config=_config_class()(), log_to_driver=False, logging_level="ERROR", **how)


@cache
def _config_class() -> type[JobConfig]:
    from ray.job_config import JobConfig

    class WithoutFolders(JobConfig):  # type: ignore[misc]
        """Ray's own gives workers the driver's current folder as the first to import from."""

        def _serialize(self) -> str:
            self._py_driver_sys_path.clear()
            serialized: str = super()._serialize()
            return serialized

    return WithoutFolders


@contextmanager
def _readable_command_line() -> Iterator[None]:
    """Let Ray, which keeps it, have a command line of UTF-8, whatever files are called."""
    import ray._private.utils as internals

    usual = internals.get_entrypoint_name
    readable = shlex.join(sys.argv).encode("utf-8", "backslashreplace").decode()
    internals.get_entrypoint_name = lambda: readable
    try:
        yield
    finally:
        internals.get_entrypoint_name = usual
