"""What the driver can feed: a cluster whose workers sleep where others compute.

    python -m tests.benchmarks.simulated_cluster [--quick]

All else is what `nst stylize video` does: a film's packets are read, travel to Ray's actors, and
the pieces that come back are hashed, written and recorded.
"""

from __future__ import annotations

import pickle
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import psutil

from cluster.connection import ray_session
from jobs.applying.workers import find_style_for_job
from jobs.benchmark.material.repeated_film import repeat
from jobs.benchmark.rendering import section_markdown
from jobs.benchmark.section import Cell, Section
from jobs.demo.clip import HEIGHT, RATE, WIDTH, draw_frame
from jobs.specs.applying import StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.films.film import Film
from pipeline.films.output import PlannedFilm
from pipeline.looks.direction import Direction, Scene
from pipeline.segments.task import SegmentResult
from pipeline.work.pool import Deadline, Outcome, Unit
from tests.benchmarks.sleeping_worker import SealedSegment, SleepingWorker, SleptSegment

if TYPE_CHECKING:
    from cluster.workers.actor_pool import ActorPool

_WORKERS = (1, 2, 4, 8, 16, 32, 64)
_SEGMENTS_A_WORKER = 60
"""For 64 workers an hour of film."""
_ROUNDS = 3
_PIECE_BYTES = 300_000
"""Size of a second of stylized film: 2.4 Mbit/s."""
_CPUS_IN_ALL = 1.0
"""Ray CPUs that all workers share: sleeping takes none."""
_SEGMENTS_BETWEEN_LOOKS = 20
_MB = 1_000_000


@dataclass(frozen=True)
class _Fed:
    """What a run came to, from the moment when every worker was up."""

    workers: int
    segments: int
    wall_seconds: float
    cpu_seconds: float
    """CPU time of all the driver's threads."""
    most_bytes: int
    """Resident in the driver."""

    @property
    def rate(self) -> float:
        """Segments a second."""
        return self.segments / self.wall_seconds

    def row(self, seconds_a_segment: float) -> tuple[Cell, ...]:
        rate = self.rate
        return (
            self.workers,
            self.segments,
            round(rate, 1),
            round(rate * seconds_a_segment / self.workers, 3),
            round(self.cpu_seconds / self.wall_seconds, 2),
            round(1000 * self.cpu_seconds / self.segments, 2),
            round(self.most_bytes / _MB),
        )


def simulated_cluster(
    *,
    workers: Sequence[int] = _WORKERS,
    seconds_a_segment: float = 0.2,
    segments_a_worker: int = _SEGMENTS_A_WORKER,
    rounds: int = _ROUNDS,
    piece_bytes: int = _PIECE_BYTES,
) -> Section:
    """Feed as many sleeping workers as ``workers`` says, one row each: of ``rounds`` the median.

    Segments are one second of 640x360, half a second where the film ends; ideal is a segment each
    ``seconds_a_segment`` at every worker. Raises EnvironmentProblem where Ray or that many
    processes cannot start.
    """
    factory = partial(SleepingWorker, seconds_a_segment, piece_bytes)
    with tempfile.TemporaryDirectory(prefix="nst-bench-") as name, ray_session():
        second = Path(name, "second.mp4")
        make_second(second)
        rows = []
        for count in workers:
            film = Path(name, f"{count}.mp4")
            repeat(second, film, count * segments_a_worker)
            runs = sorted(
                (_feed(film, count, factory) for _ in range(rounds)), key=lambda run: run.rate
            )
            rows.append(runs[rounds // 2].row(seconds_a_segment))
    return Section(
        key="simulated_cluster",
        title=f"What the driver can feed: workers that sleep {seconds_a_segment * 1000:g} ms",
        columns=(
            "workers",
            "segments",
            "segments/s",
            "of ideal",
            "driver CPU cores",
            "driver CPU ms a segment",
            "driver MB at most",
        ),
        rows=rows,
        notes=(
            "Each segment is a second of 640x360 in, half a second where the film ends, "
            f"{piece_bytes / 1000:g} kB out; the driver reads, sends, hashes, writes and records "
            "as for any film.",
            f"Medians of {rounds}, by segments a second. Measured from when every worker is up to "
            "when every piece is recorded, on one machine that also runs all workers and Ray's own "
            "processes.",
        ),
    )


def make_second(path: Path) -> None:
    """Encode the first second of the demo's clip, without sound: one closed group of pictures."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.options = {"crf": "18", "preset": "veryfast"}
        video.codec_context.thread_count = 1
        for number in range(RATE):
            container.mux(video.encode(av.VideoFrame.from_image(draw_frame(number / RATE))))
        container.mux(video.encode(None))


def _feed(film: Path, workers: int, factory: Any) -> _Fed:
    from cluster.workers.actor_pool import ActorPool
    from cluster.workers.room import Resources

    output = film.with_name(f"{workers}-out.mp4")
    job = StylizeVideo((film,), output, StyleSpec("identity"), segment_seconds=1, resume=False)
    direction = Direction(Scene(job.style), {job.style: find_style_for_job(job.style)})
    run = Film(PlannedFilm(film, output), job, direction)
    pool = ActorPool(
        factory,
        Resources(cpus=_CPUS_IN_ALL / workers),
        workers=workers,
        depth=1,
        deadline=Deadline(job.segment_deadline),
    )
    with closing(pool), closing(run):
        run.scan()
        _start_all(pool)
        return _measure(run, pool)


def _start_all(pool: ActorPool) -> None:
    """Give units of no film until every worker has done one."""
    up: set[int] = set()

    def units() -> Iterator[Unit[SealedSegment]]:
        while len(up) < pool.workers:
            yield Unit(None, SealedSegment(0, (), b""))

    for outcome in pool.run(units()):
        up.add(_result(outcome).worker)


def _measure(run: Film, pool: ActorPool) -> _Fed:
    process = psutil.Process()
    segments = most_bytes = 0
    cpu, wall = time.process_time(), time.monotonic()
    for outcome in pool.run(_units(run)):
        done = _result(outcome)
        segment = SegmentResult(done.number, done.piece, done.pts, (), (), ())
        run.accept(Outcome(outcome.key, segment, began=outcome.began))
        segments += 1
        if segments % _SEGMENTS_BETWEEN_LOOKS == 0:
            most_bytes = max(most_bytes, process.memory_info().rss)
    assert run.complete, run.report.error
    run.close()  # all is recorded
    return _Fed(
        workers=pool.workers,
        segments=segments,
        wall_seconds=time.monotonic() - wall,
        cpu_seconds=time.process_time() - cpu,
        most_bytes=most_bytes,
    )


def _units(run: Film) -> Iterator[Unit[SealedSegment]]:
    while unit := run.next_unit(0):
        segment = unit.task.segment
        content = pickle.dumps(unit.task, pickle.HIGHEST_PROTOCOL)
        yield Unit(unit.key, SealedSegment(segment.number, segment.owned_pts, content))


def _result(outcome: Outcome[Any]) -> SleptSegment:
    assert outcome.result is not None, outcome.error
    done: SleptSegment = outcome.result
    return done


if __name__ == "__main__":
    if "--quick" in sys.argv[1:]:
        print(section_markdown(simulated_cluster(workers=(1, 4, 16), rounds=1)))
    else:
        print(section_markdown(simulated_cluster()))
