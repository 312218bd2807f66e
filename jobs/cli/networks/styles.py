"""`nst styles list`, `show`, `fit`, `remove`, `import`, `calibrate`, `export` and `push`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from jobs.cli import console, options
from jobs.cli.networks.push import push
from jobs.cli.training.fit import fit
from jobs.specs.applying import check_checkpoint_name
from nst_core.wording import columns, counted, quoted

if TYPE_CHECKING:
    from nst_core.checkpoints.info import CheckpointInfo
    from nst_core.checkpoints.library import Style

app = typer.Typer(no_args_is_help=True, help="The styles at hand.")


@app.command(name="list")
def list_styles(json: options.Json = False) -> None:
    """List the styles at hand, those fitted here too, textures, super-resolution networks.

    Example: nst styles list
    """
    from nst_core.checkpoints.fitted import fitted_styles
    from nst_core.checkpoints.library import (
        IDENTITY,
        bundled,
        bundled_packs,
        bundled_styles,
        find_style,
    )

    styles = [find_style(name) for name in bundled_styles()]
    own = fitted_styles()
    if json:
        console.print_json(
            {
                "styles": [style.name for style in styles] + [IDENTITY],
                "packs": {name: list(names) for name, names in bundled_packs().items()},
                "strokes": {style.name: style.strokes for style in styles if style.strokes},
                "fitted": [
                    {"name": each.name, "painting": each.painting, "path": str(each.path)}
                    for each in own
                ],
                "textures": bundled("synthesize"),
                "super_resolution": bundled("upscale"),
            }
        )
        return
    lines: dict[str, str] = {}
    for style in styles:
        assert style.info is not None
        assert style.path is not None
        width = style.info.arguments.get("width")
        rest = (
            f"mixes with others as {style.path.stem}:{style.name}=0.7,..."
            if style.mixture
            else f"{style.path.stat().st_size // 1000} kB, "
            f"learnt from {style.info.training.get('style_image', '')}"
        )
        strokes = f"strokes of {_listed(style.strokes)}, " if style.strokes else ""
        lines[style.name] = f"{style.info.architecture} of width {width}, {strokes}{rest}"
    for each in own:
        name = each.name if each.is_named else each.painting
        how = "" if each.is_named else ", for --style with that picture"
        lines[name] = f"fitted to {each.painting} in {counted(each.steps, 'steps')}{how}"
    lines[IDENTITY] = "passes frames through, for checking a pipeline"
    for name in bundled("synthesize"):
        lines[name] = "a texture, for `nst synthesize`"
    for name in bundled("upscale"):
        lines[name] = f"enlarges {find_style(name).scale} times, for `nst upscale`"
    for line in columns(lines.items()):
        console.say(line)


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            help="What ships with the program, or a checkpoint file.",
            autocompletion=options.complete("stylize", "upscale", "synthesize"),
        ),
    ],
    json: options.Json = False,
) -> None:
    """Show what a style is; with -v or --json also how it was trained.

    Example: nst styles show wave
    """
    from nst_core.checkpoints.library import find_checkpoint

    style = find_checkpoint(name)
    fields: dict[str, Any] = {"name": style.name, "path": str(style.path) if style.path else None}
    if style.mixture:
        fields["mixture"] = dict(style.mixture)
    if style.info:
        fields |= asdict(style.info) | {"training": style.training}
    if json:
        console.print_json(fields)
        return
    for line in _lines(_most_important(style, fields)):
        console.say(line)
    if style.info and not console.is_verbose():
        console.hint("how it was trained: -v, or --json")


app.command()(fit)
app.command()(push)


@app.command()
def remove(
    name: Annotated[
        str, typer.Argument(metavar="NAME|PICTURE", help="A style that was fitted here.")
    ],
    json: options.Json = False,
) -> None:
    """Remove a style that was fitted on this machine.

    Example: nst styles remove mine
    """
    from nst_core.checkpoints.fitted import remove_fitted

    path = remove_fitted(name)
    if json:
        console.print_json({"removed": str(path)})
        return
    console.say(f"removed {path}")


@app.command(name="import")
def import_style(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A state dict (.pth, .safetensors), an .npz, or TensorFlow's .ckpt.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The style to write.")
    ],
    format: Annotated[
        Literal["auto", "pytorch-examples", "fast-style-transfer"],
        typer.Option(help="Whose checkpoint it is; auto tells by the names in it."),
    ] = "auto",
    content: Annotated[
        list[str] | None,
        typer.Option(help="Photographs: the style is then calibrated for 8 bits too."),
    ] = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Make a style of another program's checkpoint; nothing in it is run.

    Example: nst styles import candy.pth -o candy.safetensors
    """
    check_checkpoint_name(output)
    _check_output(output, file, overwrite)
    from jobs.training.calibration import eight_bit_of, find_photos
    from nst_core.checkpoints.checkpoint import save_generator
    from nst_core.checkpoints.foreign import import_checkpoint

    photos = find_photos(content) if content else []
    generator, info = import_checkpoint(file, format=format)
    if content:
        with console.shown_progress() as show:
            found = eight_bit_of(file, generator.state_dict(), info, ("",), photos, show)
        info = replace(info, eight_bit=found)
    save_generator(output, generator, info)
    if json:
        console.print_json({"output": str(output), **asdict(info)})
        return
    width = info.arguments["width"]
    console.say(
        f"{output}: {info.architecture} of width {width} from {file.name}; "
        f"apply it with --style {quoted(output)}"
    )


@app.command()
def calibrate(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="A bundled style or a checkpoint file; of several styles all are calibrated.",
            autocompletion=options.complete("stylize"),
        ),
    ],
    content: Annotated[
        list[str],
        typer.Option(help="Photographs: files, folders, globs, lists (.txt), URIs; 60 are used."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The checkpoint to write.")
    ],
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Find out how a style is computed in 8 bits, and how close that comes.

    `nst train style` does so by itself; styles that are imported or older gain by it.

    Example: nst styles calibrate candy.safetensors --content photos -o candy8.safetensors
    """
    check_checkpoint_name(output)
    path = _network_of(checkpoint)
    _check_output(output, path, overwrite)
    from jobs.training.calibration import calibrate_checkpoint, find_photos

    with console.shown_progress() as show:
        info = calibrate_checkpoint(path, find_photos(content), output, show)
    if json:
        console.print_json({"output": str(output), **asdict(info)})
        return
    for line in _lines({str(output): _closeness(info)}):
        console.say(line)


@app.command()
def export(
    name: Annotated[
        str,
        typer.Argument(
            help="A bundled style or a checkpoint file.", autocompletion=options.complete("stylize")
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The .onnx file to write.")
    ],
    stroke: Annotated[
        float | None,
        typer.Option(
            help="Size of the strokes, of a style with several; 1 is right for 512 pixels.",
            metavar="0.5..2",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Write a style as ONNX, for other programs; batch, height and width stay free.

    Example: nst styles export wave -o wave.onnx
    """
    from nst_core.checkpoints.library import find_style
    from nst_core.errors import InputError

    path, style = _network_of(name), find_style(name)
    _check_output(output, path, overwrite)
    if output.suffix.lower() != ".onnx":
        name = quoted(output.with_suffix(".onnx"))
        raise InputError(f"-o {output}: ONNX is written; name it {name}")
    style = style.with_stroke(1.0 if stroke is None else stroke)
    if stroke is not None and style.stroke != stroke:
        raise InputError(
            f"--stroke {stroke:g}: {style.name} has strokes of {style.strokes[0]:g} to "
            f"{style.strokes[-1]:g}"
        )
    from nst_core.checkpoints.onnx_export import INPUT_NAME, export_onnx

    assert style.info is not None
    report = export_onnx(style.load(), style.info, output)
    if json:
        console.print_json(asdict(report) | {"path": str(report.path), "input_name": INPUT_NAME})
        return
    checked = (
        "not checked: onnxruntime is not installed"
        if report.largest_error is None
        else f"checked by onnxruntime to {report.largest_error:.1g}"
    )
    console.say(
        f"{output}: {INPUT_NAME} -> {report.output_name}, RGB in [0, 1], "
        f"batch x 3 x height x width, sides of {report.min_side} or more; {checked}"
    )


def _most_important(style: Style, fields: dict[str, Any]) -> dict[str, Any]:
    """What is told of a style, in this order; its training and arguments with -v only."""
    info, training = style.info, fields.get("training", {})
    shown: dict[str, Any] = {"name": style.name}
    if info is None:
        shown["network"] = "none: it passes frames through, for checking a pipeline"
    else:
        width = info.arguments.get("width")
        shown["network"] = f"{info.architecture}, width {width}" if width else info.architecture
        if info.styles and not style.mixture:
            shown["styles"] = ", ".join(info.styles)
        if learnt_from := _pictures_of(style, str(training.get("style_image", ""))):
            shown["learnt from"] = learnt_from
        shown["strokes"] = _listed(style.strokes or (1.0,))
        close = _closeness(info)
        of_mixture = {name for name, _ in style.mixture} or {*close}
        shown["eight_bit"] = {name: line for name, line in close.items() if name in of_mixture}
    if len(style.mixture) > 1:
        shown["mixture"] = fields["mixture"]
    shown["path"] = fields["path"]
    if console.is_verbose():
        told = {*shown, "eight_bit", "strokes", "styles"}
        shown |= {name: value for name, value in fields.items() if name not in told}
    return shown


def _pictures_of(style: Style, pictures: str) -> str:
    """Return those pictures of a network of several styles that this one was learnt from."""
    each = pictures.split(", ")
    names = style.info.styles if style.info else ()
    chosen = {name for name, _ in style.mixture}
    if not chosen or len(each) != len(names):
        return pictures
    return ", ".join(p for name, p in zip(names, each, strict=True) if name in chosen)


def _network_of(name: str) -> Path:
    """Find the file of a style or a pack. Raises what find_checkpoint raises, and for identity."""
    from nst_core.checkpoints.library import find_checkpoint
    from nst_core.errors import InputError

    path = find_checkpoint(name).path
    if path is None:
        raise InputError(f"{name} passes frames through and has no network; name another style")
    return path


def _check_output(output: Path, source: Path, overwrite: bool) -> None:
    from nst_core.errors import InputError

    if output.is_dir():
        raise InputError(f"{output} is a folder; name a file")
    if output.exists() and source.exists() and output.samefile(source):
        raise InputError(f"{output}: the output would replace its input; name another file")
    if output.exists() and not overwrite:
        raise InputError(f"{output} exists; --overwrite replaces it")


def _listed(sizes: tuple[float, ...]) -> str:
    return ", ".join(f"{size:.3g}" for size in sizes)


def _closeness(info: CheckpointInfo) -> dict[str, str]:
    """What calibrating each style for 8 bits has come to, without the ranges."""
    return {
        name or "the style": f"{found.mean_decibels} dB of float32, the worst photograph "
        f"{found.least_decibels} dB; {'used' if found.is_close else 'not used'} by itself"
        for name, found in info.eight_bit.items()
    }


def _lines(fields: dict[str, Any], indent: str = "") -> list[str]:
    """Say each field in a line, those of a field below it; nothing of those that are empty."""
    lines = []
    for key, value in fields.items():
        name = f"{indent}{key}" if indent else key.replace("_", " ")
        if isinstance(value, dict):
            lines += [f"{name}:", *_lines(value, indent + "  ")] if value else []
        elif value not in (None, (), [], ""):
            lines.append(f"{name}: {_in_words(value)}")
    return lines


def _in_words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
