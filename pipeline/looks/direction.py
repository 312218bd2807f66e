"""A direction: in which styles the frames of films are to be, and where masks say so."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.looks.mask import mask_digest, mask_of

_ROUNDED = 0.0005
"""Seconds by which a frame may miss a time and yet be the one that is meant: see trimming.py."""


@dataclass(frozen=True)
class Scene:
    """How frames are stylized: in one style, or in two where a mask tells them apart."""

    spec: StyleSpec
    mask: Path | None = None
    """A picture or film, white where the style is seen; or a folder that has one of the film's
    name."""
    rest: StyleSpec | None = None
    """The style where the mask is black; there is one if there is a mask."""

    @property
    def specs(self) -> tuple[StyleSpec, ...]:
        """Its style, or both."""
        return (self.spec, self.rest) if self.rest else (self.spec,)


@dataclass(frozen=True)
class Moment:
    """Where a scene begins, in seconds from where the film does."""

    start: Fraction
    fade: Fraction
    """Seconds for which it is blended with the scene before, half of them before its start."""
    scene: Scene
    line: int
    """Number of the timeline's line that says so, for errors."""


@dataclass(frozen=True)
class Direction:
    """How the frames of a job's films are stylized."""

    scene: Scene
    """All of them, or those that a timeline leaves out."""
    styles: Mapping[StyleSpec, Style]
    """What is found of all that is asked for."""
    timeline: tuple[Moment, ...] = ()
    """In the order of their starts, the first at 0; empty: there is none."""

    @property
    def style(self) -> Style:
        """The style of the scene."""
        return self.styles[self.scene.spec]

    @property
    def is_full(self) -> bool:
        """Whether frames are all a network's own, neither mixed with the source nor enlarged."""
        return all(
            style.path is not None and style.scale == spec.strength_of(style) == 1
            for spec, style in self.styles.items()
        )

    def options(self, film: Path) -> dict[str, Any]:
        """Return what decides the pixels of a film, by the names of fields. Raises InputError."""
        timeline = [
            [
                *(str(each.start), str(each.fade), self._style_of(each.scene.spec)),
                *self._mask_options(each.scene, film).values(),
            ]
            for each in self.timeline
        ]
        options = self.scene.spec.options_for(self.style) | self._mask_options(self.scene, film)
        return {**options, "timeline": timeline or None}

    def scenes_at(self, seconds: float) -> tuple[tuple[Scene, float], ...]:
        """Return the scenes of a frame by the time when it is shown, one or two, with amounts.

        These sum to 1.
        """
        if not self.timeline:
            return ((self.scene, 1.0),)
        place = bisect_right(self.timeline, seconds + _ROUNDED, key=lambda each: float(each.start))
        now = self.timeline[max(0, place - 1)]
        for border in (now, *self.timeline[place : place + 1]):
            if abs(seconds - float(border.start)) < float(border.fade) / 2:
                amount = round((seconds - float(border.start)) / float(border.fade) + 0.5, 6)
                before = self.timeline[self.timeline.index(border) - 1]
                return (before.scene, 1 - amount), (border.scene, amount)
        return ((now.scene, 1.0),)

    def _mask_options(self, scene: Scene, film: Path) -> dict[str, Any]:
        if not (scene.mask and scene.rest):
            return {"mask": None, "mask_style": None}
        digest = mask_digest(mask_of(scene.mask, film))
        return {"mask": digest, "mask_style": self._style_of(scene.rest)}

    def _style_of(self, spec: StyleSpec) -> list[object]:
        style = self.styles[spec]
        return [style.fingerprint, spec.options_for(style)]
