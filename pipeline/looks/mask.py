"""A mask beside a film: found, probed, and read with each of the film's segments.

Its frames go by time: with each of the film's, the one that is shown then. A picture is a mask of
one frame, which stays.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np

from nst_core.errors import InputError, MediaError
from nst_core.files import digest_of_files
from pipeline.looks.look import SegmentMask
from pipeline.numbered.names import find_pictures, grouped, numbering_of
from pipeline.numbered.probing import probe_film
from pipeline.segments.packet_reader import RunReaders
from pipeline.segments.plan import Segment, segment_of
from pipeline.source.source_video import SourceVideo
from pipeline.source.trimming import film_seconds

_SAME_TIME = 0.001
"""Seconds by which times that are the same may differ: containers round to milliseconds."""


class FilmMask:
    """A mask for one film."""

    def __init__(self, path: Path, film: SourceVideo, fps: Fraction | None) -> None:
        """``fps`` are the pictures of a second, where it is numbered ones; None: as the film's.

        Raises MediaError.
        """
        self.path = path
        self._source = probe_film(path, fps=fps or film.info.rate)
        self.identity = [mask_digest(path), str(self._source.info.rate)]
        """What decides its frames and their times."""
        self._shown = self._source.packets.shown_pts
        if not len(self._shown):
            raise MediaError(f"{path}: no frame in it is meant to be shown")
        self._film = film
        self._readers = RunReaders(self._source)
        at = np.searchsorted(
            film_seconds(self._source, self._shown),
            film_seconds(film, film.packets.shown_pts) + _SAME_TIME,
            side="right",
        )
        shown = self._shown[np.maximum(at - 1, 0)]
        self._shown_with = dict(zip(film.packets.shown_pts.tolist(), shown.tolist(), strict=True))

    @property
    def bytes_a_second(self) -> float:
        """Bytes of its numbered pictures for a second of film; 0: it is a film or one picture."""
        is_one = len(self._shown) == 1
        return 0.0 if is_one else self._source.bytes_of_a_picture * float(self._source.info.rate)

    def check_reaches(self, pts: int) -> None:
        """Raise InputError where the mask has ended before the film's frame of this time."""
        if len(self._shown) == 1:
            return
        info = self._source.info
        last = int(self._shown[-1]) + self._source.last_duration
        (ends,) = film_seconds(self._source, np.array([last]))
        (needed,) = film_seconds(self._film, np.array([pts]))
        if needed >= ends + 1 / info.rate:  # one frame less is no more than rounding
            raise InputError(
                f"{self.path}: the mask ends at {ends:.2f} s, and {self._film.path} still has "
                f"frames at {needed:.2f} s; make it as long, or name an earlier --end"
            )

    def check_unchanged(self) -> None:
        """Raise MediaError where its content is not what it was."""
        if mask_digest(self.path) != self.identity[0]:
            raise MediaError(f"{self.path}: the mask changed while it was read; run again")

    def of(self, segment: Segment) -> SegmentMask:
        """Read what goes with a segment. Raises MediaError when the file has changed meanwhile."""
        shown = [self._shown_with[pts] for pts in (*segment.warm_pts, *segment.owned_pts)]
        own = segment_of(self._source.packets, segment.number, np.unique(shown))
        return SegmentMask(
            str(self.path),
            own,
            self._source.info,
            self._readers.read(own, ()),
            tuple(shown),
            (self._source.display_matrix, self._film.display_matrix),
        )

    def close(self) -> None:
        """Close the file."""
        self._readers.close()


def mask_of(mask: Path, film: Path) -> Path:
    """Return the mask of a film; in a folder it is what has the film's name, or numbered pictures.

    Raises InputError where there is none, or more than one.
    """
    if not mask.is_dir():
        return mask
    inside = sorted(each for each in mask.iterdir() if not each.name.startswith("."))
    found = [each for each in inside if each.stem == film.stem]
    if not found:
        found = [numbering.pattern for numbering in grouped(inside)]
    if len(found) == 1:
        return found[0]
    raise InputError(
        f"{mask}: {'no mask' if not found else 'more than one mask'} for {film} in this folder; "
        f"have one called {film.stem}.png or .mkv, or name a single file"
    )


def mask_digest(path: Path) -> str:
    """Return the hash of a mask's content. Raises MediaError."""
    numbering = numbering_of(path)
    pictures = find_pictures(numbering) if numbering else None
    files = [pictures.path(n) for n in range(len(pictures.numbers))] if pictures else [path]
    try:
        return _digest(tuple((each, *_state(each)) for each in files))
    except OSError as error:
        raise MediaError(f"{path}: the mask cannot be read ({error.strerror})") from error


@lru_cache(maxsize=16)
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    return digest_of_files([path for path, *_ in files])


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
