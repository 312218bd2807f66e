from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from nst_core.errors import EnvironmentProblem

_LISTENERS = """
import os, psutil
from cluster.connection import ray_session
with ray_session():
    import ray
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        for connection in process.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN:
                print("listens", connection.laddr.ip)
print("connected", ray.is_initialized())
"""

_NO_CLUSTER = """
from cluster.connection import ray_session
with ray_session("127.0.0.1:1"):
    pass
"""


def _python(code: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own: Ray reads its settings once in a process."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment | more,
        timeout=600,
        check=False,
    )


def test_embedded_ray_listens_on_loopback_only_and_leaves_nothing_behind_its_block(
    short_folder: Path,
) -> None:
    lines = _python(_LISTENERS, TMPDIR=str(short_folder)).stdout.splitlines()
    addresses = {line.split()[1] for line in lines if line.startswith("listens")}
    assert addresses
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert "connected False" in lines
    assert list(short_folder.iterdir()) == []


def test_a_cluster_that_is_not_there_is_one_clear_error() -> None:
    result = _python(_NO_CLUSTER)
    assert EnvironmentProblem.__name__ in result.stderr
    assert "no Ray at 127.0.0.1:1" in result.stderr
