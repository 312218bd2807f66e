"""Films in several styles: one count of frames over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from pipeline.work.progress import OnProgress, Progress


class AllStyles:
    """One count of frames over all styles: those that are still to come have the same films."""

    def __init__(self, names: Sequence[str], on_progress: OnProgress) -> None:
        self._names = names
        self._on_progress = on_progress
        self._before = 0
        """Frames of the styles that are through."""
        self._most = 0
        """Frames of all films in one style, as far as they are known."""
        self._last: Progress | None = None
        """What was shown last."""

    @contextmanager
    def style(self, name: str) -> Iterator[OnProgress]:
        """Give what shows the progress of a style as a part of the whole."""
        number = self._names.index(name)
        styles_left = len(self._names) - number
        frames = 0

        def show(progress: Progress) -> None:
            nonlocal frames
            if not progress.total:  # a stage before the first frame
                self._on_progress(replace(progress, note=f"style {name}: {progress.note}"))
                return
            frames = progress.total
            self._most = max(self._most, frames)
            done, total = self._before + progress.done, self._before + self._most * styles_left
            rate, seconds = progress.per_second, progress.seconds_left
            self._last = replace(
                progress,
                done=done,
                total=total,
                note=f"style {name} ({number + 1} of {len(self._names)})",
                is_all=progress.is_all or number > 0,
                seconds_left=(total - done) / rate if rate and seconds is not None else None,
            )
            self._on_progress(self._last)

        yield show
        self._before += frames
        some_were_there_or_failed = frames < self._most
        if styles_left == 1 and some_were_there_or_failed and self._last:
            self._on_progress(
                replace(self._last, done=self._before, total=self._before, files=(), note="")
            )
