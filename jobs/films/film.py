"""One input of a video job, from probing to the verified output."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import av

from jobs.applying.workers import stroke_choice
from jobs.films.finished_films import find_record, made_with, write_record
from jobs.films.output import PlannedFilm
from jobs.specs.applying import StylizeVideo
from nst_core import __version__
from nst_core.checkpoints.library import Style
from nst_core.errors import InputError, MediaError, VerificationError
from nst_core.wording import counted
from pipeline.assembly.copied_streams import plan_copies
from pipeline.assembly.passages import CopyPlan
from pipeline.assembly.reassembly import reassemble
from pipeline.assembly.verification import verify
from pipeline.encoding.encoders import EncoderSettings, choose_encoder, container_for
from pipeline.encoding.output_frame import OutputFrame, differences, plan_output
from pipeline.films.report import VideoReport, with_outcome
from pipeline.segments.encoder import check_encoder
from pipeline.segments.ledger import SegmentLedger
from pipeline.segments.plan import Segment, plan_segments
from pipeline.segments.task import SegmentTask, StylizedSegment
from pipeline.segments.work_folder import HIDDEN_PARENT, WorkFolder, describe, publish, short_name
from pipeline.source.source_video import SourceVideo, probe
from pipeline.work.pool import Outcome, Unit

_log = logging.getLogger(__name__)

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})


@dataclass(frozen=True)
class _Plan:
    """What scanning an input came to."""

    source: SourceVideo
    output: OutputFrame
    copies: CopyPlan
    segments: list[Segment]
    folder: WorkFolder
    input_state: list[object]
    """State of the file when it was read; it must not change until the end."""
    stroke: float
    """Size of the strokes, by that of the frames."""


class VideoRun:
    """Plans an input, hands out its segments, takes them back and writes the output.

    Errors of this input end up in ``report``, never in an exception: others go on.
    """

    def __init__(self, film: PlannedFilm, job: StylizeVideo, style: Style) -> None:
        self.report = VideoReport(str(film.path), str(film.output))
        self._path = film.path
        self._output = film.output
        self._problem = film.problem
        self._job = job
        self._style = style
        self._plan: _Plan | None = None
        self._ledger: SegmentLedger | None = None
        self._began: float | None = None
        self._turn = 0.0
        self._is_in_turn = False
        self._written = False
        self._frames_written = 0

    @property
    def name(self) -> str:
        """The input's name without its folder."""
        return self._path.name

    @property
    def waiting(self) -> bool:
        """Whether segments wait or are at workers, and nothing has failed."""
        return self._ledger is not None and self.report.error is None and not self.complete

    @property
    def at_work(self) -> bool:
        """Whether segments are at workers: their outcomes will come."""
        return self._ledger is not None and self._ledger.at_work

    @property
    def complete(self) -> bool:
        """Whether every segment is there."""
        return self._ledger is not None and self.report.error is None and self._ledger.complete

    @property
    def ended(self) -> bool:
        """Whether it has failed, or its output is there."""
        return self.report.error is not None or self._written

    @property
    def frames_done(self) -> int:
        """Frames in finished segments, the missing ones counted too."""
        return self._ledger.frames_done if self._ledger else self._frames_written

    @property
    def frames_to_do(self) -> int:
        """All of its frames; after an error only those that are done, for no more will be."""
        return self.report.frames_in if self.report.error is None else self.frames_done

    @property
    def stroke(self) -> float:
        """Size of the strokes; it has been scanned."""
        assert self._plan is not None
        return self._plan.stroke

    def scan(self) -> None:
        """Probe and plan, and look for segments finished by an earlier run."""
        self._turn = time.monotonic()
        with self._timed("scan"), self._errors_reported():
            if self._problem:
                raise InputError(self._problem)
            both_exist = self._output.exists() and self._path.exists()
            if both_exist and self._output.samefile(self._path):
                raise InputError(f"{self._output}: the output would replace its own input")
            if os.path.lexists(self._output) and not self._job.overwrite:
                self.report.status = "skipped"
                self._find_it_done()
                return
            self._plan = plan = self._make_plan()
            plan.folder.open(resume=self._job.resume)
            plan.folder.unfinished(self._output).unlink(missing_ok=True)
            ledger = SegmentLedger(plan.source, plan.segments, plan.folder)
            self.report.frames_in = sum(len(segment.owned_pts) for segment in plan.segments)
            self.report.segments |= {"total": len(plan.segments), "reused": ledger.reused}
            self.report.warnings += [*plan.source.warnings, *plan.copies.warnings]
            self._ledger = ledger
            _log.info(
                "%s: %s in %s, %d of them there already; %s",
                *(self._path, counted(self.report.frames_in, "frames")),
                *(counted(len(plan.segments), "segments"), ledger.reused),
                plan.output.encoder.in_words,
            )

    def _find_it_done(self) -> None:
        """Take the output that is there for this run's, where it would be the same.

        A run that was killed before it could tidy up has left its pieces: they go.
        """
        if not self._output.exists():
            raise InputError(
                f"{self._output} is a link to what is not there; --overwrite replaces it"
            )
        settings = made_with(self._job, self._style, self._input_state())
        record = find_record(self._output, self._job, settings)
        record.tell_again(self.report)
        self._frames_written = self.report.frames_in
        self._written = True
        self.report.seconds["total"] = round(time.monotonic() - self._turn, 3)
        WorkFolder(Path(record.work_folder), {}).remove_leftover(record.pieces, self._output)

    def next_unit(self, key: int, last: tuple[int, int] | None = None) -> Unit[SegmentTask] | None:
        """Read a segment that waits, under a key of (key, segment number); None: nothing waits.

        ``last`` is the key of the last unit that its worker has had. After an error the others
        would be in vain.
        """
        if self._plan is None or self._ledger is None or self.report.error is not None:
            return None
        with self._errors_reported():
            handed_out = self._ledger.next(last[1] if last and last[0] == key else None)
            if handed_out:
                if key and not self._is_in_turn:  # until now the films before it were in work
                    self._turn = time.monotonic() - self.report.seconds["scan"]
                self._is_in_turn = True
                segment, packets = handed_out
                plan = self._plan
                task = SegmentTask(
                    segment, plan.source.info, plan.output, packets, film=key, stroke=plan.stroke
                )
                return Unit((key, segment.number), task)
        return None

    def accept(self, outcome: Outcome[StylizedSegment]) -> int:
        """Keep a finished segment, or note why it failed; returns how many more frames are done."""
        assert self._plan is not None
        assert self._ledger is not None
        _, number = outcome.key
        self.report.segments["retried"] += outcome.attempts > 1
        self._began = min(self._began or outcome.began, outcome.began)
        self.report.seconds["stylize"] = round(time.monotonic() - self._began, 3)
        with self._errors_reported():
            if outcome.result is not None:
                frames = self._ledger.accept(number, outcome.result)
                self.report.segments["done"] += frames > 0
                return frames
            if not self._ledger.give_up(number):
                start = self._plan.segments[number].owned_pts[0] * self._plan.source.info.time_base
                raise InputError(
                    f"{self._path}: segment {number:05d}, at {float(start):.1f} s: {outcome.error}"
                )
        return 0

    def finish(self) -> None:
        """Reassemble, verify, and let the output appear under its name."""
        assert self._plan is not None
        with self._errors_reported():
            temporary = self._plan.folder.unfinished(self._output)
            try:
                self._write(self._plan, temporary)
            finally:
                temporary.unlink(missing_ok=True)
            self._frames_written = self.frames_done
            self._plan = self._ledger = None  # of a long film they are large
            self._written = True
        seconds = self.report.seconds
        seconds["total"] = round(time.monotonic() - self._turn, 3)
        if seconds["total"]:
            self.report.frames_per_second = round(self.report.frames_out / seconds["total"], 2)

    def close(self) -> None:
        """Leave the work folder to others; what is finished stays for the next run."""
        if self._ledger:
            self._ledger.close()
            self.report.segments["done"] = self._ledger.done  # of what was accepted, not all may be
        if self._plan and self._plan.folder.is_open:
            # `finish` removes it, unless it was interrupted in doing so.
            with suppress(OSError):
                self._plan.folder.unfinished(self._output).unlink()
            self._plan.folder.close()

    def _write(self, plan: _Plan, temporary: Path) -> None:
        assert self._ledger is not None
        job = self._job
        self._ledger.close()
        pieces = self._ledger.pieces()
        with self._timed("mux"):
            copied = reassemble(
                plan.source,
                pieces,
                temporary,
                plan.copies,
                container=container_for(self._output),
                frame=plan.output,
            )
        with self._timed("verify"):
            pts = [pts for piece in pieces for pts in piece.pts]
            self.report.verified = verify(
                plan.source, pts, plan.copies, temporary, refused=copied.refused
            )
        if not self.report.verified.everything:
            raise VerificationError(
                f"{self._path}: the output, read again, is not whole ({self.report.verified}); "
                "it was not kept, the finished segments are"
            )
        if self._input_state() != plan.input_state:
            raise MediaError(f"{self._path}: the file changed while it was read; run again")
        told = with_outcome(self.report, plan.source, pieces, copied)
        settings = made_with(self._job, self._style, plan.input_state)
        left_out = job.allow_left_out and plan.copies.leaves_out
        write_record(temporary, settings, told, plan.folder, left_out=left_out)
        publish(temporary, self._output, overwrite=job.overwrite)
        self.report = told
        plan.folder.remove()

    def _make_plan(self) -> _Plan:
        job = self._job
        container_for(self._output)  # before anything is read
        if not self._output.parent.is_dir():
            raise InputError(f"{self._output.parent}: no such folder to write into")
        state = self._input_state()
        source = probe(self._path)
        encoder = choose_encoder(
            self._output,
            source.info,
            codec=job.codec,
            crf=job.crf,
            preset=job.preset,
            tone_map=job.tonemap,
            kind=job.encoder,
            stylized=self._style.path is not None and self._style.scale == job.style.strength == 1,
        )
        frame = plan_output(
            source.info,
            encoder,
            max_side=job.max_side,
            scale=self._style.scale,
            tone_map=job.tonemap,
        )
        if job.encoder == "software" or job.pool.address == "local":
            check_encoder(source.info, frame)  # elsewhere, only the workers can tell
        self.report.warnings += differences(source.info, frame)
        width, height = frame.taken_size
        choice = stroke_choice(self._style, job.style)
        stroke, limit = choice.of(height, width), choice.limit(height, width)
        self.report.warnings += [limit] if limit else []
        segments = plan_segments(
            source.packets, time_base=source.info.time_base, seconds=job.segment_seconds
        )
        if not segments:
            raise MediaError(f"{self._path}: no frame in it is meant to be shown")
        base = job.work_dir or self._output.parent / HIDDEN_PARENT
        # The hash tells outputs of one name apart when several runs share a --work-dir.
        place = hashlib.sha256(os.fsencode(self._output.absolute())).hexdigest()[:8]
        folder = WorkFolder(
            base / f"{short_name(self._output)}-{place}.work",
            self._identity(state, encoder, frame, stroke),
        )
        copies = plan_copies(source, self._output, allow_left_out=job.allow_left_out)
        return _Plan(source, frame, copies, segments, folder, state, stroke)

    def _input_state(self) -> list[object]:
        try:
            status = self._path.stat()
        except OSError:
            return []  # probing will say why, in better words
        return [str(self._path.absolute()), status.st_size, status.st_mtime_ns]

    def _identity(
        self, state: list[object], encoder: EncoderSettings, frame: OutputFrame, stroke: float
    ) -> dict[str, object]:
        how = describe(self._job.style)
        del how["stroke"]  # what it came to is in the fingerprint
        if how["noise"] is None:  # as before there was any
            del how["noise"]
        return {
            "input": state,
            "style": [self._style.with_stroke(stroke).fingerprint, how],
            "segment_seconds": self._job.segment_seconds,
            "output": describe(frame),
            "encoder": describe(encoder),
            "version": [__version__, av.__version__],
        }

    @contextmanager
    def _errors_reported(self) -> Iterator[None]:
        try:
            yield
        except (InputError, VerificationError) as error:
            self._fail(str(error))
        except (av.FFmpegError, OSError) as error:
            is_ours = not isinstance(error, av.FFmpegError) or error.errno in _NO_ROOM
            self._fail(_words(error, self._output if is_ours else self._path, advise=is_ours))
        except Exception as error:  # of our own making: the other inputs go on all the same
            _log.debug("%s failed", self._path, exc_info=True)
            self._fail(f"{self._path}: {type(error).__name__}: {error}")

    def _fail(self, words: str) -> None:
        """The first error is the one that matters: later ones follow from it."""
        self.report.error = self.report.error or words

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.report.seconds[name] = round(time.monotonic() - start, 3)


def _words(error: av.FFmpegError | OSError, path: Path, *, advise: bool) -> str:
    """Say what failed with a file; ``advise`` where it is one that is written."""
    if not isinstance(error, av.FFmpegError) and error.filename:
        path = Path(error.filename)
    advice = "; what is finished is kept: make room or give leave, and run again"
    return f"{path}: {error.strerror or error}{advice if advise else ''}"
