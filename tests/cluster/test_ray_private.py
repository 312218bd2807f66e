"""Ray's private parts: those of the Ray that is installed, and one that lacks them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cluster.ray_private
from cluster.ray_private import actor_state

_USED = """
import ray._private.node, ray._private.services, ray._private.utils, ray._private.worker
from ray.job_config import JobConfig
node = ray._private.node.Node
for part in ("start_api_server", "start_raylet", "dead_processes", "kill_all_processes"):
    assert callable(getattr(node, part)), part
assert callable(ray._private.services.get_node)
assert callable(ray._private.utils.get_dashboard_dependency_error)
assert callable(ray._private.utils.get_entrypoint_name)
assert isinstance(ray._private.worker._worker_logs_enabled, bool)
assert JobConfig()._py_driver_sys_path == [] and callable(JobConfig._serialize)
"""
_MISSING = """
import ray._private.node, ray._private.services
del ray._private.services.get_node
from cluster.ray_private import lean_node
from pathlib import Path
import threading
spawned, usual = threading.Event(), ray._private.node.Node
with lean_node(Path("."), spawned):
    print(ray._private.node.Node is usual, spawned.is_set())
"""


def _python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_the_installed_ray_has_every_part_that_is_leaned_on() -> None:
    result = _python(_USED)
    assert result.returncode == 0, result.stderr


def test_a_ray_that_lacks_them_is_started_as_it_is() -> None:
    result = _python(_MISSING)
    assert result.stdout.strip() == "True True", result.stderr


def test_they_are_leaned_on_in_one_file() -> None:
    root = Path(__file__).parents[2]
    private = ("ray._private", "ray._raylet", "ray.core.generated")
    imports = [f"{how} {part}" for part in private for how in ("import", "from")]
    files = {
        str(file.relative_to(root))
        for package in ("nst", "jobs", "cluster", "pipeline", "nst_core")
        for file in (root / package).rglob("*.py")
        if any(line in file.read_text() for line in imports)
    }
    assert files == {"cluster/ray_private.py"}


def test_states_of_actors_have_rays_names() -> None:
    assert [actor_state(number) for number in (0, 2, 4)] == [
        "DEPENDENCIES_UNREADY",
        "ALIVE",
        "DEAD",
    ]


@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize("failures", [0, 3])
def test_a_node_that_is_there_is_seen_at_the_first_look_that_is_answered(
    failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    waits: list[float] = []
    looks = iter(range(failures + 1))

    def look_up() -> str:
        if next(looks) < failures:
            raise RuntimeError("busy")
        return "node"

    monkeypatch.setattr("cluster.ray_private.time.sleep", waits.append)
    head = ray.get_runtime_context().gcs_address
    assert cluster.ray_private._awaited_node(head, look_up, []) == "node"
    assert len(waits) == failures
