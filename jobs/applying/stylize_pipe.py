"""Stylizing a film that comes through a pipe or from a file, and goes on through a pipe."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from jobs.applying.encoders import encoders_of
from jobs.applying.workers import find_style_for_job, make_segment_worker, stylizing_pool
from jobs.specs.applying import StylizeVideo
from nst_core.checkpoints.library import Style
from nst_core.errors import InputError, MediaError
from nst_core.wording import counted
from pipeline.encoding.encoders import choose_encoder
from pipeline.encoding.output_frame import OutputFrame, differences, plan_output
from pipeline.films.report import StylizeVideoReport, VideoReport
from pipeline.looks.look import Look
from pipeline.numbered.names import numbering_of
from pipeline.pipes.reading import PIPE, PipedFilm, PipedSegment, PipeReader
from pipeline.pipes.units import PipedUnits
from pipeline.pipes.writing import NutWriter, PipeWriter, Y4mWriter, streams_to_copy
from pipeline.segments.encoder import check_encoder
from pipeline.segments.plan import warm_up_frames
from pipeline.segments.task import SegmentResult, SegmentTask
from pipeline.source.source_video import probe
from pipeline.storage.remote_file import kept_in, path_of
from pipeline.work.pool import Deadline
from pipeline.work.progress import OnProgress, Pace, ignore_progress, stage


def stylize_pipe(
    job: StylizeVideo, source: int | None, output: int, on_progress: OnProgress = ignore_progress
) -> StylizeVideoReport:
    """Stylize the film that the descriptor ``source`` brings, into the descriptor ``output``.

    Without ``source`` it is the file that the job names.
    What comes out damaged, or cannot go on, is told in the report. Raises InputError or
    EnvironmentProblem where nothing can start.
    """
    check_pipe(job)
    encoders_of(job)  # tells that auto has none here
    # A stream is not read twice: a painting is fitted on other pictures.
    seen = () if source is not None else [*map(str, job.inputs)]
    style = find_style_for_job(job.style, job.pool, seen, on_progress, of_films=True)
    run = _PipeRun(job, style, on_progress)
    if source is not None:
        return run.through(source, output)
    # The reader's thread may still fetch a block when nobody reads the output any more.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return run.through(kept_in(Path(folder), path_of(job.inputs[0])), output)


def check_pipe(job: StylizeVideo) -> None:
    """Raise InputError for what a pipe cannot have."""
    is_file = PIPE not in job.inputs
    if len(job.inputs) > 1 or str(job.output) != str(PIPE):
        raise InputError(
            "-, standard input or output: one film goes into a pipe, -o -; behind it | ffmpeg -i - "
            "out.mkv writes a file"
        )
    film = path_of(job.inputs[0])
    if is_file and (film.is_dir() or numbering_of(film)):
        raise InputError(f"{film}: -o - takes one film that is a file, or -")
    refused = {
        f"--address {job.pool.address}": job.pool.address != "local",
        "--start, --end and --duration": job.span is not None,
        "--fps": job.fps is not None,
        "--work-dir": job.work_dir is not None,
        "--mask": job.mask is not None,
        "--timeline": job.timeline is not None,
        f"--input-format {job.input_format} of a file": is_file and job.input_format is not None,
    }
    for option, is_given in refused.items():
        if is_given:
            raise InputError(
                f"{option}: not for a pipe, which is read once, by this machine, and leaves "
                "nothing to go on with; leave it out, or use files on both sides"
            )


class _PipeRun:
    """One film on its way."""

    def __init__(self, job: StylizeVideo, style: Style, on_progress: OnProgress) -> None:
        self._job = job
        self._style = style
        self._on_progress = on_progress
        self._name = str(path_of(job.inputs[0]))
        self._report = VideoReport(self._name, str(PIPE))
        self._pace = Pace()
        self._notes: set[str] = set()

    def through(self, source: int | Path, output: int) -> StylizeVideoReport:
        """Read, stylize and write it; returns what became of it."""
        began = time.monotonic()
        report, engine, workers = self._report, "none", 0
        is_whole = self._is_whole(source) if isinstance(source, Path) else True
        reader = PipeReader(source, self._job.input_format)
        film = reader.open()
        frame, writer = self._planned(film, output)
        self._on_progress(replace(stage("stylizing", "frames"), warnings=tuple(report.warnings)))
        try:
            engine, workers = self._stylize(reader, film, frame, writer)
            report.status = "done" if is_whole and not reader.damage else "damaged"
        except BrokenPipeError:
            report.error = (
                f"-o {PIPE}: nobody reads it any more, after {counted(report.frames_out, 'frames')}"
            )
        except MediaError as error:
            report.error = str(error)
        if reader.is_uneven and isinstance(writer, Y4mWriter):
            report.warnings.append(
                f"its frames are not equally long, and y4m shows each for 1/{film.info.rate} s"
            )
        if reader.damage:
            report.warnings.append(f"the source is damaged: {'; '.join(reader.damage)}")
        report.warnings += sorted(self._notes)
        report.seconds["total"] = seconds = round(time.monotonic() - began, 3)
        report.frames_per_second = round(report.frames_out / max(seconds, 1e-3), 2)
        return StylizeVideoReport(engine, workers, [report])

    def _is_whole(self, film: Path) -> bool:
        """Look a file over, as every film is; returns whether it holds the frames it declares.

        Raises MediaError, also for times that start anew: frames are sent before all are known.
        """
        source = probe(film)
        self._report.warnings += source.warnings
        if source.clock_resets:
            raise MediaError(
                f"{film}: its times start anew on the way, which is mended from a file into a file "
                "only, such as -o out.mkv"
            )
        return source.is_whole

    def _planned(self, film: PipedFilm, output: int) -> tuple[OutputFrame, PipeWriter]:
        """Choose what is written, and how. Raises InputError and MediaError."""
        job, info, style, warnings = self._job, film.info, self._style, self._report.warnings
        kind = job.output_format or ("y4m" if film.y4m_header else "nut")
        encoder = choose_encoder(Path(f"{PIPE}.{kind}"), info, job)
        frame = plan_output(info, encoder, job, scale=style.scale)
        check_encoder(info, frame)
        warnings += differences(info, frame)
        limit = job.style.strokes_of(style).limit(*frame.taken_size[::-1])
        warnings += [limit] if limit else []
        copied = streams_to_copy(film, kind, allow_left_out=job.allow_left_out, warnings=warnings)
        if kind == "y4m":
            return frame, Y4mWriter(output, film, frame)
        return frame, NutWriter(output, film, frame, copied)

    def _stylize(
        self, reader: PipeReader, film: PipedFilm, frame: OutputFrame, writer: PipeWriter
    ) -> tuple[str, int]:
        """Bring all segments through; returns what computed, by how many workers."""
        job, style = self._job, self._style
        look = Look(job.style, job.style.strokes_of(style).of(*frame.taken_size[::-1]))

        def task(piped: PipedSegment) -> SegmentTask:
            return SegmentTask(
                piped.segment,
                film.info,
                frame,
                piped.packets,
                film=0,
                looks=(look,),
                coherence=job.coherence,
                decoder=job.decoder,
            )

        with stylizing_pool(
            partial(make_segment_worker, {job.style: style}, look),
            job.style,
            job.pool if job.pool.workers else replace(job.pool, workers=0),
            depth=1,
            deadline=Deadline(job.segment_deadline, "raise --segment-deadline"),
        ) as pool:
            warm_up = warm_up_frames(job.coherence)
            reader.begin(film.info, seconds=job.segment_seconds, warm_up=warm_up)
            units = PipedUnits(reader, task, workers=pool.workers)
            for outcome in pool.run(units):
                self._report.segments["retried"] += outcome.attempts > 1
                if outcome.result is None:
                    raise MediaError(f"{self._name}: segment {outcome.key:05d}: {outcome.error}")
                for result, beside in units.in_order(outcome.result):
                    writer.write(result, beside)
                    self._count(result, began=outcome.began)
            writer.finish()
            return pool.engine() or "none", pool.workers

    def _count(self, result: SegmentResult[bytes], *, began: float) -> None:
        report, frames = self._report, len(result.pts)
        report.frames_in += frames + len(result.missing_pts)
        report.frames_out += frames
        report.segments["total"] = report.segments["done"] = result.number + 1
        self._notes.update(result.notes)
        self._pace.add(frames, began=began, now=time.monotonic())
        done = report.frames_out
        self._on_progress(self._pace.progress(done, done, "frames", is_all=False))
