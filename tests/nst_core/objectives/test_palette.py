from __future__ import annotations

import torch
from torch import Tensor

from nst_core.objectives.palette import color_moments, palette_loss


def _picture(seed: int, *, scale: float = 0.5, count: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixture = torch.tensor([[1.0, 0.2, 0.0], [0.3, 0.8, 0.1], [0.0, 0.5, 0.6]])
    noise = torch.rand(count, 3, 32 * 32, generator=generator)
    return (0.2 + scale * (mixture @ noise)).reshape(count, 3, 32, 32).repeat_interleave(2, 2)


def test_the_moments_are_those_of_the_pixels() -> None:
    picture = _picture(0).repeat_interleave(2, 3)  # whole at half size
    pixels = picture.flatten(2)[0]
    mean, products = color_moments(picture)
    torch.testing.assert_close(mean[0], pixels.mean(1))
    covariance = products[0] - torch.outer(mean[0], mean[0])
    torch.testing.assert_close(covariance, torch.cov(pixels, correction=0), atol=1e-5, rtol=1e-4)


def test_the_painting_itself_costs_nothing_wherever_its_colours_are() -> None:
    painting = _picture(0)
    wanted = color_moments(painting)
    elsewhere = painting.flip(3)
    assert palette_loss(elsewhere, wanted).item() < 1e-4
    assert palette_loss(0.5 * painting + 0.25, wanted).item() > 0.3
    assert palette_loss(painting.flip(1), wanted).item() > 0.1


def test_pictures_of_a_batch_have_the_colours_together() -> None:
    painting = _picture(0)
    halves = torch.cat(painting.chunk(2, dim=2))
    wanted = color_moments(painting)
    both = tuple(each.repeat(2, *[1] * (each.dim() - 1)) for each in wanted)
    assert palette_loss(halves, (both[0], both[1])).item() < 1e-4


def test_lowering_it_brings_the_colours() -> None:
    wanted = color_moments(_picture(0))
    picture = torch.full((1, 3, 64, 32), 0.5) + 0.01 * torch.randn(1, 3, 64, 32)
    picture.requires_grad_()
    optimizer = torch.optim.Adam([picture], lr=0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = palette_loss(picture, wanted)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 < 0.8 < losses[0]
