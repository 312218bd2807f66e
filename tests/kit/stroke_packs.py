"""A checkpoint whose styles have several strokes, made without training."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from nst_core.checkpoints.checkpoint import save_generator
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.networks.conditional_norm import MultiStyleGenerator
from nst_core.networks.transformer import TransformerNet

STYLES = ("wave", "scream")
STROKES = (0.5, 1.0, 2.0)


def stroke_info(
    styles: tuple[str, ...] = STYLES, strokes: tuple[float, ...] = STROKES
) -> CheckpointInfo:
    """What such a checkpoint says of itself."""
    return CheckpointInfo("johnson", {"width": 4}, styles=styles, strokes=strokes)


def stroke_network(info: CheckpointInfo, seed: int = 0) -> MultiStyleGenerator:
    """Every row is random, so that no two strokes are alike."""
    torch.manual_seed(seed)
    network = MultiStyleGenerator(TransformerNet(4), info.rows).eval()
    for parameter in network.style_parameters():
        nn.init.uniform_(parameter, -1, 1)
    return network


def save_stroke_pack(
    path: Path, styles: tuple[str, ...] = STYLES, strokes: tuple[float, ...] = STROKES
) -> Path:
    """Write the checkpoint."""
    info = stroke_info(styles, strokes)
    save_generator(path, stroke_network(info).generator, info)
    return path
