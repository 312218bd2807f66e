"""Films in several styles: one output for each film and style, named after both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jobs.progress import OnProgress, ignore_progress
from jobs.specs import StyleSpec, StylizeVideo
from jobs.stylize_video import StylizeVideoReport, stylize_videos
from jobs.video_output import inputs_and_outputs
from jobs.workers import find_checked
from nst_core.errors import InputError


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
        inputs_and_outputs(jobs[name])
    reports = [stylize_videos(each, on_progress) for each in jobs.values()]
    return StylizeVideoReport(
        engine=next((each.engine for each in reports if each.engine != "none"), "none"),
        workers=max(each.workers for each in reports),
        inputs=[one for each in reports for one in each.inputs],
    )
