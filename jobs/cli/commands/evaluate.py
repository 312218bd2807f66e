"""`nst evaluate`: a generator, a stylized video or a super-resolution model, measured.

Before it had commands of its own, an option said what is measured (`nst evaluate --video SRC OUT`):
that form calls them too.
"""

from __future__ import annotations

import inspect
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from jobs.cli import console, options
from jobs.cli.spec_options import Command, Looks, from_specifications
from jobs.cli.training.options import OBJECTIVE_LOOKS
from jobs.specs.evaluating import EvaluateFlicker, EvaluateGenerator, EvaluateSuperResolution
from jobs.specs.flat import Given
from nst_core.errors import InputError
from nst_core.objectives.settings import ObjectiveSettings
from nst_core.wording import counted

if TYPE_CHECKING:
    from jobs.evaluating.super_resolution import Quality, SuperResolutionEvaluation
    from jobs.evaluating.video import VideoEvaluation

app = typer.Typer(
    invoke_without_command=True,
    help="Measure a generator, a stylized video or a super-resolution model.\n\n"
    "Example: nst evaluate flicker film.mp4 film-wave.mp4",
)

_WEIGHTS = ("content_weight", "style_weight", "tv_weight", "scaling", "pooling")
_LOOKS: Looks = {
    **OBJECTIVE_LOOKS,
    **{name: {**OBJECTIVE_LOOKS[name], "default": None} for name in _WEIGHTS},
    "statistics": {**OBJECTIVE_LOOKS["statistics"], "default": ""},
    "checkpoint": {"metavar": "NAME|FILE"},
    "style_image": {"names": ("--style",)},
    "against_iterations": {"help": "Of L-BFGS on each photograph."},
    "max_images": {"help": "Of the folder; default all."},
    "model": {"names": ("--super-resolution",), "metavar": "NAME|FILE"},
    "precision": {"help": "Of the network's numbers."},
}
_METAVARS = {"content": "DIR", "style": "IMAGE", "images": "DIR"}
"""How what is missing is called, by parameter."""

_WORDS = {
    "still": "it trembles no more than its source",
    "steady": "its strokes hardly tremble",
    "unsteady": "its strokes tremble",
    "flickering": "its strokes flicker",
    "strongly flickering": "its strokes are others in every frame",
}
"""What the verdicts mean."""


@app.command()
@from_specifications(
    _LOOKS,
    argument="checkpoint",
    without="objective lattice_weight shading_weight palette_weight normalized_gradients balanced",
)
def generator(
    job: Given[EvaluateGenerator], changes: Given[ObjectiveSettings], json: options.Json = False
) -> None:
    """Compare a generator with L-BFGS on its own objective.

    Example: nst evaluate generator wave --content photos --style wave.jpg
    """
    from jobs.evaluating.generator import evaluate_generator

    asked = job.build(objective=changes.fields)
    with console.shown_progress() as show:
        report = evaluate_generator(asked, show)
    console.report(asdict(report), as_json=json)
    if json:
        return
    for line in report.lines():
        console.say(line)


@app.command()
@from_specifications(_LOOKS, argument="model")
def super_resolution(job: EvaluateSuperResolution, json: options.Json = False) -> None:
    """Compare a super-resolution network with bicubic enlargement.

    Example: nst evaluate super-resolution x4.safetensors --images Set5
    """
    from jobs.evaluating.super_resolution import evaluate_super_resolution

    with console.shown_progress() as show:
        report = evaluate_super_resolution(job, show)
    for failure in report.failures:
        console.note(f"error: {failure['error']}")
    console.report(asdict(report), as_json=json)
    if not json:
        for line in _super_resolution_lines(report):
            console.say(line)
    if report.failures:
        raise typer.Exit(console.SOME_FAILED)


@app.command()
@from_specifications(
    {
        "video": {"kind": tuple[Path, Path], "metavar": "SRC OUT"},
        "plot": {"metavar": "FILE"},
        **{
            name: options.LOOKS[name] | {"rich_help_panel": None}
            for name in ("start", "end", "duration")
        },
    },
    argument="video",
)
def flicker(job: EvaluateFlicker, json: options.Json = False) -> None:
    """Measure how a stylized video flickers, beside its source.

    Example: nst evaluate flicker film.mp4 film-wave.mp4 --plot flicker.png
    """
    from jobs.evaluating.video import evaluate_video

    with console.shown_progress() as show:
        report = evaluate_video(job, show)
    if report.source_frames != report.output_frames:
        console.note(f"warning: {_difference(report)}")
    console.report(asdict(report), as_json=json)
    if json:
        return
    for line in _video_lines(report):
        console.say(line)
    if report.verdict not in ("still", "steady"):
        console.hint("note: nst stylize video --coherence 0.7 steadies films")


@from_specifications({})
def _video(
    video: Annotated[
        tuple[Path, Path],
        typer.Argument(
            help="A source and the video made of it: its warping error.", metavar="SRC OUT"
        ),
    ],
    json: options.Json = False,
) -> None:
    flicker(video=video, json=json)


_MODES: dict[str, Command] = {
    "checkpoint": generator,
    "video": _video,
    "super_resolution": super_resolution,
}
"""The option that chose what is measured, and the command that has its place."""


def _old_form(context: typer.Context, **values: Any) -> None:
    given = [name for name in context.params if _is_given(context, name)]
    if context.invoked_subcommand is not None:
        if given:
            raise InputError(
                f"{_option(given[0])}: options stand behind {context.invoked_subcommand}"
            )
        return
    chosen = [name for name in given if name in _MODES]
    if len(chosen) != 1:
        came = " and ".join(map(_option, chosen)) or "nothing to measure"
        raise InputError(
            f"{came}: exactly one of --checkpoint FILE, --video SRC OUT and "
            "--super-resolution FILE is needed; see `nst evaluate --help`"
        )
    mode, command = _option(chosen[0]), _MODES[chosen[0]]
    own = inspect.signature(command).parameters
    if foreign := [name for name in given if name not in own]:
        may = ", ".join(_option(name) for name in own if name not in (chosen[0], "json"))
        raise InputError(
            f"{_option(foreign[0])} with {mode}: {may or 'no option but --json'} may go with it"
        )
    for name, parameter in own.items():
        if parameter.default is inspect.Parameter.empty and values[name] is None:
            option = _option(name)
            raise InputError(f"{mode} without {option}: add {option} {_METAVARS[name]}")
    command(**{name: values[name] for name in own})


def _with_all_options(function: Command) -> Command:
    """Give it the options of all modes, out of sight; their arguments are options here."""
    context = next(iter(inspect.signature(function).parameters.values()))
    options = {
        name: _optional(each)
        for command in _MODES.values()
        for name, each in inspect.signature(command).parameters.items()
    }
    parameters = [context, *options.values()]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {each.name: each.annotation for each in parameters}
    return function


def _optional(parameter: inspect.Parameter) -> inspect.Parameter:
    kind, about = get_args(parameter.annotation)[:2]
    names = (each for each in (about.default, *(about.param_decls or ())) if isinstance(each, str))
    look = {name: getattr(about, name) for name in ("help", "metavar", "envvar")}
    default = None if parameter.default is inspect.Parameter.empty else parameter.default
    return parameter.replace(
        default=default,
        annotation=Annotated[
            kind | None if default is None else kind, typer.Option(*names, hidden=True, **look)
        ],
    )


app.callback()(_with_all_options(_old_form))


def _is_given(context: typer.Context, parameter: str) -> bool:
    """Whether it stands on the command line; what comes from the environment is for all modes."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def _option(parameter: str) -> str:
    return "--" + parameter.replace("_", "-")


def _difference(report: VideoEvaluation) -> str:
    counts = (
        f"{report.source} has {counted(report.source_frames, 'frames')}, {report.output} has "
        f"{report.output_frames}; the "
    )
    if report.are_by_time:
        return f"{counts}{report.frames} shown at the same times are compared"
    hint = "; where it is a part of it, --start says which"
    return f"{counts}first {report.frames} are compared{'' if report.span else hint}"


def _video_lines(report: VideoEvaluation) -> list[str]:
    ratio = "" if report.ratio is None else f", {report.ratio:.2f} times the source's"
    worst = ", ".join(f"{place.timecode} ({place.levels:.1f})" for place in report.worst)
    return [
        f"warping error of the output   {report.warping_error:.3e}{ratio}",
        f"warping error of the source   {report.source_warping_error:.3e}",
        f"compared   {counted(report.pairs, 'pairs')} of consecutive frames, "
        f"{report.width}x{report.height}, {report.visible_fraction:.1%} of their pixels; "
        f"cuts left out: {report.cuts}",
        *([f"worst at   {worst}"] if worst else []),
        f"verdict   {report.verdict}: {_WORDS[report.verdict]} "
        f"({report.levels:.1f} levels of 255 beyond the source)",
    ]


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
