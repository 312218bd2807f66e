"""The accounts of a picture run: what becomes of every picture is recorded, counted and told."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from nst_core.errors import MediaError
from pipeline.datasets.shard_writing import OpenShard, ShardWriter
from pipeline.pictures.judging import OutputFolder
from pipeline.pictures.plan import ImagePlan
from pipeline.pictures.records import ImageRecord, ImageRecords
from pipeline.pictures.report import StylizeImagesReport, reason_of, warn_on_failure
from pipeline.pictures.task import ImageResult, ImageTask, OutputResult, OutputTask
from pipeline.pictures.units import ImageUnits
from pipeline.storage.files import below
from pipeline.work.pool import WorkerPool
from pipeline.work.progress import OnProgress, Pace

_LEFT_OVER = "of an earlier run, and not made by this one; remove it if it is not to count"


class PictureAccount:
    """The accounts of a job: every input becomes one of done, reused, failed."""

    def __init__(
        self,
        plan: ImagePlan,
        folder: OutputFolder,
        records: ImageRecords,
        on_progress: OnProgress,
        *,
        seed: int,
        styles_per_image: int,
        most_failures: int | None,
    ) -> None:
        """``plan`` has been judged; None of ``most_failures`` is any number."""
        self._plan = plan
        self._folder = folder
        self._seed = seed
        self._records = records
        self._on_progress = on_progress
        self._pace = Pace()
        self.folder = folder.path
        self.waiting = plan.waiting()
        self.reads_uris = plan.reads_uris()
        self.report = StylizeImagesReport(
            total=plan.inputs(),
            tried=self.waiting,
            styles_per_image=styles_per_image,
        )
        self._most_failures = most_failures
        self._failed: set[int] = set()
        self._said: set[str] = set()
        for number, path, error in plan.failures():
            self._failed.add(number)
            self.report.fail(path, error)
        self.report.reused = plan.reused()
        self._shards = (
            ShardWriter(plan.shards, records, folder.storage, folder.path) if plan.shards else None
        )
        for shard in plan.shards.left_over if plan.shards else ():
            self.report.warn(below(folder.path, shard), _LEFT_OVER)

    def first_sources(self) -> list[str]:
        """One of the pictures, for workers to try whether they see it."""
        return [task.archive or task.source for task, _ in self._plan.sample(1)]

    def tasks(self) -> Iterator[ImageTask]:
        """Yield the pictures to do, by name."""
        return self._plan.tasks(self._folder)

    def sizes(self) -> list[int]:
        """Bytes of the files to do."""
        return [task.size for task in self.tasks()]

    @property
    def has_failed(self) -> bool:
        """Whether more pictures have failed than may."""
        return self._most_failures is not None and self.report.failed > self._most_failures

    def work(self, pool: WorkerPool) -> None:
        """Have everything done that waits; where too much fails, what workers have is the last."""
        units = ImageUnits(self.tasks(), self.waiting, pool.workers, self._begin)
        for outcome in pool.run(units):
            self._accept(list(units.results(outcome)), began=outcome.began)
            if self.has_failed:
                units.end()
        for shard in self._shards.unfinished() if self._shards else ():
            self.report.done -= len(_whole_sources(shard.records))
        self.report.engine, self.report.workers = pool.engine() or "none", pool.workers

    def _accept(self, results: Sequence[tuple[ImageTask, ImageResult]], *, began: float) -> None:
        """Record what has become of pictures, count each, tell of it."""
        lines = [
            (self._record(task, planned, size=output.size, **_end(output, result)), output.content)
            for task, result in results
            for planned, output in zip(task.outputs, result.outputs, strict=True)
        ]
        problem, full = None, []
        if self._shards:
            full = [shard for line in lines if (shard := self._shards.take(*line))]
        else:
            records = [record for record, _ in lines]
            try:
                self._records.add(records)
                self._plan.remember(records)
            except (OSError, MediaError) as error:  # a full disk: they will be done again
                problem = f"done, but not recorded ({reason_of(error)})"
        for task, result in results:
            is_done = self._count(task, result, problem)
            self._pace.add(int(is_done), began=began, now=time.monotonic())
            done = self.report.done + self.report.reused + self.report.failed
            self._on_progress(self._pace.progress(done, self.report.total, "pictures"))
        for shard in full:
            self._write(shard)

    def _write(self, shard: OpenShard) -> None:
        """Let a shard appear; where it cannot, its pictures have failed."""
        assert self._shards is not None
        try:
            self._plan.remember(self._shards.write(shard))
        except (OSError, MediaError) as error:
            for source in _whole_sources(shard.records):
                self.report.done -= 1
                self.report.fail(source, f"{source}: {shard.name} not written ({reason_of(error)})")

    def _count(self, task: ImageTask, result: ImageResult, problem: str | None) -> bool:
        """Count a picture; returns whether it is one that was made now."""
        report = self.report
        report.network_seconds = round(report.network_seconds + result.network_seconds, 6)
        for note in result.notes:
            report.warn(task.source, note)
        for note in result.once:
            if note not in self._said:
                report.warn(task.source, f"{note} (said once)")
            self._said.add(note)
        error = next((output.error for output in result.outputs if output.error), None)
        if error is None and problem is not None:
            error = f"{task.source}: {problem}"
        if task.number in self._failed:
            pass  # another of its outputs was refused: counted already
        elif error is not None:
            report.fail(task.source, error)
        elif all(output.reused for output in result.outputs):
            report.reused += 1
        else:
            report.done += 1
            return True
        return False

    def _begin(self, tasks: Sequence[ImageTask]) -> None:
        """Record what workers are about to get; what is known of an existing file stays known."""
        if self._shards:  # which are begun when they are written
            return
        begun = [
            self._record(task, out, digest=out.made_from or "", size=out.size, is_new=out.is_new)
            for task in tasks
            for out in task.outputs
        ]
        with warn_on_failure(self.folder):  # on a full disk each picture fails by itself
            self._records.begin(begun)

    def _record(self, task: ImageTask, output: OutputTask, **known: Any) -> ImageRecord:
        return ImageRecord(
            output=output.path[len(below(self._folder.path, "")) :],
            source=task.source,
            version=task.version,
            identity=self._folder.identities[output.style],
            style=output.style,
            split=task.split,
            seed=self._seed,
            **known,
        )


def _whole_sources(records: Sequence[ImageRecord]) -> set[str]:
    """Return the sources of which no output has failed: those that count as done."""
    failed = {record.source for record in records if not record.done}
    return {record.source for record in records} - failed


def _end(output: OutputResult, result: ImageResult) -> dict[str, Any]:
    if output.error:
        return {"status": "failed", "error": output.error}
    hashes = {"source_sha256": result.sha256, "sha256": output.sha256}
    return {"status": "done", "digest": result.digest, **hashes}
