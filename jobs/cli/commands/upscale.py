"""`nst upscale`."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import typer

from jobs.cli import console, options, reports
from jobs.cli.options import LOOKS, panel
from jobs.cli.spec_options import Looks, from_specifications
from jobs.specs.applying import Upscale

_LOOKS: Looks = {
    **LOOKS,
    "format": {"help": "Of the pictures written.", "rich_help_panel": "Pictures"},
    **panel(
        options.VIDEOS,
        "segment_seconds segment_deadline codec crf preset encoder tonemap allow_damaged "
        "allow_left_out",
    ),
    "quality": {"help": "Of JPEG and WebP, 1 to 100.", "rich_help_panel": "Pictures"},
    "style": {
        "names": ("--model",),
        "help": "x4, which is bundled, or what `nst train super-resolution` wrote.",
        "metavar": "NAME|FILE",
        "autocompletion": options.complete("upscale"),
    },
}


@from_specifications(
    _LOOKS,
    argument="sources",
    without="strength strengths keep_colors stroke noise fit_steps command coherence "
    "mask mask_style timeline max_side tile work_dir styles_per_image seed refine refine_styles "
    "loss_network_weights sheet report",
)
def upscale(job: Upscale, dry_run: options.DryRun = False, json: options.Json = False) -> None:
    """Enlarge pictures and videos, four or eight times, with a super-resolution network.

    Example: nst upscale photos film.mp4 -o large
    """
    if dry_run:
        from jobs.cli.planning.words import show_plan
        from jobs.planning.enlargements import plan_enlargements

        show_plan(partial(plan_enlargements, job), json=json)
        return
    from jobs.applying.upscale import upscale as run

    with console.shown_progress() as show:
        report = run(job, show)
    console.report(asdict(report), as_json=json)
    failed = False
    if report.images:
        reports.tell_images(report.images, job.output, json=json)
        failed = report.images.failed > 0
    if report.videos:
        reports.tell_videos(report.videos, json=json)
        failed |= reports.videos_failed(report.videos, allow_damaged=job.films.allow_damaged)
    if report.nothing_started:
        raise typer.Exit(console.WRONG_USE)
    if failed:
        raise typer.Exit(console.SOME_FAILED)
