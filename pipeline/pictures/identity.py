"""What decides a picture beside its source: as a hash that records carry, and by users' names."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from nst_core import __version__
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.pictures.settings import PictureSettings
from pipeline.pictures.task import PICTURES_VERSION

_VERSION = [__version__, PICTURES_VERSION]


Found = tuple[Style, StyleSpec]
"""A style, and how it is applied."""


def identity_of(
    settings: PictureSettings, style: Style, spec: StyleSpec, rest: Found | None = None
) -> str:
    """Everything beside the source that decides an output, refinement apart, as a hash.

    ``rest`` is the style of what masks leave out. They count as a part of the source.
    """
    how = spec.options_for(style)
    if not style.strokes:
        del how["stroke"]  # as before there were any
    if spec.noise is None:
        del how["noise"]
    everything = {
        "style": [style.fingerprint, how],
        **_options(settings, style),
        "version": _VERSION,
        **({"mask_style": _identity_of_rest(*rest)} if rest else {}),
    }
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:16]


def made_with(
    settings: PictureSettings,
    style: Style,
    spec: StyleSpec,
    refinement: str,
    rest: Found | None = None,
) -> dict[str, Any]:
    """The same by the options that a user knows; ``refinement`` is the identity of that."""
    how = spec.options_for(style)
    name = "--model" if how.pop("command") == "upscale" else "--style"
    masked = {"mask": rest is not None or None, "mask_style": rest and _identity_of_rest(*rest)}
    options = {**how, **_options(settings, style), **masked}
    return {
        name: style.fingerprint,
        **{f"--{option.replace('_', '-')}": value for option, value in options.items()},
        "--refine or --refine-style": refinement,
        "version of the program": _VERSION,
    }


def _identity_of_rest(style: Style, spec: StyleSpec) -> list[object]:
    return [style.fingerprint, spec.options_for(style)]


def _options(settings: PictureSettings, style: Style) -> dict[str, Any]:
    return {
        "quality": settings.quality,
        "max_side": settings.max_side,
        "tile": settings.tile,
        "seed": settings.seed if style.draws_noise else None,
    }
