"""Stylizing videos: all inputs' segments through one pool of workers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from jobs.progress import OnProgress, Progress, ignore_progress
from jobs.specs import StylizeVideo
from jobs.video_run import VideoReport, VideoRun
from jobs.workers import find_checked, stylizing_pool
from nst_core.errors import InputError
from pipeline.encoders import CONTAINERS
from pipeline.segment_worker import SegmentTask, SegmentWorker
from pipeline.worker_pool import Unit, WorkerPool


@dataclass(frozen=True)
class StylizeVideoReport:
    """What a video job came to; the fields of the command's JSON."""

    engine: str
    workers: int
    inputs: list[VideoReport]

    @property
    def nothing_started(self) -> bool:
        """Whether not one input got past scanning."""
        return all(video.error and not video.segments["total"] for video in self.inputs)


def stylize_videos(
    job: StylizeVideo, on_progress: OnProgress = ignore_progress
) -> StylizeVideoReport:
    """Stylize every input; what fails is told in its part of the report, and the rest goes on.

    Raises InputError or EnvironmentProblem where the job as a whole cannot start.
    """
    style = find_checked(job.style)
    outputs = output_paths(job)
    runs = [
        VideoRun(path, output, job, style) for path, output in zip(job.inputs, outputs, strict=True)
    ]
    try:
        for run in runs:
            run.scan()
        engine, workers = _stylize(runs, job, on_progress)
    finally:
        for run in runs:
            run.close()
    return StylizeVideoReport(engine, workers, [run.report for run in runs])


def _stylize(runs: list[VideoRun], job: StylizeVideo, on_progress: OnProgress) -> tuple[str, int]:
    """Bring every run to its end; returns the engine and the number of workers."""
    if any(run.waiting for run in runs):
        with stylizing_pool(SegmentWorker, job.style, job.pool) as pool:
            _run(runs, pool, on_progress)
            return pool.engine() or "none", pool.workers
    for run in runs:
        if run.complete:  # an earlier run was stopped just before it wrote its output
            run.finish()
    return "none", 0


def _run(runs: list[VideoRun], pool: WorkerPool, on_progress: OnProgress) -> None:
    total = sum(run.report.frames_in for run in runs)
    finishing: list[Future[None]] = []
    # Outputs are written beside the stylizing of the inputs that follow.
    with ThreadPoolExecutor(1, thread_name_prefix="reassembly") as writer:
        finishing += [writer.submit(run.finish) for run in runs if run.complete]
        for outcome in pool.run(_units(runs)):
            key, _ = outcome.key
            run = runs[key]
            run.accept(outcome)
            if run.complete:
                finishing.append(writer.submit(run.finish))
            done = sum(run.frames_done for run in runs)
            on_progress(Progress(done, total, "frames", Path(run.report.input).name))
    for future in finishing:
        future.result()


def _units(runs: list[VideoRun]) -> Iterator[Unit[SegmentTask]]:
    for key, run in enumerate(runs):
        yield from run.units(key)


def output_paths(job: StylizeVideo) -> list[Path]:
    """One output for each input; a folder keeps the names. Raises InputError.

    An ending that cannot be written (``.avi``, ``.ts``) becomes ``.mkv``, which holds most.
    """
    asked = job.output
    is_folder = len(job.inputs) > 1 or asked.is_dir()
    if not is_folder:
        return [asked]
    if asked.exists() and not asked.is_dir():
        raise InputError(f"-o {asked}: a file; several inputs need a folder")
    asked.mkdir(parents=True, exist_ok=True)
    names = [
        path.name if path.suffix.lower() in CONTAINERS else f"{path.stem}.mkv"
        for path in job.inputs
    ]
    outputs = [asked / name for name in names]
    seen: dict[Path, Path] = {}
    for path, output in zip(job.inputs, outputs, strict=True):
        if output in seen:
            raise InputError(
                f"{seen[output]} and {path} would both become {output}; "
                "give them different names, or stylize them apart"
            )
        seen[output] = path
    return outputs
