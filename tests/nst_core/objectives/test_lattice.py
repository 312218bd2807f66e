from __future__ import annotations

import pytest
import torch

from nst_core.objectives.lattice import lattice_loss, lattice_ratio


def _strokes(seed: int = 0) -> torch.Tensor:
    """Texture without a period: noise, smoothed a little."""
    noise = torch.rand(1, 3, 128, 192, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(noise, 3, stride=1, padding=1)


def _grid(period: int) -> torch.Tensor:
    columns = (torch.arange(192) % period == 0).float()
    rows = (torch.arange(128) % period == 0).float()
    return (columns[None, :] + rows[:, None]).expand(1, 3, 128, 192)


def test_strokes_that_do_not_repeat_have_a_small_ratio() -> None:
    ratio = lattice_ratio(_strokes())
    assert ratio.shape == (1, 6)
    assert 0.5 < ratio.mean().item() < 3


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_faint_grid_in_strokes_is_seen(period: int) -> None:
    strokes = _strokes()
    faint = strokes + 0.6 * strokes.std() * _grid(period)
    assert lattice_ratio(faint).mean() > 2.5 * lattice_ratio(strokes).mean()


@pytest.mark.parametrize("period", [5, 7, 11])
def test_other_periods_are_the_paintings_own(period: int) -> None:
    strokes = _strokes()
    other = strokes + 0.6 * strokes.std() * _grid(period)
    assert lattice_ratio(other).mean() < 1.5 * lattice_ratio(strokes).mean()


def test_a_grid_in_a_sky_counts_however_faint_it_is() -> None:
    """Beside a busy half the sky's grid is a thousandth of the picture's energy."""
    picture = _strokes()
    picture[..., :128] = 0.5
    clean = lattice_loss(picture)
    picture[..., :128] += 0.01 * _grid(4)[..., :128]
    assert lattice_loss(picture) > clean + 1


def test_slopes_of_light_are_no_grid() -> None:
    slope = torch.linspace(0, 1, 192).expand(1, 3, 128, 192)
    assert lattice_loss(slope).item() < 0.02


def test_brightness_and_contrast_do_not_matter() -> None:
    picture = _strokes() + 0.1 * _grid(8)
    darker = 0.25 * picture + 0.3
    torch.testing.assert_close(lattice_loss(picture), lattice_loss(darker), rtol=5e-3, atol=0)


def test_lowering_it_removes_the_grid() -> None:
    picture = (_strokes() + 0.2 * _grid(4)).requires_grad_()
    optimizer = torch.optim.Adam([picture], lr=0.01)
    before = lattice_loss(picture).item()
    for _ in range(40):
        optimizer.zero_grad()
        loss = lattice_loss(picture)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss.item() < 0.3 * before


def test_pictures_smaller_than_a_window_have_none() -> None:
    assert lattice_loss(torch.rand(2, 3, 63, 200)).item() == 0
