"""What decides a picture beside its source: as a hash that records carry, and by users' names."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from jobs.applying.workers import stroke_choice
from jobs.specs.applying import StylizeImages
from nst_core import __version__
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.pictures.task import PICTURES_VERSION

_VERSION = [__version__, PICTURES_VERSION]


def identity_of(job: StylizeImages, style: Style, spec: StyleSpec) -> str:
    """Everything beside the source that decides an output, refinement apart, as a hash."""
    how = _how(style, spec)
    if not style.strokes:
        del how["stroke"]  # as before there were any
    if spec.noise is None:
        del how["noise"]
    settings = {
        "style": [style.fingerprint, how],
        "quality": job.quality,
        "max_side": job.max_side,
        "tile": job.tile,
        "seed": job.seed if style.draws_noise else None,
        "version": _VERSION,
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def made_with(job: StylizeImages, style: Style, spec: StyleSpec, refinement: str) -> dict[str, Any]:
    """The same by the options that a user knows; ``refinement`` is the identity of that."""
    how = _how(style, spec)
    name = "--model" if how.pop("command") == "upscale" else "--style"
    options = {
        **how,
        "quality": job.quality,
        "max_side": job.max_side,
        "tile": job.tile,
        "seed": job.seed if style.draws_noise else None,
    }
    return {
        name: style.fingerprint,
        **{f"--{option.replace('_', '-')}": value for option, value in options.items()},
        "--refine or --refine-style": refinement,
        "version of the program": _VERSION,
    }


def _how(style: Style, spec: StyleSpec) -> dict[str, Any]:
    how = asdict(spec)
    del how["style"]  # its file may be moved
    how["stroke"] = stroke_choice(style, spec).factor
    return how
