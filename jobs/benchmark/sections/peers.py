"""The peers' way: what scripts around pytorch/examples' fast_neural_style do with every frame.

The network is theirs (widths 32-64-128, every convolution padded by reflection, instance
normalisation, pixels repeated to double the size); an eager float32 call for each frame, a batch
of 1, torch's own choice of threads, colours through Pillow.
"""

from __future__ import annotations

import statistics
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import nn

from jobs.benchmark.material.generators import MeasuredGenerator, untrained, wave
from jobs.benchmark.material.pictures import still_frames
from jobs.benchmark.section import Cell, Section
from jobs.benchmark.settings import BenchSettings
from jobs.benchmark.turns import median_ratio, take_turns, timed
from nst_core.stylizer import Stylizer

PEERS_WIDTH = 32
_SIZES = ((256, 256), (640, 360), (1280, 720), (1920, 1080))
_QUICK_SIZES = ((640, 360),)
_FRAMES_ON_GPU = 4


@torch.no_grad()
def stylize_as_peers(generator: nn.Module, picture: Image.Image, device: str) -> Image.Image:
    """Stylize one picture; the generator takes and gives N x 3 x H x W in [0, 1]."""
    rgb = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
    output = generator(rgb.unsqueeze(0).to(device).float() / 255).cpu()[0]
    pixels = output.clamp(0, 1).mul(255).permute(1, 2, 0).to(torch.uint8)
    return Image.fromarray(pixels.numpy())


def peers_device() -> str:
    """Where such a script computes."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def peers_network(settings: BenchSettings) -> MeasuredGenerator:
    """Draw one of the network's weights; the speed is that of any."""
    return untrained(settings, "pytorch-examples", calibrated=False, width=PEERS_WIDTH)


def peers(settings: BenchSettings) -> Section:
    """Pictures in, pictures out: their way beside ours, with their network and with ours."""
    theirs = peers_network(settings)
    stylizers = {
        "the same network": Stylizer(theirs.style, tile="off"),
        wave().name: Stylizer(wave().style, tile="off"),
    }
    rows: list[tuple[Cell, ...]] = []
    for width, height in _QUICK_SIZES if settings.quick else _SIZES:
        settings.tell(f"peers: {width}x{height}")
        rows += _compare(settings, theirs.load(), stylizers, width, height)
    return Section(
        key="peers",
        title="The peers' way",
        columns=("frame", "what", "computed by", "ms a frame", "times the peers' speed"),
        rows=rows,
        notes=(
            "A frame goes in as 8-bit RGB and comes out as such, colours and all. The peers' way "
            "is that of scripts around pytorch/examples' fast_neural_style: its network of widths "
            "32-64-128, one eager float32 call a frame, torch's default threads, Pillow for the "
            "colours.",
            "`the same network` is that network in this program's engine: the gain is the "
            "engine's alone. The bundled styles have half the channels, which is a choice of the "
            f"network. Medians of {settings.rounds} rounds in turn; ratios within each round.",
        ),
    )


def _compare(
    settings: BenchSettings,
    network: nn.Module,
    stylizers: dict[str, Stylizer],
    width: int,
    height: int,
) -> list[tuple[Cell, ...]]:
    device = peers_device()
    network = network.to(device)
    count = _FRAMES_ON_GPU if device == "cuda" else torch.get_num_threads()
    frames = still_frames(settings, count, width=width, height=height)
    picture = Image.fromarray(frames[0])
    cases = {"peers": timed(lambda: stylize_as_peers(network, picture, device))}
    for name, stylizer in stylizers.items():
        cases[name] = timed(partial(stylizer.stylize, frames))
    seconds = take_turns(cases, rounds=settings.rounds)
    a_frame = {
        name: [each / (1 if name == "peers" else count) for each in taken]
        for name, taken in seconds.items()
    }
    computed_by = {"peers": f"torch {device} float32"} | {
        name: stylizer.engine for name, stylizer in stylizers.items()
    }
    return [
        (
            f"{width}x{height}",
            "their script" if name == "peers" else name,
            computed_by[name],
            1000 * statistics.median(taken),
            median_ratio(a_frame["peers"], taken),
        )
        for name, taken in a_frame.items()
    ]
