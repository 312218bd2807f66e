"""An embedded Ray: started for one command, on loopback, patiently on a busy machine."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from cluster.ray_folder import embedded_ray_folder
from cluster.ray_private import init_ray, lean_node
from cluster.ray_processes import processes_ended
from nst_core.errors import EnvironmentProblem
from nst_core.wording import first_line

_log = logging.getLogger(__name__)

EMBEDDED_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    # Else a worker for each CPU, before any is asked for, and the driver waits for them.
    "RAY_prestart_worker_first_driver": "0",
    # A raylet asks its own object store, which it has just started: every second try came early,
    # and the next one second later.
    "RAY_raylet_client_connect_timeout_milliseconds": "20",
    "RAY_raylet_client_num_connect_attempts": "6000",
    # All of it is on this machine: who does not answer is busy.
    "RAY_health_check_timeout_ms": "60000",
    "RAY_health_check_failure_threshold": "20",
}
"""Environment of an embedded Ray's processes, and of the driver."""
_SECONDS_BEFORE_ATTEMPTS = (0.0, 1.0, 5.0, 20.0)
_OBJECT_STORE_BYTES = 1 << 30
_everything = ExitStack()
"""What ends with the embedded Ray of this process."""


@dataclass(frozen=True)
class Start:
    """A start of an embedded Ray, as seen by those who wait for it."""

    spawned: threading.Event = field(default_factory=threading.Event)
    """Set when its processes are there, not yet ready."""
    unwanted: threading.Event = field(default_factory=threading.Event)
    """Set by whoever waits no longer: what fails is not tried again."""


def start_embedded_ray(start: Start) -> None:
    """Start an embedded Ray and connect to it. Raises EnvironmentProblem."""
    try:
        folder = _everything.enter_context(embedded_ray_folder())
        (folder / "tmp").mkdir()
        _everything.callback(_shut_down, folder)
        _try_to_start(folder, start)
    except BaseException:
        end_embedded_ray()
        raise


def end_embedded_ray() -> None:
    """End the embedded Ray of this process, and remove its files."""
    _everything.close()


def _shut_down(folder: Path) -> None:
    import ray

    with processes_ended(folder):
        ray.shutdown()


def _try_to_start(folder: Path, start: Start) -> None:
    import ray

    words, begun = "", 0.0
    attempts = len(_SECONDS_BEFORE_ATTEMPTS)
    for attempt, seconds in enumerate(_SECONDS_BEFORE_ATTEMPTS, 1):
        if attempt > 1 and not start.unwanted.is_set():
            _log.warning(
                "the machine is busy: Ray did not start in %.0f s, attempt %d of %d",
                *(time.monotonic() - begun, attempt, attempts),
            )
        if start.unwanted.wait(seconds):
            break
        begun = time.monotonic()
        try:
            _start(folder, start)
            return
        except Exception as error:  # Ray raises a bare Exception when a node does not come up
            ray.shutdown()
            words = first_line(error)
    raise EnvironmentProblem(
        f"no Ray of its own on this machine in {attempts} attempts ({words}); "
        "try again when more of its memory and processors is free; stylize and upscale need no "
        "Ray with --workers 0"
    )


def _start(folder: Path, start: Start) -> None:
    with lean_node(folder, start.spawned):
        init_ray(
            address="local",
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            _temp_dir=str(folder / "ray"),
        )
