"""`nst evaluate`: a generator, a stylized video or a super-resolution model, measured."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.cli import console, options
from jobs.cli.option_groups import expanded
from jobs.cli.training import options as train_options
from jobs.cli.training.options import ContentTerms, StyleTerms
from jobs.specs.applying import InitChoice, LossNetworkChoice
from jobs.specs.evaluating import EvaluateGenerator
from nst_core.errors import InputError
from nst_core.settings import Degradation
from nst_core.wording import counted

if TYPE_CHECKING:
    from jobs.evaluating.super_resolution import Quality, SuperResolutionEvaluation
    from jobs.evaluating.video import VideoEvaluation

_GENERATOR = "A generator against optimisation"
_VIDEO = "A video's flicker"
_SUPER_RESOLUTION = "Super-resolution against bicubic"
_RUN = "Where it runs"

_COMPANIONS = {
    "checkpoint": (
        *("content", "style", "against_iterations", "image_size", "max_images", "init"),
        *("loss_network", "loss_network_weights", "mixed_precision", "device", "threads"),
        *("scaling", "style_layers", "content_layers", "style_statistic", "scales"),
        *("style_weight", "content_weight", "tv_weight"),
    ),
    "video": (),
    "super_resolution": (
        *("images", "scale", "match_histogram", "degradation"),
        *("engine", "device", "precision", "threads"),
    ),
}
"""The parameter that chooses what is measured, and those that may go with it."""


@expanded
def evaluate(
    context: typer.Context,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="A bundled style or a checkpoint.",
            metavar="NAME|FILE",
            rich_help_panel=_GENERATOR,
        ),
    ] = None,
    content: Annotated[
        Path | None,
        typer.Option(
            help="Folder of photographs that it has not seen.", rich_help_panel=_GENERATOR
        ),
    ] = None,
    style: Annotated[
        Path | None,
        typer.Option(help="The picture that it has learnt from.", rich_help_panel=_GENERATOR),
    ] = None,
    against_iterations: Annotated[
        int, typer.Option(help="Of L-BFGS on each photograph.", rich_help_panel=_GENERATOR)
    ] = EvaluateGenerator.against_iterations,
    image_size: Annotated[
        int, typer.Option(help="Side of the crops, pixels.", rich_help_panel=_GENERATOR)
    ] = EvaluateGenerator.image_size,
    max_images: Annotated[
        int | None,
        typer.Option(help="Of the folder; default all.", rich_help_panel=_GENERATOR),
    ] = None,
    init: Annotated[
        InitChoice,
        typer.Option(help="Where the optimisation starts.", rich_help_panel=_GENERATOR),
    ] = EvaluateGenerator.init,
    terms: StyleTerms = train_options.NO_STYLE_TERMS,
    contents: ContentTerms = train_options.NO_CONTENT_TERMS,
    scales: train_options.Scales = "",
    style_weight: Annotated[
        float | None, typer.Option(rich_help_panel=train_options.WEIGHTS_PANEL)
    ] = None,
    loss_network: Annotated[
        LossNetworkChoice | None,
        typer.Option(
            help="The VGG that judges; default that of the training.", rich_help_panel=_GENERATOR
        ),
    ] = None,
    loss_network_weights: Annotated[
        Path | None,
        typer.Option(
            envvar="NST_LOSS_NETWORK_WEIGHTS",
            help="Its weights; default torchvision's download.",
            rich_help_panel=_GENERATOR,
        ),
    ] = None,
    mixed_precision: Annotated[
        bool,
        typer.Option(
            "--mixed-precision",
            help="bfloat16 in the loss network while L-BFGS runs.",
            rich_help_panel=_GENERATOR,
        ),
    ] = EvaluateGenerator.mixed_precision,
    video: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            help="A source and the video made of it: its warping error.",
            metavar="SRC OUT",
            rich_help_panel=_VIDEO,
        ),
    ] = None,
    super_resolution: Annotated[
        str | None,
        typer.Option(
            help="A super-resolution network: its PSNR and SSIM.",
            metavar="NAME|FILE",
            rich_help_panel=_SUPER_RESOLUTION,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of high-resolution pictures.", rich_help_panel=_SUPER_RESOLUTION),
    ] = None,
    scale: Annotated[
        int | None,
        typer.Option(help="Default: the checkpoint's.", rich_help_panel=_SUPER_RESOLUTION),
    ] = None,
    match_histogram: Annotated[
        bool,
        typer.Option(
            "--match-histogram",
            help="Give each result the histogram of its input.",
            rich_help_panel=_SUPER_RESOLUTION,
        ),
    ] = False,
    degradation: Annotated[
        Degradation | None,
        typer.Option(
            help="How the small pictures are made; default as in the network's training.",
            rich_help_panel=_SUPER_RESOLUTION,
        ),
    ] = None,
    engine: options.Engine = options.DEFAULT_STYLE.engine,
    device: options.Device = options.DEFAULT_STYLE.device,
    precision: options.Precision = options.DEFAULT_STYLE.precision,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads; default all.", rich_help_panel=_RUN)
    ] = None,
    json: options.Json = False,
) -> None:
    """Measure a generator, a stylized video or a super-resolution model.

    Example: nst evaluate --video film.mp4 film-wave.mp4

    Example: nst evaluate --checkpoint wave --content photos --style wave.jpg

    Example: nst evaluate --super-resolution x4.safetensors --images Set5
    """
    _check_combination(context)
    if threads is not None and threads < 1:
        raise InputError(f"--threads {threads}: at least 1 is needed")
    if video is not None:
        _evaluate_video(*video, json=json)
    elif super_resolution is not None:
        from jobs.evaluating.super_resolution import evaluate_super_resolution

        with console.shown_progress() as show:
            report = evaluate_super_resolution(
                super_resolution,
                _needed(images, "--super-resolution", "--images DIR"),
                scale=scale,
                match_histogram=match_histogram,
                degradation=degradation,
                engine=engine,
                device=device,
                precision=precision,
                threads=threads,
                on_progress=show,
            )
        _print_super_resolution(report, json=json)
    elif checkpoint is not None:
        job = EvaluateGenerator(
            checkpoint=checkpoint,
            content=_needed(content, "--checkpoint", "--content DIR"),
            style_image=_needed(style, "--checkpoint", "--style IMAGE"),
            against_iterations=against_iterations,
            image_size=image_size,
            max_images=max_images,
            init=init,
            objective=train_options.objective_changes(
                terms,
                contents,
                scales=train_options.numbers("--scales", scales) or None,
                style_weight=style_weight,
            ),
            loss_network=loss_network,
            loss_network_weights=loss_network_weights,
            device=device,
            threads=threads,
            mixed_precision=mixed_precision,
        )
        _evaluate_generator(job, json=json)


def _check_combination(context: typer.Context) -> None:
    """Exactly one thing is measured, with its own options only. Raises InputError."""
    given = [name for name in context.params if _is_given(context, name)]
    chosen = [name for name in given if name in _COMPANIONS]
    if len(chosen) != 1:
        came = " and ".join(map(_option, chosen)) or "nothing to measure"
        raise InputError(
            f"{came}: exactly one of --checkpoint FILE, --video SRC OUT and "
            "--super-resolution FILE is needed; see `nst evaluate --help`"
        )
    foreign = [name for name in given if name not in (chosen[0], "json", *_COMPANIONS[chosen[0]])]
    if foreign:
        own = ", ".join(map(_option, _COMPANIONS[chosen[0]])) or "no option but --json"
        raise InputError(f"{_option(foreign[0])} with {_option(chosen[0])}: {own} may go with it")


def _is_given(context: typer.Context, parameter: str) -> bool:
    """Whether it stands on the command line; what comes from the environment is for all modes."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def _option(parameter: str) -> str:
    return "--" + parameter.replace("_", "-")


def _needed(folder: Path | None, mode: str, option: str) -> Path:
    if folder is None:
        raise InputError(f"{mode} without {option.split()[0]}: add {option}")
    return folder


def _evaluate_generator(job: EvaluateGenerator, *, json: bool) -> None:
    from jobs.evaluating.generator import evaluate_generator

    with console.shown_progress() as show:
        report = evaluate_generator(job, show)
    console.report(asdict(report), as_json=json)
    if json:
        return
    for line in report.lines():
        console.say(line)


def _evaluate_video(source: Path, output: Path, *, json: bool) -> None:
    from jobs.evaluating.video import evaluate_video

    with console.shown_progress() as show:
        report = evaluate_video(source, output, show)
    if report.source_frames != report.output_frames:
        console.note(
            f"warning: {source} has {counted(report.source_frames, 'frames')}, {output} has "
            f"{report.output_frames}; the first {report.frames} are compared"
        )
    console.report(asdict(report), as_json=json)
    if json:
        return
    for line in _video_lines(report):
        console.say(line)


def _video_lines(report: VideoEvaluation) -> list[str]:
    ratio = "" if report.ratio is None else f", {report.ratio:.2f} times the source's"
    return [
        f"warping error of the output   {report.warping_error:.3e}{ratio}",
        f"warping error of the source   {report.source_warping_error:.3e}",
        f"compared   {counted(report.pairs, 'pairs')} of consecutive frames, "
        f"{report.width}x{report.height}, {report.visible_fraction:.1%} of their pixels; "
        f"cuts left out: {report.cuts}",
    ]


def _print_super_resolution(report: SuperResolutionEvaluation, *, json: bool) -> None:
    for failure in report.failures:
        console.note(f"error: {failure['error']}")
    console.report(asdict(report), as_json=json)
    if not json:
        for line in _super_resolution_lines(report):
            console.say(line)
    if report.failures:
        raise typer.Exit(console.SOME_FAILED)


def _super_resolution_lines(report: SuperResolutionEvaluation) -> list[str]:
    columns = ("bicubic", "matched") if report.match_histogram else ("bicubic", "model", "matched")
    mean = (report.bicubic, report.model, report.model_matched)
    rows = [
        *((row.picture, row.bicubic, row.model, row.model_matched) for row in report.pictures),
        (f"mean of {len(report.pictures)}", *mean),
    ]
    width = max(len(name) for name, *_ in rows)
    heads = "".join(f"  {column:^15}" for column in columns)
    return [
        f"x{report.scale}, {report.degradation}, PSNR in dB and SSIM on luma; {report.engine}",
        f"{'':{width}}{heads}",
        *(
            f"{name:{width}}" + "".join(f"  {_cell(each)}" for each in cells[: len(columns)])
            for name, *cells in rows
        ),
        "matched: each picture with the histogram of its input",
    ]


def _cell(quality: Quality) -> str:
    psnr = "inf" if quality.psnr is None else f"{quality.psnr:.2f}"
    return f"{psnr:>6}  {quality.ssim:.4f} "
