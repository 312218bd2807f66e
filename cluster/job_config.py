"""What Ray is told about a driver: nothing that lets workers import from its folder."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray.job_config import JobConfig


def job_config() -> JobConfig:
    """Return a new one, for `ray.init`."""
    config: JobConfig = _config_class()()
    return config


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
