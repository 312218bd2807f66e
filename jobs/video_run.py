"""One input of a video job, from probing to the verified output."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import av

from jobs.specs import StylizeVideo
from nst_core import __version__
from nst_core.errors import InputError, MediaError, VerificationError
from nst_core.style_library import Style
from pipeline.encoders import (
    EncoderSettings,
    OutputFrame,
    choose_encoder,
    container_for,
    output_frame,
)
from pipeline.packet_reader import PacketReader
from pipeline.reassembly import CopyPlan, plan_copies, reassemble
from pipeline.segment_worker import SegmentTask, StylizedSegment, check_encoder
from pipeline.segments import Segment, plan_segments
from pipeline.source_video import SourceVideo, probe
from pipeline.verification import Verified, verify
from pipeline.work_folder import HIDDEN_PARENT, FinishedSegment, WorkFolder, describe
from pipeline.worker_pool import Outcome, Unit

Status = Literal["done", "damaged", "failed", "skipped"]
_DEEP_FORMATS = ("10le", "10be", "12le", "12be", "p010le", "16le", "16be")


@dataclass
class VideoReport:
    """What became of one input; the fields of the command's JSON."""

    input: str
    output: str
    status: Status = "failed"
    error: str | None = None
    frames_in: int = 0
    frames_out: int = 0
    missing_pts_seconds: list[float] = field(default_factory=list)
    segments: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("total", "done", "reused", "retried"), 0)
    )
    verified: Verified | None = None
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("scan", "stylize", "mux", "verify", "total"), 0.0)
    )
    frames_per_second: float = 0.0


@dataclass(frozen=True)
class _Plan:
    """What scanning an input came to."""

    source: SourceVideo
    output: OutputFrame
    copies: CopyPlan
    segments: list[Segment]
    folder: WorkFolder


class VideoRun:
    """Plans an input, hands out its segments, takes them back and writes the output.

    Errors of this input end up in ``report``, never in an exception: others go on.
    """

    def __init__(self, path: Path, output: Path, job: StylizeVideo, style: Style) -> None:
        self.report = VideoReport(str(path), str(output))
        self._path = path
        self._output = output
        self._job = job
        self._style = style
        self._plan: _Plan | None = None
        self._finished: dict[int, FinishedSegment] = {}
        self._first_task: float | None = None

    @property
    def waiting(self) -> bool:
        """Whether segments are missing and none has failed."""
        return self._plan is not None and self.report.error is None and not self.complete

    @property
    def complete(self) -> bool:
        """Whether every segment is there."""
        return self._plan is not None and len(self._finished) == len(self._plan.segments)

    @property
    def frames_done(self) -> int:
        """Frames in finished segments."""
        return sum(len(done.pts) for done in self._finished.values())

    def scan(self) -> None:
        """Probe and plan, and look for segments finished by an earlier run."""
        with self._timed("scan"), self._errors_reported():
            if self._output.exists() and not self._job.overwrite:
                self.report.status = "skipped"
                raise InputError(f"{self._output} exists; --overwrite replaces it")
            self._plan = plan = self._make_plan()
            plan.folder.open(resume=self._job.resume)
            for segment in plan.segments:
                done = plan.folder.finished(segment)
                if done:
                    self._finished[segment.number] = done
            self.report.frames_in = sum(len(segment.owned_pts) for segment in plan.segments)
            self.report.segments |= {"total": len(plan.segments), "reused": len(self._finished)}
            self.report.warnings += [*plan.source.warnings, *plan.copies.warnings]

    def units(self, key: int) -> Iterator[Unit[SegmentTask]]:
        """Read and yield the unfinished segments, under keys of (key, segment number)."""
        if self._plan is None:
            return
        self._first_task = time.monotonic()
        with PacketReader(self._plan.source) as reader:
            for segment in self._plan.segments:
                if not self.waiting:
                    return  # one has failed: the others would be in vain
                if segment.number in self._finished:
                    continue
                task = self._task(self._plan, segment, reader)
                if task is None:
                    return
                yield Unit((key, segment.number), task)

    def _task(self, plan: _Plan, segment: Segment, reader: PacketReader) -> SegmentTask | None:
        task = None
        with self._errors_reported():
            task = SegmentTask(segment, plan.source.info, plan.output, reader.read(segment))
        return task  # noqa: RET504 - None where an error has been reported

    def accept(self, outcome: Outcome[StylizedSegment]) -> None:
        """Keep a finished segment, or note why it failed."""
        assert self._plan is not None
        assert self._first_task is not None
        _, number = outcome.key
        self.report.segments["retried"] += outcome.attempts > 1
        self.report.seconds["stylize"] = round(time.monotonic() - self._first_task, 3)
        if outcome.result is None:
            start = self._plan.segments[number].owned_pts[0] * self._plan.source.info.time_base
            self.report.error = (
                f"{self._path}: segment {number:05d}, at {float(start):.1f} s: {outcome.error}"
            )
            return
        with self._errors_reported():
            self._finished[number] = self._plan.folder.record(outcome.result)
            self.report.segments["done"] += 1

    def finish(self) -> None:
        """Reassemble, verify, and let the output appear under its name."""
        assert self._plan is not None
        with self._errors_reported():
            temporary = self._output.with_name(f".{self._output.name}.{os.getpid()}.part")
            try:
                self._write(self._plan, temporary)
            finally:
                temporary.unlink(missing_ok=True)
        seconds = self.report.seconds
        seconds["total"] = round(sum(v for k, v in seconds.items() if k != "total"), 3)
        if seconds["total"]:
            self.report.frames_per_second = round(self.report.frames_out / seconds["total"], 2)

    def close(self) -> None:
        """Leave the work folder to others; what is finished stays for the next run."""
        if self._plan:
            self._plan.folder.close()

    def _write(self, plan: _Plan, temporary: Path) -> None:
        pieces = [self._finished[segment.number] for segment in plan.segments]
        container = container_for(self._output)
        with self._timed("mux"):
            reassemble(plan.source, pieces, temporary, plan.copies, container=container)
        with self._timed("verify"):
            pts = [pts for piece in pieces for pts in piece.pts]
            self.report.verified = verify(plan.source, pts, plan.copies, temporary)
        if not self.report.verified.everything:
            raise VerificationError(
                f"{self._path}: the output, read again, is not whole ({self.report.verified}); "
                "it was not kept, the finished segments are"
            )
        temporary.replace(self._output)
        self.report.frames_out = len(pts)
        self._note_damage(plan, pieces)
        plan.folder.remove()

    def _note_damage(self, plan: _Plan, pieces: list[FinishedSegment]) -> None:
        time_base = plan.source.info.time_base
        missing = [pts for piece in pieces for pts in piece.missing_pts]
        self.report.missing_pts_seconds = [round(float(pts * time_base), 6) for pts in missing]
        errors = [error for piece in pieces for error in piece.errors]
        corrupt = sum(piece.corrupt_frames for piece in pieces)
        self.report.status = "done" if plan.source.is_whole else "damaged"
        if missing or errors or corrupt:
            self.report.status = "damaged"
            self.report.warnings.append(
                f"the source is damaged: {len(missing)} frames missing, {corrupt} frames corrupt, "
                f"{len(errors)} packets that could not be decoded"
            )

    def _make_plan(self) -> _Plan:
        job = self._job
        encoder = choose_encoder(self._output, codec=job.codec, crf=job.crf, preset=job.preset)
        if not self._output.parent.is_dir():
            raise InputError(f"{self._output.parent}: no such folder to write into")
        source = probe(self._path)
        if self._output.exists() and self._output.samefile(self._path):
            raise InputError(f"{self._output}: the output would replace its own input")
        frame = output_frame(
            source.info.width,
            source.info.height,
            encoder,
            max_side=job.max_side,
            scale=self._style.scale,
        )
        check_encoder(source.info, frame)
        self.report.warnings += _announcements(source, frame)
        segments = plan_segments(
            source.packets, time_base=source.info.time_base, seconds=job.segment_seconds
        )
        if not segments:
            raise MediaError(f"{self._path}: no frame in it is meant to be shown")
        base = job.work_dir or self._output.parent / HIDDEN_PARENT
        # The hash tells outputs of one name apart when several runs share a --work-dir.
        place = hashlib.sha256(str(self._output.absolute()).encode()).hexdigest()[:8]
        folder = WorkFolder(
            base / f"{self._output.name}-{place}.work", self._identity(encoder, frame)
        )
        return _Plan(source, frame, plan_copies(source, self._output), segments, folder)

    def _identity(self, encoder: EncoderSettings, frame: OutputFrame) -> dict[str, object]:
        status = self._path.stat()
        return {
            "input": [str(self._path.absolute()), status.st_size, status.st_mtime_ns],
            "style": [self._style.fingerprint, describe(self._job.style)],
            "segment_seconds": self._job.segment_seconds,
            "output": describe(frame),
            "encoder": describe(encoder),
            "version": __version__,
        }

    @contextmanager
    def _errors_reported(self) -> Iterator[None]:
        try:
            yield
        except (InputError, VerificationError) as error:
            self.report.error = str(error)
        except av.FFmpegError as error:
            self.report.error = f"{self._path}: {error.strerror or error}"
        except OSError as error:  # a full disk, a folder without permission
            self.report.error = f"{error.filename or self._output}: {error.strerror or error}"

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.report.seconds[name] = round(time.monotonic() - start, 3)


def _announcements(source: SourceVideo, frame: OutputFrame) -> list[str]:
    """What will differ from the source beyond the style."""
    lines = []
    if source.info.pixel_format.endswith(_DEEP_FORMATS):
        lines.append(f"its {source.info.pixel_format} frames are written with 8 bits a sample")
    if (frame.width, frame.height) != (frame.shown_width, frame.shown_height):
        lines.append(
            f"its frames of {frame.shown_width}x{frame.shown_height} are padded to "
            f"{frame.width}x{frame.height}: {frame.encoder.codec} needs even sizes"
        )
    return lines
