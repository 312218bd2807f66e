"""Does Ray start where the processors are busy: every command that starts it, beside busy loops.

Run `python -m tests.benchmarks.busy_machine --starts 20`; it takes about 20 seconds a start on two
cores. The exit code is 1 where a start has failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from safetensors.torch import save_file

from tests.kit.cluster_nodes import Machine
from tests.kit.media import make_clip, moving_picture
from tests.kit.random_vgg import random_vgg

_LOOPS = 6
_STYLE = ("--style", "identity", "--workers", "1")
_COMMANDS = {
    "stylize video": ("stylize", "video", "clip.mp4", "-o", "{}.mp4", *_STYLE),
    "stylize images": ("stylize", "images", "photos", "-o", "{}", *_STYLE),
    "upscale": ("upscale", "photos", "-o", "{}-x4", "--model", "x4", "--workers", "1"),
    "train style": (
        *("train", "style", "photos/0.png", "--content", "photos", "-o", "{}.safetensors"),
        *("--loss-network-weights", "vgg.safetensors", "--width", "4", "--image-size", "32"),
        *("--style-size", "32", "--batch-size", "2", "--steps", "2", "--device", "cpu"),
    ),
    "cluster up": ("cluster", "up", "--cpus", "2", "--port", "0", "--dashboard-port", "0"),
}


@contextmanager
def _busy_processors(loops: int) -> Iterator[None]:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for each in busy:
            each.kill()
            each.wait()


def _make_inputs(folder: Path) -> None:
    make_clip(folder / "clip.mp4")
    (folder / "photos").mkdir()
    for number in range(3):
        Image.fromarray(moving_picture(number)).save(folder / "photos" / f"{number}.png")
    tensors = {name: tensor.half() for name, tensor in random_vgg("vgg19").tensors.items()}
    metadata = {"architecture": "vgg19"}
    save_file(tensors, folder / "vgg.safetensors", metadata=metadata)


def _start(machine: Machine, folder: Path, command: Sequence[str], number: int) -> float | None:
    """Return the seconds that a command took; None where it failed, with its words on stderr."""
    arguments = [word.format(number) for word in command]
    start = time.monotonic()
    done = machine.nst(*arguments, folder=folder)
    seconds = time.monotonic() - start
    if arguments[0] == "cluster":
        machine.down()
    if done.returncode == 0:
        return seconds
    print(done.stderr, file=sys.stderr)
    return None


def main() -> int:
    """Print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=20, help="of each command")
    parser.add_argument("--loops", type=int, default=_LOOPS)
    parser.add_argument("--only", choices=_COMMANDS, action="append")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as name, _busy_processors(options.loops):
        folder = Path(name)
        _make_inputs(folder)
        machine = Machine(folder / "home")
        for command in options.only or _COMMANDS:
            starts = range(options.starts)
            taken = [_start(machine, folder, _COMMANDS[command], number) for number in starts]
            good = [seconds for seconds in taken if seconds is not None]
            failed += len(taken) - len(good)
            slowest = f"{max(good):.0f} s at most" if good else "-"
            print(f"{command:16} {len(good)} of {len(taken)} starts, {slowest}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
