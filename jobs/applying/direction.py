"""The direction of a film job: its style, mask and timeline, with every style found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from jobs.applying.workers import rest_of
from jobs.specs.applying import StylizeVideo
from nst_core.checkpoints.library import IDENTITY, Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError
from pipeline.looks.direction import Direction, Scene
from pipeline.looks.timeline import read_timeline
from pipeline.storage.remote_file import path_of

_NO_MASK = "none"


def direction_of(job: StylizeVideo, find: Callable[[StyleSpec], Style]) -> Direction:
    """Return in which styles a job's films are to be; each is found.

    Raises InputError for a timeline that cannot be followed, and what ``find`` does.
    """
    spec = job.style
    if job.timeline and spec.style == IDENTITY:
        spec = rest_of(spec, None)  # strokes and the like are for the entries
    scene = _scene(spec, path_of(job.mask) if job.mask else None, job.mask_style)
    styles = {spec: find(spec) for spec in scene.specs}
    if job.timeline is None:
        return Direction(scene, styles)
    folder = job.timeline.parent

    def scene_of(options: dict[str, str]) -> Scene:
        changes = {
            name: _number(name, options[name]) for name in ("strength", "stroke") if name in options
        }
        entry = replace(job.style, **changes)  # type: ignore[arg-type]
        if "strength" in changes:
            entry = replace(entry, strengths=())
        mask = scene.mask
        if "mask" in options:
            beside = folder / options["mask"]
            mask = beside if beside.exists() else path_of(options["mask"])
            mask = None if options["mask"] == _NO_MASK else mask
        style = _style(options.get("style", job.style.style), folder)
        rest = options.get("mask-style")
        scene_made = _scene(
            rest_of(entry, style), mask, _style(rest, folder) if rest else job.mask_style
        )
        styles.update({spec: find(spec) for spec in scene_made.specs if spec not in styles})
        return scene_made

    return Direction(scene, styles, read_timeline(job.timeline, scene, scene_of))


def _scene(spec: StyleSpec, mask: Path | None, mask_style: str | None) -> Scene:
    return Scene(spec, mask, rest_of(spec, mask_style) if mask else None)


def _style(text: str, folder: Path) -> str:
    """Return what an entry calls a style; a file is looked for beside the timeline first."""
    name, colon, parts = text.partition(":")
    path = folder / name
    return f"{path}{colon}{parts}" if path.is_file() else text


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{name}={text}: a number is needed") from None
