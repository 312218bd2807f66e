"""What the optimisation of a picture starts from: the content, noise, or a generator's picture."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from jobs.specs.single import Optimize
from nst_core.checkpoints.library import IDENTITY, Style, bundled_styles, find_for
from nst_core.color.pixels import to_bytes, to_unit_range
from nst_core.engines.choice import choose_device
from nst_core.engines.names import DeviceChoice
from nst_core.errors import InputError
from nst_core.objectives.lbfgs import noise_like
from nst_core.strokes import StrokeChoice
from nst_core.stylizer import Stylizer

_log = logging.getLogger(__name__)


def check_start(init: str) -> None:
    """Raise InputError for a generator that cannot be found, or makes nothing of a picture."""
    _, named, style = init.partition(":")
    if named and find_for("stylize", style).name == IDENTITY:
        raise InputError(f"--init {init}: it passes pictures through; use --init content")


def starting_picture(job: Optimize, objective: nn.Module, content: Tensor) -> tuple[str, Tensor]:
    """Return what it is, ``generator:wave`` for one, and the picture: 1 x 3 x H x W in [0, 1].

    ``objective`` is what will be lowered; of all bundled styles it chooses the nearest.
    """
    if job.init == "content":
        return job.init, content
    if job.init == "noise":
        return job.init, noise_like(content, seed=job.seed)
    _, named, style = job.init.partition(":")
    if named:
        return job.init, generated_picture(find_for("stylize", style), content, job.device)
    return _nearest(objective, content, job.device)


def generated_picture(style: Style, content: Tensor, device: DeviceChoice) -> Tensor:
    """What a style makes of 1 x 3 x H x W in [0, 1], as `nst stylize images` does it."""
    pixels = to_bytes(content)
    stroke = StrokeChoice(style.strokes).of(*pixels.shape[1:3])
    stylizer = Stylizer(
        style.with_stroke(stroke),
        device=choose_device(device),
        threads=torch.get_num_threads(),
        tile="off",
    )
    return to_unit_range(stylizer.stylize(pixels), content.device)


def _nearest(objective: nn.Module, content: Tensor, device: DeviceChoice) -> tuple[str, Tensor]:
    """Try all bundled styles on the content; return the picture of the lowest objective."""
    found: tuple[float, str, Tensor] | None = None
    for name in bundled_styles():
        picture = generated_picture(find_for("stylize", name), content, device)
        with torch.no_grad():
            total = float(objective(picture, content).total)
        if found is None or total < found[0]:
            found = total, name, picture
    assert found is not None, "some styles are bundled"
    _log.info("the nearest bundled style is %s", found[1])
    return f"generator:{found[1]}", found[2]
