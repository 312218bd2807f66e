"""The objective that a style was trained on, built again from what its checkpoint says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from PIL import Image

from nst_core.checkpoints.library import Style
from nst_core.color.pixels import to_tensor
from nst_core.errors import InputError
from nst_core.objectives.layers import layers_of
from nst_core.objectives.perceptual import PerceptualObjective
from nst_core.objectives.settings import LossNetworkName, ObjectiveSettings
from nst_core.objectives.weights.reading import LossNetworkWeights
from nst_core.pictures.reading import resize_shorter_side
from nst_core.strokes import shares


def loss_network_of(style: Style) -> LossNetworkName:
    """Name the loss network that a style was trained with."""
    name: LossNetworkName = style.training.get("loss_network", "vgg19")
    return name


def trained_layers(style: Style, changes: Mapping[str, Any] | None = None) -> set[str]:
    """Return the layers that this objective looks at; none where the style says of none.

    ``changes`` are fields that are to be others. Raises InputError.
    """
    record = style.training.get("objective")
    if not isinstance(record, dict) or "style_size" not in style.training:
        return set()
    return layers_of(loss_network_of(style), changed(_settings(record), changes or {}))


def trained_objective(
    style: Style,
    painting: Image.Image,
    weights: LossNetworkWeights,
    changes: Mapping[str, Any] | None = None,
) -> PerceptualObjective:
    """Build the objective of a style at its stroke; ``painting`` is what it was trained on.

    Of a network of several styles it is that of ``style``, with the style weight that balancing
    came to. ``changes`` are fields that are to be others. Raises InputError: see
    ``trained_settings``.
    """
    settings = changed(trained_settings(style, weights), changes or {})
    size = round(_shorter_side(style.training["style_size"]) * style.stroke)
    return PerceptualObjective(weights, to_tensor(resize_shorter_side(painting, size)), settings)


def trained_settings(style: Style, weights: LossNetworkWeights) -> ObjectiveSettings:
    """Read the settings of that objective.

    Raises InputError for a style that says of none, a mixture of styles, and other weights of the
    loss network than those of the training.
    """
    training = style.training
    if not isinstance(training.get("objective"), dict) or "style_size" not in training:
        raise InputError(
            f"{style.name}: its metadata has no style objective; only styles trained by "
            "`nst train style` say what they were trained to lower"
        )
    if len(style.mixture) > 1:
        raise InputError(f"{style.name}: a mixture has no objective of its own; name one style")
    trained_on = training.get("loss_network_sha256")
    if trained_on and trained_on != weights.fingerprint():
        raise InputError(
            f"{style.name} was trained with other loss-network weights, "
            f"{training.get('loss_network_weights')}; name them with --loss-network-weights"
        )
    return _of_one_style(_settings(training["objective"]), training, style)


def changed(settings: ObjectiveSettings, changes: Mapping[str, Any]) -> ObjectiveSettings:
    """Change fields; another scaling comes without what only this project's has."""
    if changes.get("scaling", settings.scaling) not in (settings.scaling, "relative"):
        kept = ("content_weight", "style_weight", "tv_weight", "pooling")
        settings = ObjectiveSettings(**{name: getattr(settings, name) for name in kept})
    return replace(settings, **changes)


def _settings(record: dict[str, Any]) -> ObjectiveSettings:
    fields = dict(record)
    if "content_layer" in fields:  # of checkpoints before there could be several
        layer = fields.pop("content_layer")
        fields["content_layers"] = [layer] if layer else None
    for field in ("style_layers", "content_layers", "scales", "statistics"):
        if fields.get(field):
            fields[field] = tuple(fields[field])
    return ObjectiveSettings(**fields)


def _of_one_style(
    settings: ObjectiveSettings, training: dict[str, Any], style: Style
) -> ObjectiveSettings:
    """Take the style's own statistic, and its weight: that of its stroke, between two of both."""
    names: list[str] = training.get("styles", [])
    name = style.mixture[0][0] if style.mixture else ""
    strokes: tuple[float, ...] = tuple(training.get("strokes") or ())
    first = (names.index(name) if name in names else 0) * max(1, len(strokes))
    factors: list[float] = training.get("style_factors", [])
    parts = shares(strokes, style.stroke)
    rows = range(first, first + len(parts))
    # Factors are found by ratios: between two of them the geometric mean.
    logs = [math.log(factors[row]) if row < len(factors) else 0.0 for row in rows]
    factor = math.exp(sum(part * log for part, log in zip(parts, logs, strict=True)))
    return replace(
        settings,
        style_weight=settings.style_weight * factor,
        statistics=(settings.statistic_of(first),),
    )


def _shorter_side(style_size: int | list[int]) -> int:
    """The first checkpoints kept width and height."""
    return style_size if isinstance(style_size, int) else min(style_size)
