"""Films in several styles: one output for each film and style, named after both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from jobs.applying.workers import find_checked
from jobs.films.output import planned_films
from jobs.films.stylize_video import StylizeVideoReport, stylize_videos
from jobs.specs.applying import StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError
from pipeline.work.progress import OnProgress, Progress, ignore_progress


def stylize_in_styles(
    job: StylizeVideo, styles: Sequence[StyleSpec], on_progress: OnProgress = ignore_progress
) -> StylizeVideoReport:
    """Stylize every film in every style, style by style; ``job.style`` is not looked at.

    Raises InputError or EnvironmentProblem where the job as a whole cannot start: every style is
    found before the first film is begun.
    """
    if len(styles) == 1:
        return stylize_videos(replace(job, style=styles[0]), on_progress)
    jobs: dict[str, StylizeVideo] = {}
    for spec in styles:
        name = find_checked(spec, job.pool).name
        if name in jobs:
            raise InputError(
                f"--style {spec.style}: a second style called {name}; the names of the outputs "
                "could not tell them apart, so name each once, or rename its file"
            )
        jobs[name] = replace(job, style=spec, mark=name)
        planned_films(jobs[name])
    counted = _AllStyles(list(jobs), on_progress)
    reports = []
    for name, each in jobs.items():
        with counted.style(name) as show:
            reports.append(stylize_videos(each, show))
    return StylizeVideoReport(
        engine=next((each.engine for each in reports if each.engine != "none"), "none"),
        workers=max(each.workers for each in reports),
        inputs=[one for each in reports for one in each.inputs],
    )


class _AllStyles:
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
