"""`nst stylize video` and `nst stylize images`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli import console, options, reports
from jobs.specs.applying import PoolSpec, StylizeImages, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError
from pipeline.films.settings import CodecChoice
from pipeline.pictures.settings import FormatChoice, TileChoice

app = typer.Typer(no_args_is_help=True, help="Stylize whole videos or folders of pictures.")

_POOL = options.DEFAULT_POOL
_STYLE = options.DEFAULT_STYLE
_REFINING = "Refining by optimisation"


@app.command()
def video(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="Videos, folders of them, globs in quotes."),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="The file to write; a folder for several inputs, or DIR/."
        ),
    ],
    style: options.Styles,
    segment_seconds: Annotated[
        float, typer.Option(help="Length of the pieces that workers take; less at a film's end.")
    ] = StylizeVideo.segment_seconds,
    segment_deadline: Annotated[
        float,
        typer.Option(
            help="Seconds after which a worker that still has the same piece is replaced."
        ),
    ] = StylizeVideo.segment_deadline,
    codec: Annotated[
        CodecChoice | None, typer.Option(help="Default: what the container usually holds.")
    ] = None,
    crf: Annotated[int | None, typer.Option(help="Rate factor; lower is better.")] = None,
    preset: Annotated[str | None, typer.Option(help="Speed preset of the encoder.")] = None,
    encoder: options.Encoder = StylizeVideo.encoder,
    tonemap: options.Tonemap = StylizeVideo.tonemap,
    max_side: options.MaxSide = None,
    work_dir: Annotated[
        Path | None, typer.Option(help="Where finished segments wait; default beside the output.")
    ] = None,
    resume: options.Resume = StylizeVideo.resume,
    allow_damaged: Annotated[
        bool, typer.Option("--allow-damaged", help="Exit 0 though frames are missing.")
    ] = StylizeVideo.allow_damaged,
    allow_left_out: Annotated[
        bool,
        typer.Option(
            "--allow-left-out",
            help="Leave out sound, subtitles and other films that the output cannot hold.",
        ),
    ] = StylizeVideo.allow_left_out,
    overwrite: options.Overwrite = False,
    strength: options.Strength = _STYLE.strength,
    keep_colors: options.KeepColors = _STYLE.keep_colors,
    stroke: options.Stroke = _STYLE.stroke,
    noise: options.Noise = _STYLE.noise,
    address: options.Address = _POOL.address,
    workers: options.Workers = _POOL.workers,
    cpus_per_worker: options.CpusPerWorker = None,
    gpus_per_worker: options.GpusPerWorker = None,
    engine: options.Engine = _STYLE.engine,
    device: options.Device = _STYLE.device,
    precision: options.Precision = _STYLE.precision,
    json: options.Json = False,
) -> None:
    """Stylize videos: every frame at its time, the sound byte for byte.

    Example: nst stylize video film.mp4 -o film-wave.mp4 --style wave
    """
    styles = [
        StyleSpec(
            each, strength, keep_colors, engine, device, precision, stroke=stroke, noise=noise
        )
        for each in style
    ]
    job = StylizeVideo(
        inputs=tuple(inputs),
        output=Path(output),
        into_folder=output.endswith("/"),
        style=styles[0],
        pool=PoolSpec(address, workers, cpus_per_worker, gpus_per_worker),
        segment_seconds=segment_seconds,
        segment_deadline=segment_deadline,
        codec=codec,
        crf=crf,
        preset=preset,
        encoder=encoder,
        tonemap=tonemap,
        max_side=max_side,
        work_dir=work_dir,
        resume=resume,
        allow_damaged=allow_damaged,
        allow_left_out=allow_left_out,
        overwrite=overwrite,
    )
    _stylize_videos(job, styles, json)


def _stylize_videos(job: StylizeVideo, styles: list[StyleSpec], json: bool) -> None:
    from jobs.applying.start_ahead import ahead_of_videos

    with ahead_of_videos(job), console.shown_progress() as show:
        from jobs.applying.stylize_video import stylize_in_styles

        report = stylize_in_styles(job, styles, show)
    console.report(asdict(report), as_json=json)
    reports.tell_videos(report, json=json)
    if report.nothing_started:
        raise typer.Exit(console.WRONG_USE)
    if reports.videos_failed(report, allow_damaged=job.allow_damaged):
        raise typer.Exit(console.SOME_FAILED)


def _tile(text: str) -> TileChoice:
    if text == "auto":
        return "auto"
    if text == "off":
        return "off"
    if not text.isdecimal():
        raise InputError(f"--tile {text}: auto, off, or a number of pixels is allowed")
    return int(text)


@app.command()
def images(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SRC...",
            help="Pictures, folders of them, globs, lists of them (.txt); paths or URIs.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="The folder to write into, or its URI; for a single picture also its name.",
        ),
    ],
    style: options.Styles,
    styles_per_image: Annotated[
        int | None,
        typer.Option(
            help="How many of several styles each picture gets, by chance; default all.",
            metavar="K",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of that choice, and of the noise of texture networks.")
    ] = StylizeImages.seed,
    format: Annotated[
        FormatChoice, typer.Option(help="Of the pictures written.")
    ] = StylizeImages.format,
    quality: Annotated[int, typer.Option(help="Of JPEG, WebP and AVIF, 1 to 100.")] = (
        StylizeImages.quality
    ),
    max_side: options.MaxSide = None,
    max_pixels: options.MaxPixels = StylizeImages.max_pixels,
    tile: Annotated[
        str,
        typer.Option(
            metavar="auto|off|N",
            help="Compute pictures of more than N x N pixels in pieces, without seams.",
        ),
    ] = str(StylizeImages.tile),
    refine: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Iterations of L-BFGS from the generator's picture: slow, closer to the painting.",
            rich_help_panel=_REFINING,
        ),
    ] = StylizeImages.refine,
    refine_style: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PICTURE",
            help="The painting that the style was trained on; one for each --style.",
            rich_help_panel=_REFINING,
        ),
    ] = None,
    loss_network_weights: Annotated[
        Path | None,
        typer.Option(
            envvar="NST_LOSS_NETWORK_WEIGHTS",
            help="Of the VGG that judges; default torchvision's download.",
            rich_help_panel=_REFINING,
        ),
    ] = StylizeImages.loss_network_weights,
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Write sheet.jpg: a sample, before and after.")
    ] = StylizeImages.sheet,
    report: options.Report = StylizeImages.report,
    resume: options.Resume = StylizeImages.resume,
    overwrite: options.Overwrite = False,
    strength: options.Strength = _STYLE.strength,
    keep_colors: options.KeepColors = _STYLE.keep_colors,
    stroke: options.Stroke = _STYLE.stroke,
    noise: options.Noise = _STYLE.noise,
    address: options.Address = _POOL.address,
    workers: options.Workers = _POOL.workers,
    cpus_per_worker: options.CpusPerWorker = None,
    gpus_per_worker: options.GpusPerWorker = None,
    engine: options.Engine = _STYLE.engine,
    device: options.Device = _STYLE.device,
    precision: options.Precision = _STYLE.precision,
    json: options.Json = False,
) -> None:
    """Stylize pictures into a folder, or a bucket, with the same names and tree.

    Example: nst stylize images photos -o photos-wave --style wave
    """
    job = StylizeImages(
        sources=tuple(sources),
        output=output,
        styles=tuple(
            StyleSpec(
                each, strength, keep_colors, engine, device, precision, stroke=stroke, noise=noise
            )
            for each in style
        ),
        pool=PoolSpec(address, workers, cpus_per_worker, gpus_per_worker),
        styles_per_image=styles_per_image,
        seed=seed,
        format=format,
        quality=quality,
        max_side=max_side,
        max_pixels=max_pixels,
        tile=_tile(tile),
        refine=refine,
        refine_styles=tuple(refine_style or ()),
        loss_network_weights=loss_network_weights,
        sheet=sheet,
        report=report,
        resume=resume,
        overwrite=overwrite,
    )
    _stylize_images(job, json)


def _stylize_images(job: StylizeImages, json: bool) -> None:
    from jobs.applying.start_ahead import ahead_of_images

    with ahead_of_images(job), console.shown_progress() as show:
        from jobs.applying.stylize_images import stylize_images

        report = stylize_images(job, show)
    console.report(asdict(report), as_json=json)
    reports.tell_images(report, job.output, json=json)
    if report.nothing_started:
        raise typer.Exit(console.WRONG_USE)
    if report.failed:
        raise typer.Exit(console.SOME_FAILED)
