"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.specs.applying import PoolSpec
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.engines.names import DeviceChoice, EngineChoice, PrecisionChoice
from nst_core.errors import InputError
from nst_core.wording import quoted
from pipeline.films.settings import EncoderKind


def complete_style(incomplete: str) -> list[str]:
    """Return the names for --style that begin so, for the shell."""
    from nst_core.checkpoints.library import IDENTITY, bundled_styles

    return [name for name in (*bundled_styles(), IDENTITY) if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Return the super-resolution networks that ship with the program and begin so."""
    from nst_core.checkpoints.library import bundled

    return [name for name in bundled("upscale") if name.startswith(incomplete)]


def complete_texture(incomplete: str) -> list[str]:
    """Return the textures that ship with the program and begin so."""
    from nst_core.checkpoints.library import bundled

    return [name for name in bundled("synthesize") if name.startswith(incomplete)]


def complete_checkpoint(incomplete: str) -> list[str]:
    """Return all that ships with the program and begins so."""
    found = (complete_style, complete_model, complete_texture)
    return [name for complete in found for name in complete(incomplete)]


def check_folder_name(output: Path) -> None:
    """Raise InputError for a name that ends as a file's and is no folder's."""
    if output.suffix.lower() in _OF_FILES and not output.is_dir():
        raise InputError(
            f"-o {output}: a file's name, and a folder is needed, such as {quoted(output.stem)}"
        )


_OF_FILES = (
    *(".mp4", ".mov", ".mkv", ".png", ".jpg", ".jpeg", ".gif", ".webp"),
    *(".yaml", ".yml", ".json", ".zip", ".tar", ".safetensors", ".txt"),
)
_STYLE = "Style"
_VIDEOS = "Videos"
_POOL = "Where it runs"

Style = Annotated[
    str,
    typer.Option(
        help="A bundled style (see `nst styles list`), a checkpoint, or identity.",
        metavar="NAME|FILE",
        autocompletion=complete_style,
        rich_help_panel=_STYLE,
    ),
]
Styles = Annotated[
    list[str],
    typer.Option(
        "--style",
        help="A bundled style (see `nst styles list`), a checkpoint, or identity; several may be "
        "given, and the outputs' names say which.",
        metavar="NAME|FILE",
        autocompletion=complete_style,
        rich_help_panel=_STYLE,
    ),
]
Strength = Annotated[
    float,
    typer.Option(
        help="1 is the full style, 0 the source; between, a blend.", rich_help_panel=_STYLE
    ),
]
Stroke = Annotated[
    float | None,
    typer.Option(
        help="Strokes wider (2) or finer (0.5) than in proportion to the picture; for styles that "
        "were trained with several sizes.",
        metavar="0.5..2",
        rich_help_panel=_STYLE,
    ),
]
Noise = Annotated[
    float | None,
    typer.Option(
        help="Multiply the noise of a texture network: 0 gives what depends on the picture alone, "
        "1 is as in training, more varies it more.",
        metavar="K",
        rich_help_panel=_STYLE,
    ),
]
KeepColors = Annotated[
    bool,
    typer.Option(
        "--keep-colors",
        "--keep-colours",
        help="Keep the colours of the source.",
        rich_help_panel=_STYLE,
    ),
]
Engine = Annotated[
    EngineChoice, typer.Option(help="What computes the network.", rich_help_panel=_POOL)
]
Device = Annotated[DeviceChoice, typer.Option(help="Where it computes.", rich_help_panel=_POOL)]
Precision = Annotated[
    PrecisionChoice, typer.Option(help="Of the network's numbers.", rich_help_panel=_POOL)
]
Address = Annotated[
    str,
    typer.Option(
        envvar="NST_ADDRESS",
        help="`local`, or the address of a running Ray cluster.",
        rich_help_panel=_POOL,
    ),
]
ClusterAddress = Annotated[
    str,
    typer.Option(
        "--address",
        envvar="NST_ADDRESS",
        help="`auto`: the cluster that this machine is a node of; or HOST:PORT of its head.",
        metavar="ADDRESS",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Workers; default as many as the resources allow; 0: in this process, without Ray.",
        rich_help_panel=_POOL,
    ),
]
CpusPerWorker = Annotated[
    float | None, typer.Option(help="CPUs for each worker.", rich_help_panel=_POOL)
]
GpusPerWorker = Annotated[
    float | None,
    typer.Option(help="GPUs for each worker; fractions share one.", rich_help_panel=_POOL),
]
Report = Annotated[
    Path | None,
    typer.Option(help="Write the report, as JSON, to this file too.", metavar="FILE"),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
Resume = Annotated[
    bool,
    typer.Option("--resume/--no-resume", help="Use what an earlier, interrupted run has finished."),
]
MaxSide = Annotated[
    int | None,
    typer.Option(help="Shrink so that the longer side has at most N pixels.", metavar="N"),
]
MaxPixels = Annotated[
    int, typer.Option(help="Refuse larger pictures before decoding them.", metavar="N")
]
Encoder = Annotated[
    EncoderKind,
    typer.Option(
        help="`nvenc`: h264, hevc and av1 by the graphics card, where it can.",
        rich_help_panel=_VIDEOS,
    ),
]
Tonemap = Annotated[
    bool,
    typer.Option(
        "--tonemap", help="Bring HDR down to the standard range.", rich_help_panel=_VIDEOS
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]

DEFAULT_STYLE = StyleSpec("identity")
DEFAULT_POOL = PoolSpec()
