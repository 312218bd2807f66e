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


def identity_of(settings: PictureSettings, style: Style, spec: StyleSpec) -> str:
    """Everything beside the source that decides an output, refinement apart, as a hash."""
    how = spec.options_for(style)
    if not style.strokes:
        del how["stroke"]  # as before there were any
    if spec.noise is None:
        del how["noise"]
    everything = {
        "style": [style.fingerprint, how],
        **_options(settings, style),
        "version": _VERSION,
    }
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:16]


def made_with(
    settings: PictureSettings, style: Style, spec: StyleSpec, refinement: str
) -> dict[str, Any]:
    """The same by the options that a user knows; ``refinement`` is the identity of that."""
    how = spec.options_for(style)
    name = "--model" if how.pop("command") == "upscale" else "--style"
    options = {**how, **_options(settings, style)}
    return {
        name: style.fingerprint,
        **{f"--{option.replace('_', '-')}": value for option, value in options.items()},
        "--refine or --refine-style": refinement,
        "version of the program": _VERSION,
    }


def _options(settings: PictureSettings, style: Style) -> dict[str, Any]:
    return {
        "quality": settings.quality,
        "max_side": settings.max_side,
        "tile": settings.tile,
        "seed": settings.seed if style.draws_noise else None,
    }
