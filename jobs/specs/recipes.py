"""The papers' recipes: values of options that go together, each of which can be given otherwise.

What is the paper's own, what its authors' code has and what nobody has written down is said in
docs/training.md. Names of values are those of the commands' parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from nst_core.objectives.settings import GATYS_CONTENT_LAYER, GATYS_STYLE_LAYERS

StyleRecipe = Literal["johnson2016", "texture2016", "instance2017"]
TextureRecipe = Literal["texture2016"]
SuperResolutionRecipe = Literal["johnson2016"]
OptimizeRecipe = Literal["gatys"]

_AS_THEY_END = {"schedule": "constant", "warmup_steps": 0, "average": 0.0}
"""The same rate from the first step to the last, whose weights are kept."""

_JOHNSON = {
    **_AS_THEY_END,
    "norm": "batch",
    "loss_network": "vgg16",
    "batch_size": 4,
    "learning_rate": 1e-3,
}

_TEXTURE_NETWORKS = {
    "norm": "batch",
    "loss_network": "vgg19",
    "style_layers": [*GATYS_STYLE_LAYERS],
    "scaling": "plain",
    "normalize_gradients": True,
    "steps": 2000,
    "batch_size": 16,
    "image_size": 256,
    "learning_rate": 0.1,
    "warmup_steps": 0,
    "schedule": "step",
    "decay": 0.7,
    "decay_every": 200,
    "decay_from": 1000,
    "average": 0.0,
    "tv_weight": 0.0,
}

RECIPES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "style": {
        "johnson2016": {
            **_JOHNSON,
            "architecture": "johnson-paper",
            "width": 32,
            "start": "none",
            "style_layers": ["relu1_2", "relu2_2", "relu3_3", "relu4_3"],
            "content_layers": ["relu3_3"],
            "scaling": "authors",
            "content_weight": 1.0,
            "style_weight": 5.0,
            "tv_weight": 1e-6,
            "steps": 40_000,
            "image_size": 256,
            "style_size": 256,
        },
        "texture2016": {
            **_TEXTURE_NETWORKS,
            "architecture": "texture",
            "start": "none",
            "content_layers": [GATYS_CONTENT_LAYER],
            "content_weight": 1.0,
            "style_weight": 1.0,
            "style_size": 256,
        },
        "instance2017": {
            "architecture": "johnson-paper",
            "norm": "instance",
            "width": 32,
            "start": "none",
            "loss_network": "vgg19",
            "style_layers": ["relu1_1", "relu2_1", "relu3_1", "relu4_1"],
            "content_layers": [GATYS_CONTENT_LAYER],
            "scaling": "authors",
            "content_weight": 1.0,
            "style_weight": 1.0,
            "tv_weight": 0.0,
            "steps": 50_000,
            "batch_size": 1,
            "image_size": 256,
            "style_size": 256,
            "learning_rate": 1e-3,
            "warmup_steps": 0,
            "schedule": "step",
            "decay": 0.8,
            "decay_every": 2000,
            "average": 0.0,
        },
    },
    "texture": {"texture2016": {**_TEXTURE_NETWORKS, "scales": 5, "texture_size": 256}},
    "super-resolution": {
        "johnson2016": {
            **_JOHNSON,
            "width": 64,
            "loss": "feature",
            "tv_weight": 0.0,
            "steps": 200_000,
            "image_size": 288,
        }
    },
    "optimize": {
        "gatys": {
            "loss_network": "vgg19",
            "style_layers": [*GATYS_STYLE_LAYERS],
            "content_layers": [GATYS_CONTENT_LAYER],
            "pooling": "average",
            "scaling": "gatys",
            "content_weight": 1.0,
            "style_weight": 1000.0,
            "tv_weight": 0.0,
            "init": "noise",
            "steps": 500,
        }
    },
}
"""By the command's last word, then by the recipe."""
