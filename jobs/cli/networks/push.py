"""`nst styles push`."""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.cli import console, options
from nst_core.errors import InputError
from nst_core.wording import listed, quoted

if TYPE_CHECKING:
    from nst_core.checkpoints.library import Style

_LICENCE = re.compile(r"[A-Za-z0-9][\w.+-]*")
_SCENE_SECONDS = 2.0
"""Moment of the demo's scene that the picture shows."""
_QUALITY = 90
_MOST_STYLES = 12
"""Styles that the picture shows, of a network with more the first ones."""


def push(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="What ships with the program, was fitted here, or a checkpoint file.",
            autocompletion=options.complete("stylize", "upscale", "synthesize"),
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            metavar="DIR|hf://USER/NAME",
            help="Folder to write, or repository of the Hugging Face Hub.",
        ),
    ],
    licence: Annotated[
        str,
        typer.Option(
            "--licence",
            "--license",
            metavar="SPDX",
            help="Licence that the model card states, such as cc-by-4.0; default: that of a "
            "bundled style, none of others.",
        ),
    ] = "",
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Publish a style, with a model card and a picture, as `--style` takes it from elsewhere.

    Example: nst styles push candy.safetensors --to hf://me/candy --licence cc-by-4.0
    """
    from nst_core.checkpoints import published
    from nst_core.checkpoints.fitted import SUFFIX, find_fitted
    from nst_core.checkpoints.library import find_checkpoint

    style = find_checkpoint(checkpoint)
    if style.path is None:
        raise InputError(f"{checkpoint} passes frames through and has no network; name another one")
    if licence and not _LICENCE.fullmatch(licence):
        raise InputError(f"--licence {licence}: an SPDX identifier is needed, such as cc-by-4.0")
    write = published.destination(to, overwrite=overwrite)
    fitted = find_fitted(checkpoint)
    file = f"{fitted.name if fitted else style.path.stem}{SUFFIX}"
    place = to if to.startswith("hf://") else file
    files = _files(style, file, place, licence.lower())
    write(files)
    use = published.address_of(style, to if place == to else f"{to.rstrip('/')}/{file}")
    console.report(
        {"to": to, "files": list(files), "style": use, "sha256": style.sha256}, as_json=json
    )
    if not json:
        console.say(f"{to}: {listed(list(files))}; its name for --style: {quoted(use)}")


def _files(style: Style, file: str, place: str, licence: str) -> dict[str, bytes]:
    """Return a checkpoint under the name ``file`` with what goes along with it."""
    from nst_core.checkpoints import published

    assert style.path is not None
    picture = _picture(style)
    licence = licence or published.default_licence(style)
    card = published.model_card(style, place, licence, has_picture=bool(picture))
    files = {file: style.path.read_bytes(), published.CARD: card.encode("utf-8", "replace")}
    return files | ({published.PREVIEW: picture} if picture else {})


def _picture(style: Style) -> bytes:
    """Draw what a style, or each of a network's, makes of a scene; as a JPEG.

    Empty for networks that stylize nothing.
    """
    if style.command != "stylize":
        return b""
    import numpy as np
    from PIL import Image

    from jobs.applying.workers import make_stylizer
    from jobs.demo.clip import draw_frame
    from jobs.preview.sheet import Row, draw_sheet
    from nst_core.checkpoints.library import find_style
    from nst_core.checkpoints.style_spec import StyleSpec

    scene = draw_frame(_SCENE_SECONDS)
    pictures = [("source", scene)]
    assert style.info is not None
    several = () if style.mixture else style.info.styles[:_MOST_STYLES]
    for name in several or ("",):
        each = find_style(f"{style.path}:{name}") if name else style
        spec = StyleSpec(name or style.name, engine="torch")
        stylizer = make_stylizer(each, spec, spec.strokes_of(each).of(scene.height, scene.width))
        made = Image.fromarray(stylizer.stylize(np.asarray(scene)))
        pictures.append((name or style.name, made))
    sheet = BytesIO()
    draw_sheet([Row("", pictures)], longest_side=scene.width).save(sheet, "JPEG", quality=_QUALITY)
    return sheet.getvalue()
