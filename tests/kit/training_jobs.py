"""Training jobs of every kind, tiny, and what they are made of."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from jobs.specs.training import (
    TrainGenerator,
    TrainStyle,
    TrainSuperResolution,
    TrainTexture,
)
from nst_core.checkpoints.checkpoint import save_generator
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.networks.conditional_norm import MultiStyleGenerator
from nst_core.networks.transformer import TransformerNet
from nst_core.objectives.settings import ObjectiveSettings, ReconstructionSettings
from nst_core.objectives.weights.reading import LossNetworkWeights
from nst_core.training.settings import TrainingSettings
from tests.kit.media import moving_picture

KINDS = (
    *("lean", "strokes", "bold", "johnson", "johnson-paper", "styles", "extended", "extended-pack"),
    *("texture-style", "texture-styles", "texture", "super-resolution", "pixel"),
)
OBJECTIVE = ObjectiveSettings(style_layers=("relu1_1", "relu1_2"), content_layers=("relu2_1",))


def save_paintings(folder: Path) -> tuple[Path, ...]:
    """Write three pictures: as it is, darker and narrower, in grey."""
    picture = Image.fromarray(moving_picture(0))
    others = (picture, picture.point(lambda v: v // 2).resize((40, 64)), picture.convert("L"))
    paths = [folder / f"{name}.png" for name in ("wave", "starry_night", "scream")]
    for path, other in zip(paths, others, strict=True):
        other.save(path)
    return tuple(paths)


def save_bases(folder: Path) -> dict[str, Path]:
    """Write what can be extended: a network of one style, and one of two."""
    paths = {name: folder / f"{name}.safetensors" for name in ("alone", "pack")}
    torch.manual_seed(11)
    save_generator(paths["alone"], TransformerNet(4), CheckpointInfo("johnson", {"width": 4}))
    network = MultiStyleGenerator(TransformerNet(4), 2)
    for parameter in network.style_parameters():
        nn.init.uniform_(parameter, 0.2, 1)
    info = CheckpointInfo("johnson", {"width": 4}, {"steps": 9}, ("monet", "klimt"))
    save_generator(paths["pack"], network.generator, info)
    return paths


def training_jobs(
    photos: Path, weights: LossNetworkWeights, bases: dict[str, Path], folder: Path
) -> dict[str, TrainGenerator]:
    """One of each of KINDS; the loss network is the first two blocks of ``weights``."""
    paintings = save_paintings(folder)
    shallow = folder / "shallow.safetensors"
    tensors = dict(list(weights.tensors.items())[:8])
    save_file(tensors, shallow, metadata={"architecture": "vgg19"})
    settings = TrainingSettings(
        steps=30, batch_size=3, image_size=32, seed=5, precision="float32", warmup_steps=2
    )
    common: dict[str, Any] = {
        "output": folder / "out.safetensors",
        "training": settings,
        "loss_network_weights": shallow,
    }
    content = (str(photos),)
    style = TrainStyle(
        style_images=paintings[:1],
        content=content,
        objective=OBJECTIVE,
        architecture="johnson",
        width=4,
        style_size=32,
        **common,
    )
    styles = dataclasses.replace(style, style_images=paintings)
    stable = dataclasses.replace(settings, stability_weight=1.0)
    faster = dataclasses.replace(settings, learning_rate=2e-2)
    new = dataclasses.replace(
        style, style_images=paintings[:2], training=faster, architecture="lean"
    )
    lean = dataclasses.replace(style, architecture="lean", training=faster)
    bold = dataclasses.replace(OBJECTIVE, scales=(1.0, 0.5), balanced=True, lattice_weight=0.1)
    texture = dataclasses.replace(style, architecture="texture", width=32, training=faster)
    texture_objective = dataclasses.replace(OBJECTIVE, content_weight=0.0)
    enlarging = TrainSuperResolution(content=content, width=4, **common)
    pixel = ReconstructionSettings("pixel")
    return {
        "lean": lean,
        "strokes": dataclasses.replace(
            lean, style_images=paintings[:2], strokes=(1.0, 2.0), objective=bold
        ),
        "bold": dataclasses.replace(lean, objective=bold),
        "johnson": dataclasses.replace(style, training=stable),
        "johnson-paper": dataclasses.replace(style, architecture="johnson-paper", norm="batch"),
        "styles": dataclasses.replace(styles, training=stable),
        "extended": dataclasses.replace(new, extend=bases["alone"]),
        "extended-pack": dataclasses.replace(new, extend=bases["pack"]),
        "texture-style": texture,
        "texture-styles": dataclasses.replace(texture, style_images=paintings),
        "texture": TrainTexture(
            texture_image=paintings[0],
            levels=3,
            objective=texture_objective,
            **{**common, "training": faster},
        ),
        "super-resolution": enlarging,
        "pixel": dataclasses.replace(enlarging, objective=pixel, norm="instance"),
    }


def same_state(ours: nn.Module, theirs: nn.Module) -> bool:
    """Whether all tensors are equal bit for bit."""
    first, second = ours.state_dict(), theirs.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)
