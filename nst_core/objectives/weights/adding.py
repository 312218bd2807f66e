"""Weights of the loss network from a file that somebody brings."""

from __future__ import annotations

from pathlib import Path

from nst_core.errors import LossNetworkError
from nst_core.objectives.layers import KEPT_LAYER, convolution_keys
from nst_core.objectives.loss_network import check_weights
from nst_core.objectives.settings import LossNetworkName
from nst_core.objectives.weights.fetching import one_at_a_time
from nst_core.objectives.weights.kept import deepest_layer, keep, kept_path
from nst_core.objectives.weights.reading import read_weights


def add_weights(
    path: Path, name: LossNetworkName | None = None, *, all_layers: bool, overwrite: bool
) -> Path:
    """Keep what is needed of a file, or all its layers, in float16; returns where.

    Whose weights they are is looked for in it where ``name`` is None. Raises LossNetworkError for
    a file that is not a VGG's, that ends too early, or that would replace what is kept already;
    OSError where it cannot be written.
    """
    weights = read_weights(path, name)
    check_weights(weights, path)
    needed = KEPT_LAYER[weights.name]
    if not convolution_keys(weights.name, [needed]) <= weights.tensors.keys():
        deepest = deepest_layer(weights.name, weights.tensors) or "no layer"
        raise LossNetworkError(
            f"{path}: it has {deepest} at most, and {needed} of {weights.name} is needed; name a "
            "file with more layers"
        )
    with one_at_a_time():
        there = [kept_path(weights.name, all_layers=each) for each in (False, True)]
        there = [each for each in there if each.exists()]
        if there and not overwrite:
            raise LossNetworkError(f"{there[0]} exists; --overwrite replaces it")
        kept = keep(weights, all_layers=all_layers)
        for other in there:
            if other != kept:  # of other weights, which would be preferred or mixed with these
                other.unlink(missing_ok=True)
    return kept
