from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nst_core.objectives.shading import shading_loss


def _photograph() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(2, 3, 6, 9, generator=generator)
    return torch.nn.functional.interpolate(small, scale_factor=16, mode="bicubic").clamp(0, 1)


def test_other_colours_and_less_contrast_cost_nothing() -> None:
    photograph = _photograph()
    light = (photograph * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    sepia = 0.3 + 0.4 * light * torch.tensor([1.0, 0.8, 0.5]).view(1, 3, 1, 1)
    assert shading_loss(photograph, photograph).item() < 0.15
    assert shading_loss(sepia, photograph) < shading_loss(photograph, photograph) + 0.15


def test_strokes_cost_nothing_and_blotches_much() -> None:
    photograph = _photograph()
    generator = torch.Generator().manual_seed(1)
    strokes = 0.3 * (torch.rand(photograph.shape, generator=generator) - 0.5)
    blotches = torch.nn.functional.interpolate(
        torch.rand(2, 1, 6, 9, generator=generator) - 0.5, scale_factor=16.0
    )
    plain = shading_loss(photograph, photograph)
    assert shading_loss(photograph + strokes, photograph) < plain + 0.02
    assert shading_loss(photograph + blotches, photograph) > plain + 0.2
    assert shading_loss(1 - photograph, photograph) > 1.5


def test_lowering_it_brings_the_light_back() -> None:
    photograph = _photograph()
    picture = torch.rand_like(photograph).requires_grad_()
    optimizer = torch.optim.Adam([picture], lr=0.02)
    before = shading_loss(picture, photograph).item()
    for _ in range(40):
        optimizer.zero_grad()
        loss = shading_loss(picture, photograph)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss.item() < 0.3 < 0.8 < before


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_flat_picture_has_no_order_and_no_gradient_that_is_not_a_number(value: float) -> None:
    picture = torch.full((1, 3, 32, 32), value, requires_grad=True)
    loss = shading_loss(picture, picture.detach())
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 1
    assert picture.grad is not None
    assert bool(picture.grad.isfinite().all())
