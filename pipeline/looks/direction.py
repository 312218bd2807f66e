"""A direction: in which styles the frames of films are to be, and where masks say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.looks.mask import mask_digest, mask_of


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
class Direction:
    """How the frames of a job's films are stylized."""

    scene: Scene
    styles: Mapping[StyleSpec, Style]
    """What is found of all that is asked for."""

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
        scene = self.scene
        options = scene.spec.options_for(self.style) | {"mask": None, "mask_style": None}
        if scene.mask and scene.rest:
            rest = self.styles[scene.rest]
            options["mask"] = mask_digest(mask_of(scene.mask, film))
            options["mask_style"] = [rest.fingerprint, scene.rest.options_for(rest)]
        return options
