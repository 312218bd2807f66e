"""Starting up: the time from a command to its first frame, and what it is made of."""

from __future__ import annotations

import re
import signal
import statistics
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from jobs.benchmark.commands import command_line, failure, run_script
from jobs.benchmark.section import Cell, Section
from jobs.benchmark.settings import BenchSettings
from jobs.benchmark.subjects import start_up_part
from jobs.demo.clip import make_clip
from nst_core.errors import NstError

_STYLE = "wave"
_SEGMENT_SECONDS = "0.1"
"""The least: two or three frames, which the command tells of as soon as it has them."""
_FIRST_FRAMES = re.compile(r"^\d+ of \d+ frames, ")
_BAR = 1.5

_PARTS = {
    "python": "Python's own start",
    "command": "the command line: import, its options read",
    "driver": "import of the job",
    "stock": "Ray: import and `ray.init()` as it comes, for comparison",
    "ray": "Ray: import and start, as this program starts it",
    "actor": "a worker's process",
    "torch": "import of torch",
    "worker": "import of a worker, beyond torch",
    "compile": "the network: read, compiled",
    "frame": "the first frame through it",
}
_UNAVOIDABLE = ("ray", "torch", "compile")


def start_up(settings: BenchSettings) -> Section:
    """Measure what starting up is made of, each part alone, and a whole command by turns with it.

    The caches of the disk and of the network are warm. Raises NstError where a command fails.
    """
    folder = settings.folder / "start-up"
    folder.mkdir()
    clip = folder / "clip.mp4"
    make_clip(clip)
    first_frame_seconds(clip, folder)  # warms the caches
    seconds: list[dict[str, float]] = []
    for _ in range(settings.rounds):
        seconds.append({**_parts(), "first": first_frame_seconds(clip, folder)})
    medians = {name: statistics.median(each[name] for each in seconds) for name in seconds[0]}
    unavoidable = [sum(each[name] for name in _UNAVOIDABLE) for each in seconds]
    ratio = statistics.median(
        each["first"] / least for each, least in zip(seconds, unavoidable, strict=True)
    )
    return _section(medians, statistics.median(unavoidable), ratio, settings.rounds)


def first_frame_seconds(clip: Path, folder: Path) -> float:
    """Run `nst stylize video`, and stop it at its first frames; seconds from its start to them.

    They have been decoded, stylized and encoded by then, and have come back from the worker.
    Raises NstError where it ends without any.
    """
    arguments = [
        *("stylize", "video", str(clip), "-o", str(folder / "first.mp4"), "--style", _STYLE),
        *("--address", "local", "--segment-seconds", _SEGMENT_SECONDS),
        *("--work-dir", str(folder), "--no-resume", "--overwrite"),
    ]
    start = time.perf_counter()
    with subprocess.Popen(
        command_line("jobs.cli", arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        lines: list[str] = []
        for line in process.stderr:
            lines.append(line)
            if _FIRST_FRAMES.match(line):
                seconds = time.perf_counter() - start
                process.send_signal(signal.SIGINT)
                process.stderr.read()
                return seconds
    raise NstError(failure("jobs.cli", arguments, process.returncode, "".join(lines)))


def _parts() -> dict[str, float]:
    """Each part in a process of its own."""
    seconds: dict[str, float] = {}
    for name in ("command", "driver", "torch", "worker"):
        run = run_script(start_up_part, name)
        seconds[name] = run.report["seconds"]
        if name == "command":
            seconds["python"] = run.seconds - seconds[name]
    seconds["worker"] = max(0.0, seconds["worker"] - seconds["torch"])
    for name in ("stock", "ray", "model"):
        seconds.update(run_script(start_up_part, name).report)
    return seconds


def _section(
    medians: Mapping[str, float], unavoidable: float, ratio: float, rounds: int
) -> Section:
    rows: list[tuple[Cell, ...]] = [
        (text, round(medians[name], 2), "yes" if name in _UNAVOIDABLE else "")
        for name, text in _PARTS.items()
    ]
    rows += [
        ("what is unavoidable, in all", round(unavoidable, 2), ""),
        ("from the command to its first frames", round(medians["first"], 2), ""),
        (f"times the unavoidable (bar: {_BAR})", round(ratio, 2), ""),
    ]
    return Section(
        key="start_up",
        title="Start-up",
        columns=("part", "s", "unavoidable"),
        rows=rows,
        notes=(
            f"Medians of {rounds} rounds with warm caches; every part in a process of its own, "
            "with nothing beside it. Python's own start contains its end.",
            "The whole is `nst stylize video` of 640x360 with the defaults of its pool, from the "
            "start of its process to the moment when the first two or three frames are back from "
            "a worker, encoded. Parts overlap in it: Ray starts beside the imports and the scan.",
            f"Ray, torch and the compiling cannot be avoided; the bar is {_BAR} times their sum.",
        ),
    )
