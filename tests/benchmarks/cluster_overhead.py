"""What a running cluster costs against an embedded Ray: a film of 100 segments, by ``identity``.

    python -m tests.benchmarks.cluster_overhead

Both take turns within this one run, each time in a process of its own; the median of the ratios is
printed. The cluster is a head of `nst cluster up` on this machine, with the token that is its
default. Connecting is left out; the workers start within the time measured.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cluster.connection import LOCAL, ray_session
from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from tests.kit.cluster_nodes import Machine
from tests.kit.media import make_clip

_ROUNDS = 7
_SEGMENTS = 100
_RATE = 24
_BAR = 1.15


def main() -> None:
    """Print the wall time of both in every round, and the median ratio beside its bar."""
    if len(sys.argv) == 3:
        print(_seconds(Path(sys.argv[1]), sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "film.mp4")
        make_clip(film, frames=_SEGMENTS * _RATE, width=640, height=360)
        machine = Machine(Path(folder, "home"))
        cpus = len(os.sched_getaffinity(0))
        head = machine.up("--port", "0", "--dashboard-port", "0", "--cpus", str(cpus))
        try:
            ratios = [_round(number, film, machine, head.address) for number in range(_ROUNDS)]
        finally:
            machine.down()
    ratio = statistics.median(ratios)
    verdict = "kept" if ratio <= _BAR else "MISSED"
    print(f"median ratio {ratio:.2f}; bar {_BAR}: {verdict}")


def _round(number: int, film: Path, machine: Machine, address: str) -> float:
    embedded, cluster = (_timed(film, machine, where) for where in (LOCAL, address))
    ratio = cluster / embedded
    print(
        f"round {number + 1}: embedded {embedded:.2f} s, cluster {cluster:.2f} s, "
        f"ratio {ratio:.2f}",
        flush=True,
    )
    return ratio


def _timed(film: Path, machine: Machine, address: str) -> float:
    command = [sys.executable, "-m", __spec__.name, str(film), address]
    result = subprocess.run(
        command, env=machine.environment, capture_output=True, text=True, check=True
    )
    return float(result.stdout)


def _seconds(film: Path, address: str) -> float:
    job = StylizeVideo(
        (film,),
        film.with_name("out.mp4"),
        StyleSpec("identity"),
        PoolSpec(address),
        segment_seconds=1,
        resume=False,
        overwrite=True,
    )
    with ray_session(address):
        start = time.perf_counter()
        (report,) = stylize_videos(job).inputs
        seconds = time.perf_counter() - start
    assert report.segments["total"] == _SEGMENTS
    assert report.status == "done", report.error
    return seconds


if __name__ == "__main__":
    main()
