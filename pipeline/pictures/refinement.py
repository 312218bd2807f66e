"""`nst stylize images --refine`: what each style's pictures are refined with, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError
from nst_core.objectives.settings import LossNetworkName
from pipeline.pictures.settings import PictureSettings
from pipeline.work.progress import OnProgress

if TYPE_CHECKING:
    from nst_core.objectives.refinement import Refinement


def refinements_of(
    settings: PictureSettings,
    styles: Mapping[str, tuple[Style, StyleSpec]],
    on_progress: OnProgress,
) -> dict[str, Refinement]:
    """Return the refinement of each style by its name, in the order of the settings'; none without.

    Raises InputError, before any work, for a painting that cannot be read, weights that are not
    those of the training, and a style that has no objective.
    """
    if not settings.refine:
        return {}
    from nst_core.objectives.loss_network import load_loss_network_weights  # torch
    from nst_core.objectives.refinement import Refinement
    from nst_core.objectives.trained_objective import loss_network_of, trained_layers
    from nst_core.pictures.reading import read_painting
    from pipeline.work.downloads import shown_in

    paintings = {}
    for path in settings.refine_styles:
        if not path.exists():
            raise InputError(f"--refine-style {path}: no such file")
        paintings[path] = read_painting(path)
    layers: dict[LossNetworkName, set[str]] = {}
    files: dict[LossNetworkName, Path | None] = {}
    for style, spec in styles.values():
        layers.setdefault(loss_network_of(style), set()).update(trained_layers(style))
        files[loss_network_of(style)] = spec.loss_network_weights
    weights = {
        name: load_loss_network_weights(
            name, files[name], layers=each, on_download=shown_in(on_progress)
        )
        for name, each in layers.items()
    }
    refinements = {}
    for (name, (style, _)), path in zip(styles.items(), settings.refine_styles, strict=True):
        refinement = Refinement(settings.refine, paintings[path], weights[loss_network_of(style)])
        try:
            refinement.check(style)
        except InputError as error:
            raise InputError(f"--refine {settings.refine}: {error}") from error
        refinements[name] = refinement
    return refinements
