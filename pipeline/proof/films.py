"""The proof of a film: its hash, and where its source is at hand, the two read side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from nst_core.errors import InputError, MediaError
from pipeline.assembly.copied_streams import plan_copies
from pipeline.assembly.verification import Verified, verify
from pipeline.films.finished_films import FilmRecord, record_of, recorded_films
from pipeline.films.span import Span
from pipeline.numbered.output_files import is_there
from pipeline.numbered.probing import probe_film
from pipeline.proof.findings import Findings, Kind
from pipeline.proof.sources_at_hand import SourcesAtHand
from pipeline.source.source_video import SourceVideo
from pipeline.source.trimming import trimmed
from pipeline.storage.remote_file import kept_in, path_of

_TOLD_DIGITS = 6
"""Digits behind the point of times in a report."""
_WHAT = {
    "frame_count": "another number of frames",
    "pts": "frames at other times",
    "copied_streams": "sound, subtitles or what else is copied, are others",
}


def prove_films(output: Path, source: Path | None, findings: Findings) -> bool:
    """Compare a film, or all of a folder, with their records; False where there are none.

    ``source`` is the film that it was made of, or a folder of them, where that is not where it was.
    Raises EnvironmentProblem for storage that does not answer.
    """
    films = recorded_films(output) if output.is_dir() else {output: record_of(output)}
    given = source if source and not source.is_dir() else None
    folder = str(source) if source and not given else None
    for film, record in sorted(films.items()):
        if record is not None:
            findings.films += 1
            place = _place_of(str(record.source[0]), folder) if record.source else None
            _prove(film, record, given or place, findings)
    return any(record is not None for record in films.values())


def _place_of(recorded: str, folder: str | None) -> Path:
    """Return where a source should be; each film's is looked for by itself: they need no tree."""
    return path_of(SourcesAtHand(folder, lambda path: is_there(path_of(path))).place(recorded))


def _prove(film: Path, record: FilmRecord, source: Path | None, findings: Findings) -> None:
    if record.lacks_pictures(film) or not (record.pictures or film.is_file()):
        findings.add("missing", str(film), f"{film}: not there, or not all of its pictures")
        return
    with tempfile.TemporaryDirectory(prefix="nst-") as folder:
        output = kept_in(Path(folder, "film"), film)
        try:
            is_changed = not record.is_unchanged(output)
        except OSError as error:
            findings.add("missing", str(film), f"{film}: cannot be read ({error.strerror})")
            return
        if is_changed:
            findings.add("changed", str(film), f"{film}: changed since it was made")
        if record.pictures:
            findings.notes.append(f"{film}: numbered pictures, compared by their hash only")
        elif source is None or not is_there(source):
            findings.notes.append(
                f"{film}: its source is not at hand ({source}), compared by its hash only; "
                "--source names it"
            )
        else:
            source = kept_in(Path(folder, "source"), source)
            _compare(output, record, source, findings, is_changed=is_changed)


def _compare(
    film: Path, record: FilmRecord, source: Path, findings: Findings, *, is_changed: bool
) -> None:
    try:
        verified = _compared(film, record, source)
    except (InputError, MediaError, av.FFmpegError, OSError) as error:
        kind: Kind = "not whole" if is_changed else "source changed"
        path = str(film if is_changed else source)
        findings.add(kind, path, f"{film}: not compared with its source: {error}")
        return
    findings.sources += 1
    wrong = [words for name, words in _WHAT.items() if not getattr(verified, name)]
    if wrong:
        findings.add("not whole", str(film), f"{film}: not as {source} has it: {', '.join(wrong)}")


def _compared(film: Path, record: FilmRecord, path: Path) -> Verified:
    """Read source and film again, as a run does before it says done."""
    span = _span(record)
    fps = record.made_with.get("--fps")
    source = probe_film(
        path, seconds=span.end if span else None, fps=Fraction(fps) if fps else None
    )
    if span:
        source = trimmed(source, span)
    copies = plan_copies(source, film, allow_left_out=record.left_out)
    return verify(source, [*_expected(source, record)], copies, film)


def _span(record: FilmRecord) -> Span | None:
    start, end = (record.made_with.get(option) for option in ("--start", "--end"))
    return Span(Fraction(start), Fraction(end) if end else None) if start else None


def _expected(source: SourceVideo, record: FilmRecord) -> Iterator[int]:
    """Yield the PTS of the frames that the film should show: all but those told as missing."""
    missing = set(record.report["missing_pts_seconds"])
    for pts in source.packets.shown_pts.tolist():
        if round(float(pts * source.info.time_base), _TOLD_DIGITS) not in missing:
            yield pts
