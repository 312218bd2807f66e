"""`nst stylize video` and `nst stylize images`."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from jobs.cli import console, options, reports
from jobs.cli.options import LOOKS
from jobs.cli.spec_options import from_specifications
from jobs.specs.applying import StylizeImages, StylizeVideo
from nst_core.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Stylize whole videos or folders of pictures.")

_NOT_ASKED = "command match_histogram mark"


def _need_no_output(context: typer.Context, is_asked: bool) -> bool:
    """Let -o and --style be left out where nothing is stylized."""
    stand_ins = {"output": ".", "style": ["identity"]} if is_asked else {}
    for each in context.command.params:
        if each.name in stand_ins:
            each.required, each.default = False, stand_ins[each.name]
    return is_asked


Shots = Annotated[
    bool,
    typer.Option(
        "--shots",
        help="List the shots of each film, exact to the frame, and do nothing else.",
        is_eager=True,  # before it is seen that others are missing
        callback=_need_no_output,
    ),
]


@app.command()
@from_specifications(LOOKS, argument="inputs", each="style", without=_NOT_ASKED)
def video(
    in_styles: tuple[StylizeVideo, ...],
    dry_run: options.DryRun = False,
    shots: Shots = False,
    json: options.Json = False,
) -> None:
    """Stylize videos: every frame at its time, the sound byte for byte.

    Example: nst stylize video film.mp4 -o film-wave.mp4 --style wave
    """
    if in_styles[0].is_piped:
        _pipe(in_styles, only_look=shots or dry_run, json=json)
        return
    if shots:
        from jobs.cli.shots import show_shots

        show_shots(in_styles[0], json=json)
        return
    if dry_run:
        from jobs.cli.planning.words import show_plan
        from jobs.planning.films import plan_films

        show_plan(partial(plan_films, in_styles), json=json)
        return
    from jobs.applying.needs_ray import ray_ahead, videos_need_ray

    with ray_ahead(needed=videos_need_ray(in_styles[0])), console.shown_progress() as show:
        from jobs.applying.stylize_video import stylize_in_styles

        report = stylize_in_styles(in_styles, show)
    console.report(asdict(report), as_json=json)
    reports.tell_videos(report, json=json)
    if report.nothing_started:
        raise typer.Exit(console.WRONG_USE)
    if reports.videos_failed(report, allow_damaged=in_styles[0].allow_damaged):
        raise typer.Exit(console.SOME_FAILED)


def _pipe(in_styles: tuple[StylizeVideo, ...], *, only_look: bool, json: bool) -> None:
    """Stylize into a pipe; whatever else is told, the report too, goes to stderr."""
    from jobs.cli.process.streams import take_pipes

    if len(in_styles) > 1 or only_look:
        raise InputError(
            "a pipe is read once: one --style, and no --shots, --dry-run or nst plan; write the "
            "film to a file and name that"
        )
    with console.shown_progress() as show:
        from jobs.applying.stylize_pipe import check_pipe, stylize_pipe

        check_pipe(in_styles[0])
        reads = "-" in map(str, in_styles[0].inputs)
        report = stylize_pipe(in_styles[0], *take_pipes(reads=reads), show)
    console.report(asdict(report), as_json=json)
    reports.tell_pipe(report)
    if reports.videos_failed(report, allow_damaged=in_styles[0].allow_damaged):
        raise typer.Exit(console.SOME_FAILED)


@app.command()
@from_specifications(LOOKS, argument="sources", each="style", without=_NOT_ASKED)
def images(job: StylizeImages, dry_run: options.DryRun = False, json: options.Json = False) -> None:
    """Stylize pictures into a folder, or a bucket, with the same names and tree.

    Example: nst stylize images photos -o photos-wave --style wave
    """
    if dry_run:
        from jobs.cli.planning.words import show_plan
        from jobs.planning.pictures import plan_pictures

        show_plan(partial(plan_pictures, job), json=json)
        return
    from jobs.applying.needs_ray import images_need_ray, ray_ahead

    with ray_ahead(needed=images_need_ray(job)), console.shown_progress() as show:
        from jobs.applying.stylize_images import stylize_images

        report = stylize_images(job, show)
    console.report(asdict(report), as_json=json)
    reports.tell_images(report, job.output, json=json)
    if report.nothing_started:
        raise typer.Exit(console.WRONG_USE)
    if report.failed:
        raise typer.Exit(console.SOME_FAILED)
