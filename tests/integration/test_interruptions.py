"""A video run stopped from outside, as users and schedulers stop it, and run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.work_folder import HIDDEN_PARENT
from tests.media import make_clip

_SEGMENTS_BEFORE_THE_SIGNAL = 2


def _heed_ctrl_c() -> None:
    """Undo what a shell does to its background jobs, of which this test run may be one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)]
)
def test_a_stopped_run_is_gone_on_with(tmp_path: Path, number: signal.Signals, code: int) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, frames=120, width=320, height=192)
    command = [
        *(sys.executable, "-m", "jobs.cli", "stylize", "video", str(source), "-o", str(output)),
        *("--style", "wave", "--segment-seconds", "0.5", "--workers", "0", "--json"),
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_heed_ctrl_c,
    )
    records = tmp_path / HIDDEN_PARENT
    while len(list(records.glob("*/0*.json"))) < _SEGMENTS_BEFORE_THE_SIGNAL:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.kill(process.pid, number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert stdout == ""
    assert "Traceback" not in stderr
    if code == 130:
        assert stderr.splitlines()[-1].startswith("interrupted")
    assert not output.exists()

    again = subprocess.run(command, capture_output=True, text=True, check=True)
    (report,) = json.loads(again.stdout)["inputs"]
    assert report["segments"]["reused"] >= _SEGMENTS_BEFORE_THE_SIGNAL
    assert report["segments"]["reused"] + report["segments"]["done"] == 10
    assert report["frames_out"] == 120
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]
