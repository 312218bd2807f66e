"""A film while its output is written in a thread of its own."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import pipeline.films.film
from nst_core.checkpoints.library import find_style
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.films.film import Film
from pipeline.films.output import PlannedFilm
from pipeline.films.settings import FilmSettings
from pipeline.looks.direction import Direction, Scene
from pipeline.segments.task import SegmentResult
from pipeline.work.pool import Outcome

_SPEC = StyleSpec("identity")
_IDENTITY = Direction(Scene(_SPEC), {_SPEC: find_style("identity")})
_ASKED = ("waiting", "at_work", "complete", "ended", "frames_done", "frames_to_do")


class _Interrupting:
    """Calls a function before the n-th byte code of a file, as another thread might."""

    def __init__(self, file: str, number: int, function: Callable[[], None]) -> None:
        self._file = file
        self._left = number
        self._function = function
        self.has_called = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != self._file:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and not self.has_called:
            if not self._left:
                self.has_called = True
                thread = threading.Thread(target=self._function)
                thread.start()
                thread.join()
            self._left -= 1
        return self


def _complete_film(clip: Path, output: Path) -> Film:
    """A film whose segments are all there."""
    settings = FilmSettings(segment_seconds=0.5, overwrite=True)
    film = Film(PlannedFilm(clip, output), settings, _IDENTITY)
    film.scan()
    while unit := film.next_unit(0):
        segment = unit.task.segment
        result = SegmentResult(segment.number, b"piece", segment.owned_pts, (), (), ())
        film.accept(Outcome(unit.key, result))
    assert film.complete
    return film


@pytest.mark.parametrize("asked", _ASKED)
def test_what_is_asked_of_a_film_is_answered_at_any_moment_of_its_end(
    asked: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer once set to None what the workers' thread had just found to be there."""
    monkeypatch.setattr(Film, "_write", lambda *_: None)
    frames = 0
    for number in range(200):
        film = _complete_film(clip, tmp_path / f"{number}.mp4")
        frames = frames or film.frames_done
        interrupting = _Interrupting(str(pipeline.films.film.__file__), number, film.finish)
        before = sys.gettrace()
        sys.settrace(interrupting)
        try:
            answer = getattr(film, asked)
        finally:
            sys.settrace(before)
        film.close()
        assert answer in ((frames,) if asked.startswith("frames") else (True, False))
        if not interrupting.has_called:
            break
    assert number or asked == "frames_done"  # which is a number, not a question


def test_a_work_folder_that_cannot_be_begun_leaves_nothing(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("pipeline.segments.work_folder.write_whole", full)
    planned = PlannedFilm(clip, tmp_path / "out.mp4")
    film = Film(planned, FilmSettings(), _IDENTITY)
    film.scan()
    film.close()
    assert "No space left on device" in str(film.report.error)
    assert list(tmp_path.iterdir()) == []
