"""One film, from probing to the verified output."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from tempfile import gettempdir

import av

from nst_core.errors import InputError, MediaError, NstError, VerificationError
from nst_core.wording import counted
from pipeline.assembly.reassembly import CopyReport, reassemble
from pipeline.assembly.verification import verify
from pipeline.encoding.encoders import container_for
from pipeline.films.finished_films import find_record, made_with, note_version, write_record
from pipeline.films.output import PlannedFilm
from pipeline.films.plan import FilmPlan, input_state, plan_film, work_folder
from pipeline.films.report import VideoReport, with_outcome
from pipeline.films.settings import FilmSettings
from pipeline.looks.direction import Direction
from pipeline.numbered.output_files import is_there, numbered_output, publish_all, would_replace
from pipeline.numbered.writing import verify_pictures, write_pictures
from pipeline.segments.ledger import SegmentLedger
from pipeline.segments.plan import Segment
from pipeline.segments.task import BegunPart, KeptResult, SegmentResult, SegmentTask
from pipeline.segments.work_folder import WorkFolder, discard, remove_hidden_parent
from pipeline.storage.remote_file import RemoteFile, kept_in
from pipeline.work.background import Stopped
from pipeline.work.pool import Outcome, Unit

_log = logging.getLogger(__name__)

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})


@dataclass(frozen=True)
class _Work:
    """What a scanned film is worked on with; of a long film it is large."""

    plan: FilmPlan
    ledger: SegmentLedger
    folder: WorkFolder


class Film:
    """Plans an input, hands out its segments, takes them back and writes the output.

    ``scan`` and ``finish`` may each run in a thread of their own; the caller's thread waits for
    their end before it calls anything that changes the film. What it may ask meanwhile stays: only
    ``scan`` makes what the film is worked on with, and only ``close`` lets it go.
    Errors of this input end up in ``report``, never in an exception: others go on.
    """

    def __init__(
        self,
        film: PlannedFilm,
        settings: FilmSettings,
        direction: Direction,
        *,
        is_encoded_here: bool = True,
        only_look: bool = False,
        makes_folder: bool = False,
    ) -> None:
        """``is_encoded_here`` says that workers run here.

        With ``only_look``, ``scan`` finds out what a run would do and writes nothing; ``finish`` is
        not called. ``makes_folder`` says that the run would make the output's folder.
        """
        span = settings.span
        self.report = VideoReport(
            str(film.path),
            str(film.output),
            span=span.in_report if span else None,
            styles={each.name: each.sha256 for each in direction.styles.values()},
        )
        self.frames_done = 0
        """See SegmentLedger.frames_done."""
        self._path = film.path
        self._output = film.output
        self._problem = film.problem
        self._settings = settings
        self._direction = direction
        self._is_encoded_here = is_encoded_here
        self._only_look = only_look
        self._makes_folder = makes_folder
        self._work: _Work | None = None
        self._place = work_folder(film.output, settings)
        temporary = Path(gettempdir(), f"nst-{token_hex(8)}")
        self._parts = temporary if only_look else self._place.with_suffix(".source")
        """Where what is read of a film behind a URI is kept until it is done."""
        self._began: float | None = None
        self._turn = 0.0
        self._is_in_turn = False
        self._written = False
        self._goes_on = False
        """Whether some of an output's pictures are there from an earlier run."""

    @property
    def waiting(self) -> bool:
        """Whether segments wait or are at workers, and nothing has failed."""
        return self._has_work and not self.complete

    @property
    def at_work(self) -> bool:
        """Whether segments are at workers: their outcomes will come."""
        return self._work is not None and self._work.ledger.at_work

    @property
    def complete(self) -> bool:
        """Whether every segment is there, and nothing has failed."""
        return self._has_work and self._open.ledger.complete

    @property
    def ended(self) -> bool:
        """Whether it has failed, or its output is there."""
        return self.report.error is not None or self._written

    @property
    def frames_to_do(self) -> int:
        """All of its frames; after an error only those that are done, for no more will be."""
        return self.report.frames_in if self.report.error is None else self.frames_done

    @property
    def plan(self) -> FilmPlan:
        """What is to be done; it has been scanned."""
        return self._open.plan

    @property
    def segments_left(self) -> list[Segment]:
        """What earlier runs have not finished; it has been scanned."""
        return self._open.ledger.without_result

    def frames_kept(self, segment: Segment) -> int:
        """See SegmentLedger.frames_kept."""
        return self._open.ledger.frames_kept(segment)

    def scan(self) -> None:
        """Probe and plan, and look for segments finished by an earlier run."""
        self._turn = time.monotonic()
        with self._timed("scan"), self._errors_reported():
            if self._problem:
                raise InputError(self._problem)
            if would_replace(self._output, self._path):
                raise InputError(f"{self._output}: the output would replace its own input")
            if is_there(self._output) and not self._settings.overwrite:
                self.report.status = "skipped"
                if self._find_it_done():
                    return
            plan = plan_film(
                kept_in(self._parts, self._path),
                self._output,
                self._settings,
                self._direction,
                is_encoded_here=self._is_encoded_here,
                makes_folder=self._makes_folder,
                warnings=self.report.warnings,
            )
            self._work = self._open_work(plan)
            _log.info(
                "%s: %s in %s, %d of them there already; %s",
                *(self._path, counted(self.report.frames_in, "frames")),
                *(counted(len(plan.segments), "segments"), self._work.ledger.reused),
                plan.output.encoder.in_words,
            )

    def next_unit(self, key: int, last: tuple[int, int] | None = None) -> Unit[SegmentTask] | None:
        """Read a segment that waits, under a key of (key, segment number); None: nothing waits.

        ``last`` is the key of the last unit that its worker has had. After an error no more are
        handed out.
        """
        if not self._has_work:
            return None
        with self._errors_reported():
            work = self._open
            handed_out = work.ledger.next(last[1] if last and last[0] == key else None)
            if handed_out:
                if key and not self._is_in_turn:  # until now the films before it were in work
                    self._turn = time.monotonic() - self.report.seconds["scan"]
                self._is_in_turn = True
                segment, packets = handed_out
                begun = work.ledger.begun(segment.number)
                task = replace(work.plan.task(segment, packets), film=key, begun=begun)
                return Unit((key, segment.number), task)
        return None

    def advanced(self, number: int, frames: int, parts: Sequence[BegunPart]) -> int:
        """Count ``frames`` of a segment at a worker as done; returns how many more that are.

        ``parts`` of it are kept for a run to come.
        """
        self._open.ledger.advanced(number, frames, parts)
        return self._count_done()

    def accept(self, outcome: Outcome[SegmentResult[bytes]]) -> int:
        """Keep a finished segment, or note why it failed; returns how many more frames are done."""
        work = self._open
        _, number = outcome.key
        self.report.segments["retried"] += outcome.attempts > 1
        self._began = min(self._began or outcome.began, outcome.began)
        self.report.seconds["stylize"] = round(time.monotonic() - self._began, 3)
        with self._errors_reported():
            frames = work.ledger.accept(number, outcome.result)
            if frames is None:
                start = work.ledger.start_seconds(number)
                raise InputError(
                    f"{self._path}: segment {number:05d}, at {start:.1f} s: {outcome.error}"
                )
            self.report.segments["done"] += frames > 0
        return self._count_done()

    def finish(self) -> None:
        """Reassemble, verify, and let the output appear under its name."""
        work = self._open
        with self._errors_reported():
            temporary = work.folder.unfinished(self._output)
            try:
                self._write(work, temporary)
            finally:
                discard(temporary)
            self._written = True
        seconds = self.report.seconds
        seconds["total"] = round(time.monotonic() - self._turn, 3)
        if seconds["total"]:
            self.report.frames_per_second = round(self.report.frames_out / seconds["total"], 2)

    def close(self, *, stopped: bool = False) -> None:
        """Leave the work folder to others; what is finished stays for the next run.

        ``stopped`` says that the run was: then an error may be that it was stopped while it read.
        """
        work, self._work = self._work, None
        if work is not None:
            work.ledger.close()
            work.plan.looks.close()
            self.report.segments["done"] = work.ledger.done  # of what was accepted, not all may be
        if work is not None and work.folder.is_open:
            # `finish` removes it, unless it was interrupted in doing so.
            with suppress(OSError):
                discard(work.folder.unfinished(self._output))
            work.folder.close()
        is_over = self._written or (self.ended and not (stopped or self._place.exists()))
        if isinstance(self._path, RemoteFile) and (self._only_look or is_over):
            discard(self._parts)
            remove_hidden_parent(self._place)

    def _count_done(self) -> int:
        """Bring ``frames_done`` up to date; returns by how many frames it has grown."""
        before, self.frames_done = self.frames_done, self._open.ledger.frames_done
        return self.frames_done - before

    @property
    def _open(self) -> _Work:
        assert self._work is not None, "a film that is not scanned, or closed"
        return self._work

    @property
    def _has_work(self) -> bool:
        return self._work is not None and self.report.error is None

    def _find_it_done(self) -> bool:
        """Take the output that is there for this run's, where it would be the same.

        A run that was killed before it could tidy up has left its pieces: they go. Where numbered
        pictures lack, returns False: they are made, and those that are there stay.
        """
        if self._output.is_symlink() and not self._output.exists():
            raise InputError(
                f"{self._output} is a link to what is not there; --overwrite replaces it"
            )
        record = find_record(self._output, self._settings, self._made_with(input_state(self._path)))
        if record.lacks_pictures(self._output):
            self._goes_on = True
            self.report.status = "failed"  # until it is done
            return False
        record.tell_again(self.report)
        self.frames_done = self.report.frames_in
        self._written = True
        self.report.seconds["total"] = round(time.monotonic() - self._turn, 3)
        if not (self._only_look or self._direction.timeline):
            WorkFolder(Path(record.work_folder), {}).remove_leftover(record.pieces, self._output)
        return True

    def _open_work(self, plan: FilmPlan) -> _Work:
        """Open the work folder and see what is in it."""
        report, settings = self.report, self._settings
        own = [plan.looks.identity(segment) for segment in plan.segments]
        folder = WorkFolder(self._place, plan.identity, own)
        try:
            if self._only_look:
                folder.look(resume=settings.resume)
            else:
                folder.open(resume=settings.resume)
                discard(folder.unfinished(self._output))
            ledger = SegmentLedger(plan.source, plan.segments, folder)
        except BaseException:
            folder.close()
            raise
        report.frames_in = sum(len(segment.owned_pts) for segment in plan.segments)
        report.segments |= {"total": len(plan.segments), "reused": ledger.reused}
        report.warnings += [*plan.source.warnings, *plan.copies.warnings]
        self.frames_done = ledger.frames_done
        return _Work(plan, ledger, folder)

    def _write(self, work: _Work, temporary: Path) -> None:
        work.ledger.close()
        plan, pieces = work.plan, work.ledger.pieces()
        copied = self._assembled(plan, pieces, temporary)
        assert self.report.verified is not None
        if not self.report.verified.everything:
            raise VerificationError(
                f"{self._path}: the output, read again, is not whole ({self.report.verified}); "
                "it was not kept, the finished segments are"
            )
        if input_state(self._path) != plan.input_state:
            raise MediaError(f"{self._path}: the file changed while it was read; run again")
        plan.looks.check_unchanged()
        told = with_outcome(self.report, plan.source, pieces, copied)
        left_out = self._settings.allow_left_out and plan.copies.leaves_out
        made = self._made_with(plan.input_state)
        write_record(temporary, made, told, work.folder, left_out=left_out)
        publish_all(temporary, self._output, overwrite=self._settings.overwrite, keep=self._goes_on)
        note_version(self._output)
        self.report = told
        if not self._direction.timeline:  # with one, an edit is to redo what it changes
            work.folder.remove()

    def _assembled(
        self, plan: FilmPlan, pieces: Sequence[KeptResult], temporary: Path
    ) -> CopyReport:
        """Write the output, and verify it for the report."""
        source, numbering = plan.source, numbered_output(self._output)
        with self._timed("mux"):
            if numbering:
                copied = write_pictures(source, pieces, temporary, numbering)
            else:
                copied = reassemble(
                    source,
                    pieces,
                    temporary,
                    plan.copies,
                    container=container_for(self._output),
                    frame=plan.output,
                )
        with self._timed("verify"):
            if numbering:
                self.report.verified = verify_pictures(source, pieces, temporary, numbering)
            else:
                pts = [pts for piece in pieces for pts in piece.pts]
                self.report.verified = verify(
                    source, pts, plan.copies, temporary, refused=copied.refused
                )
        return copied

    def _made_with(self, state: list[object]) -> dict[str, object]:
        return made_with(self._settings, self._direction, self._path, state)

    @contextmanager
    def _errors_reported(self) -> Iterator[None]:
        try:
            yield
        except Stopped:
            raise
        except NstError as error:
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
