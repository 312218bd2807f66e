"""`nst upscale`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from jobs.cli import console, options, reports
from jobs.specs.applying import PoolSpec, Upscale
from pipeline.films.settings import CodecChoice
from pipeline.pictures.settings import FormatChoice

_POOL = options.DEFAULT_POOL
_VIDEOS = "Videos"
_PICTURES = "Pictures"


def upscale(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SRC...", help="Pictures, videos, folders of both, globs."),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="The folder to write into; for a single source also the name of a file.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="x4, which is bundled, or what `nst train super-resolution` wrote.",
            autocompletion=options.complete_model,
        ),
    ] = Upscale.model,
    match_histogram: Annotated[
        bool,
        typer.Option(
            "--match-histogram", help="Give each output the colours of its source, by histogram."
        ),
    ] = Upscale.match_histogram,
    format: Annotated[
        FormatChoice, typer.Option(help="Of the pictures written.", rich_help_panel=_PICTURES)
    ] = Upscale.format,
    quality: Annotated[
        int, typer.Option(help="Of JPEG and WebP, 1 to 100.", rich_help_panel=_PICTURES)
    ] = Upscale.quality,
    max_pixels: options.MaxPixels = Upscale.max_pixels,
    segment_seconds: Annotated[
        float,
        typer.Option(
            help="Length of the pieces that workers take; less at a film's end.",
            rich_help_panel=_VIDEOS,
        ),
    ] = Upscale.segment_seconds,
    segment_deadline: Annotated[
        float,
        typer.Option(
            help="Seconds after which a worker that still has the same piece is replaced.",
            rich_help_panel=_VIDEOS,
        ),
    ] = Upscale.segment_deadline,
    codec: Annotated[
        CodecChoice | None,
        typer.Option(help="Default: what the container usually holds.", rich_help_panel=_VIDEOS),
    ] = None,
    crf: Annotated[
        int | None, typer.Option(help="Rate factor; lower is better.", rich_help_panel=_VIDEOS)
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Speed preset of the encoder.", rich_help_panel=_VIDEOS)
    ] = None,
    encoder: options.Encoder = Upscale.encoder,
    tonemap: options.Tonemap = Upscale.tonemap,
    allow_damaged: Annotated[
        bool,
        typer.Option(
            "--allow-damaged", help="Exit 0 though frames are missing.", rich_help_panel=_VIDEOS
        ),
    ] = Upscale.allow_damaged,
    allow_left_out: Annotated[
        bool,
        typer.Option(
            "--allow-left-out",
            help="Leave out sound, subtitles and other films that the output cannot hold.",
            rich_help_panel=_VIDEOS,
        ),
    ] = Upscale.allow_left_out,
    resume: options.Resume = Upscale.resume,
    overwrite: options.Overwrite = Upscale.overwrite,
    address: options.Address = _POOL.address,
    workers: options.Workers = _POOL.workers,
    cpus_per_worker: options.CpusPerWorker = None,
    gpus_per_worker: options.GpusPerWorker = None,
    engine: options.Engine = Upscale.engine,
    device: options.Device = Upscale.device,
    precision: options.Precision = Upscale.precision,
    json: options.Json = False,
) -> None:
    """Enlarge pictures and videos, four or eight times, with a super-resolution network.

    Example: nst upscale photos film.mp4 -o large
    """
    job = Upscale(
        sources=tuple(sources),
        output=output,
        model=model,
        match_histogram=match_histogram,
        pool=PoolSpec(address, workers, cpus_per_worker, gpus_per_worker),
        engine=engine,
        device=device,
        precision=precision,
        format=format,
        quality=quality,
        max_pixels=max_pixels,
        segment_seconds=segment_seconds,
        segment_deadline=segment_deadline,
        codec=codec,
        crf=crf,
        preset=preset,
        encoder=encoder,
        tonemap=tonemap,
        resume=resume,
        allow_damaged=allow_damaged,
        allow_left_out=allow_left_out,
        overwrite=overwrite,
    )
    _upscale(job, json)


def _upscale(job: Upscale, json: bool) -> None:
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
        failed |= reports.videos_failed(report.videos, allow_damaged=job.allow_damaged)
    if report.nothing_started:
        raise typer.Exit(console.WRONG_USE)
    if failed:
        raise typer.Exit(console.SOME_FAILED)
