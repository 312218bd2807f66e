"""Folders of pictures: the whole command against a plain copy loop, and the network's share.

python -m tests.benchmarks.image_folders copy PHOTOS     identity against two processes of Pillow
python -m tests.benchmarks.image_folders network PHOTOS  share of the wall time with a style
python -m tests.benchmarks.image_folders tiny COUNT      overhead and memory for tiny files
"""

from __future__ import annotations

import multiprocessing.pool
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil
from PIL import Image

from cluster.connection import ray_session
from jobs.applying.stylize_images import stylize_images
from jobs.specs.applying import PoolSpec, StylizeImages
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.pictures.report import StylizeImagesReport
from pipeline.work.progress import OnProgress, Progress, ignore_progress

_ROUNDS = 5
_WORKERS = 2
_COPIES = 5
_QUALITY = StylizeImages.quality


def main() -> None:
    """Run one of the comparisons."""
    what, argument = sys.argv[1:3]
    with ray_session():
        if what == "copy":
            compare_with_copying(Path(argument))
        elif what == "network":
            share_of_the_network(Path(argument))
        else:
            tiny_files(int(argument))


def compare_with_copying(photos: Path) -> None:
    """Take turns; workers and processes start anew in each round, and that time is left out.

    Each picture is copied several times, since workers do not all start at the same moment.
    """
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        files = _links(photos, Path(folder))
        for number in range(_ROUNDS):
            copied = _copy_with_pillow(files)
            ours = _seconds_of_work(Path(folder))
            ratios.append(copied / ours)
            print(
                f"round {number}: Pillow {len(files) / copied:.0f} pictures/s, "
                f"nst {len(files) / ours:.0f}, ratio {ratios[-1]:.2f}"
            )
    print(f"median ratio {median(ratios):.2f} (at least 0.8 is wanted)")


def share_of_the_network(photos: Path) -> None:
    """How much of the wall time the workers spend in the network, start-up aside."""
    with tempfile.TemporaryDirectory() as folder:
        clock = _Clock()
        report = _stylize(photos, folder, "wave", clock.show)
        share = report.network_seconds / (_WORKERS * clock.seconds)
        print(
            f"{report.done} pictures in {clock.seconds:.1f} s, "
            f"network {report.network_seconds:.1f} s on {_WORKERS} workers: {share:.2f}"
        )


def tiny_files(count: int) -> None:
    """Milliseconds a file, and the driver's memory over the run."""
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as output:
        _make_tiny(Path(source), count)
        process = psutil.Process()
        memory: list[tuple[int, float]] = []

        def watch(progress: Progress) -> None:
            if progress.done and progress.done % (count // 10) == 0:
                memory.append((progress.done, process.memory_info().rss / 1e6))

        start = time.monotonic()
        report = _stylize(Path(source), output, "identity", watch)
        seconds = time.monotonic() - start
        print(f"{report.done} files, {seconds:.1f} s, {1000 * seconds / count:.2f} ms a file")
        print("driver: " + ", ".join(f"{done}: {mb:.0f} MB" for done, mb in memory))
        start = time.monotonic()
        again = _stylize(Path(source), output, "identity")
        print(f"run again: {again.reused} reused in {time.monotonic() - start:.1f} s")


class _Clock:
    """From the first picture that a worker is given to the last result: start-up aside."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def show(self, progress: Progress) -> None:
        if progress.per_second:
            self.seconds = progress.done / progress.per_second


def _seconds_of_work(photos: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        clock = _Clock()
        _stylize(photos, folder, "identity", clock.show)
        return clock.seconds


def _stylize(
    source: Path, output: str, style: str, show: OnProgress = ignore_progress
) -> StylizeImagesReport:
    pool = PoolSpec(workers=_WORKERS)
    return stylize_images(StylizeImages((str(source),), output, (StyleSpec(style),), pool), show)


def _links(photos: Path, folder: Path) -> list[Path]:
    links = []
    for number in range(_COPIES):
        for photo in sorted(photos.glob("*.jpg")):
            links.append(folder / f"{number}-{photo.name}")
            links[-1].symlink_to(photo.absolute())
    return links


def _copy_with_pillow(files: list[Path]) -> float:
    with tempfile.TemporaryDirectory() as folder, _processes() as pool:
        pool.map(_copy, [(file, Path(folder, file.name)) for file in files[:4]])  # imports
        start = time.monotonic()
        pool.map(_copy, [(file, Path(folder, file.name)) for file in files])
        return time.monotonic() - start


@contextmanager
def _processes() -> Iterator[multiprocessing.pool.Pool]:
    with multiprocessing.get_context("spawn").Pool(_WORKERS) as pool:
        yield pool


def _copy(paths: tuple[Path, Path]) -> None:
    with Image.open(paths[0]) as picture:
        subsampling = 0 if _QUALITY >= 90 else 2
        picture.convert("RGB").save(paths[1], quality=_QUALITY, subsampling=subsampling)


def _make_tiny(folder: Path, count: int) -> None:
    for number in range(count):
        shade = (number % 256, number // 256 % 256, 90)
        parent = folder / f"{number // 1000:03d}"
        parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), shade).save(parent / f"{number}.png")


if __name__ == "__main__":
    main()
