"""Synthesizing a texture: one picture of any size from a texture network and a seed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.specs.single import Synthesize
from nst_core.checkpoints.checkpoint import load_generator
from nst_core.checkpoints.library import find_for
from nst_core.color.pixels import to_bytes
from nst_core.engines.choice import choose_device
from nst_core.errors import EnvironmentProblem, InputError
from nst_core.networks.generator import Generator
from pipeline.pictures.outputs.saving import save_picture

_QUALITY = 95
"""Quality of JPEG and WebP, 1 to 100."""


@dataclass(frozen=True)
class SynthesizeReport:
    """What was made; the fields of the command's JSON."""

    output: str
    height: int
    width: int
    seed: int
    tiles: bool
    """Whether the picture wraps around without a seam, beside and below itself."""
    multiple: int
    """Sizes that are multiples of this many pixels tile."""
    device: str
    seconds: float


def synthesize(job: Synthesize) -> SynthesizeReport:
    """Make the picture and write it whole. The same seed gives the same picture.

    Raises InputError for a checkpoint of another kind or an output that exists, MediaError where
    it cannot be written, EnvironmentProblem for a device or memory that is not there.
    """
    start = time.monotonic()
    if job.output.exists() and not job.overwrite:
        raise InputError(f"{job.output} exists; --overwrite replaces it")
    if job.output.is_dir():
        raise InputError(f"-o {job.output}: a folder; name a file")
    checkpoint = find_for("synthesize", job.checkpoint).path
    assert checkpoint is not None  # only ``identity`` has none, and it is refused
    device = choose_device(job.device)
    network, _ = load_generator(checkpoint)
    rgb = _generate(network, job, torch.device(device))
    save_picture(str(job.output), rgb, quality=_QUALITY)
    return SynthesizeReport(
        output=str(job.output),
        height=job.size[0],
        width=job.size[1],
        seed=job.seed,
        tiles=all(side % network.multiple == 0 and side >= network.min_side for side in job.size),
        multiple=network.multiple,
        device=device,
        seconds=round(time.monotonic() - start, 3),
    )


@torch.inference_mode()
def _generate(network: Generator, job: Synthesize, device: torch.device) -> NDArray[np.uint8]:
    """Uint8, H x W x 3."""
    network.seed_noise(job.seed)
    size = torch.zeros((1, 3, *job.size), device=device)  # only its size counts
    try:
        image = network.to(device)(size)
    except RuntimeError as error:
        if "memory" not in str(error):
            raise
        height, width = job.size
        raise EnvironmentProblem(
            f"--size {height}x{width}: more than this machine's memory holds on {device}; "
            "try a smaller one"
        ) from error
    pixels: NDArray[np.uint8] = to_bytes(image)[0]
    return pixels
