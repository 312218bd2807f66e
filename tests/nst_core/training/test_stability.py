"""Small motions against slicing and OpenCV, the loss at its two ends."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from nst_core.training.stability import Disturbance, stability_loss

SIZES = [(48, 48), (40, 72), (72, 40)]


def _pictures(count: int, size: tuple[int, int], channels: int = 3) -> Tensor:
    """Smooth enough that half a pixel here or there is a small difference."""
    random = np.random.default_rng(4)
    height, width = size
    coarse = random.random((count * channels, 8, 8)).astype(np.float32)
    pictures = np.stack([cv2.resize(each, (width, height)) for each in coarse])
    return torch.from_numpy(pictures).clamp(0, 1).reshape(count, channels, height, width)


def _of(motion: list[list[float]], noise: float = 0.0) -> Disturbance:
    return Disturbance(torch.tensor([motion]), torch.full((1, 1, 1, 1), noise), (0,))


def _shift(right: int, down: int, size: tuple[int, int]) -> Disturbance:
    """The moved picture shows at (x, y) what the source has at (x + right, y + down)."""
    height, width = size
    return _of([[1, 0, 2 * right / width], [0, 1, 2 * down / height]])


@pytest.mark.parametrize("size", SIZES)
def test_a_shift_by_whole_pixels_is_slicing(size: tuple[int, int]) -> None:
    pictures = _pictures(1, size)
    moved = _shift(5, -3, size).moved(pictures)
    # Places are rounded to 24 bits: a millionth of a side, times the slope of the picture.
    torch.testing.assert_close(moved[..., 3:, :-5], pictures[..., :-3, 5:], rtol=0, atol=1e-5)
    inside = _shift(5, -3, size).inside(pictures)
    assert inside.shape == (1, 1, *size)
    assert inside[..., 3:, :-5].eq(1).all()
    assert inside.sum() == (size[0] - 3) * (size[1] - 5)


def test_what_comes_in_from_outside_is_mirrored() -> None:
    pictures = _pictures(1, (40, 40))
    moved = _shift(4, 0, (40, 40)).moved(pictures)
    torch.testing.assert_close(moved[..., -4:], pictures[..., -4:].flip(-1), rtol=0, atol=1e-5)


def _drawn(size: tuple[int, int], *, turned: bool) -> Disturbance:
    """The first one that turns and zooms, or that shifts alone."""
    for seed in range(100):
        disturbance = Disturbance.drawn([seed], size)
        if bool(disturbance.motion[0, 0, 1] != 0) == turned:
            return disturbance
    raise AssertionError("none of a hundred")


@pytest.mark.parametrize("size", SIZES)
def test_turn_and_zoom_are_what_opencv_makes_of_the_same_motion(size: tuple[int, int]) -> None:
    height, width = size
    disturbance = _drawn(size, turned=True)
    (a, b, right), (c, d, down) = disturbance.motion[0].double().tolist()
    # In pixels from the picture's middle it must be a turn and a zoom, whatever the sides.
    in_pixels = np.array([[a, b * width / height], [c * height / width, d]])
    zoom = 1 / math.sqrt(np.linalg.det(in_pixels))
    np.testing.assert_allclose(in_pixels @ in_pixels.T, np.eye(2) / zoom**2, atol=1e-6)
    assert 1 / 1.04 <= zoom <= 1.04
    assert abs(math.asin(in_pixels[1, 0] * zoom)) <= math.radians(2)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])  # OpenCV's pixel centres are whole
    offset = middle - in_pixels @ middle + np.array([right * width / 2, down * height / 2])
    pictures = _pictures(1, size)
    expected = cv2.warpAffine(
        pictures[0].permute(1, 2, 0).numpy(),
        np.column_stack([in_pixels, offset]),
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    moved = disturbance.moved(pictures)[0].permute(1, 2, 0).numpy()
    # OpenCV rounds places to 1/32 of a pixel; neighbours here differ by 0.2 at most.
    np.testing.assert_allclose(moved, expected, atol=0.2 / 32 * 2)
    y, x = np.mgrid[:height, :width]
    places = np.einsum("ij,jhw->ihw", in_pixels, np.stack([x, y])) + offset[:, None, None]
    shown = (np.abs(places[0] - middle[0]) < width / 2) & (
        np.abs(places[1] - middle[1]) < height / 2
    )
    assert (disturbance.inside(pictures)[0, 0].numpy() == shown).mean() > 0.999


def test_motions_are_small_and_half_of_them_are_shifts_by_whole_pixels() -> None:
    height, width = size = (48, 64)
    disturbance = Disturbance.drawn(range(400), size)
    shifts = disturbance.motion[..., 2] * torch.tensor([width, height]) / 2
    assert 7 < shifts.abs().max() <= 8
    alone = disturbance.motion[:, 0, 1] == 0
    assert 160 < alone.sum() < 240
    torch.testing.assert_close(shifts[alone], shifts[alone].round())
    assert not torch.allclose(shifts[~alone], shifts[~alone].round(), atol=0.01)
    assert (disturbance.noise >= 0).all()
    assert 0.018 < disturbance.noise.max() <= 0.02


def test_the_noise_has_the_deviation_that_was_drawn() -> None:
    grey = torch.full((1, 3, 64, 64), 0.5)
    still = _of([[1.0, 0, 0], [0, 1, 0]], noise=0.02)
    torch.testing.assert_close(still.moved(grey), grey)
    noise = still.disturbed(grey) - grey
    assert noise.std().item() == pytest.approx(0.02, rel=0.03)  # of 12288 draws: 0.6 percent
    assert abs(noise.mean().item()) < 1e-3
    white = still.disturbed(torch.ones(1, 3, 64, 64))
    assert white.max() == 1
    assert white.min() < 0.97


def test_a_pictures_disturbance_follows_from_its_seed_alone() -> None:
    pictures = _pictures(3, (40, 56))
    together = Disturbance.drawn([7, 8, 9], (40, 56))
    alone = Disturbance.drawn([8], (40, 56))
    torch.testing.assert_close(
        together.disturbed(pictures)[1:2], alone.disturbed(pictures[1:2]), rtol=0, atol=1e-6
    )
    other = Disturbance.drawn([10], (40, 56))
    assert not torch.allclose(other.motion, alone.motion)


def test_motions_stay_exact_under_autocast() -> None:
    # A grid of bfloat16 would be wrong by half a pixel at 256.
    pictures = torch.rand(4, 3, 200, 256, generator=torch.Generator().manual_seed(0))
    disturbance = Disturbance.drawn(range(4), (200, 256))
    exact, inside = disturbance.moved(pictures), disturbance.inside(pictures)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(disturbance.moved(pictures), exact, rtol=0, atol=0)
        assert torch.equal(disturbance.inside(pictures), inside)


def test_a_generator_that_follows_every_motion_has_no_loss() -> None:
    size = (48, 64)
    pictures = _pictures(4, size)
    drawn = Disturbance.drawn(range(4), size)
    quiet = Disturbance(drawn.motion, torch.zeros(4, 1, 1, 1), drawn.seeds)
    loss = stability_loss(pictures, quiet.disturbed(pictures), quiet)
    assert loss.item() < 1e-10
    # Of the noise alone, its variance over the pictures' is left.
    noisy = stability_loss(pictures, drawn.disturbed(pictures), drawn)
    expected = (drawn.noise[:, 0, 0, 0] ** 2 / pictures.var(dim=(2, 3)).mean(1)).mean()
    assert noisy.item() == pytest.approx(expected.item(), rel=0.15)  # clipped at 0 and 1


def test_pictures_that_have_nothing_in_common_have_a_loss_of_two() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 8, 3, 64, 64, generator=generator)
    identity = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).repeat(8, 1, 1)
    still = Disturbance(identity, torch.zeros(8, 1, 1, 1), tuple(range(8)))
    assert stability_loss(first, second, still).item() == pytest.approx(2, rel=0.02)
    # Contrast is divided out.
    assert stability_loss(0.1 * first, 0.1 * second, still).item() == pytest.approx(2, rel=0.02)


def test_what_is_beyond_the_border_does_not_count() -> None:
    size = (48, 64)
    pictures = _pictures(1, size)
    shift = _shift(6, 0, size)
    again = shift.moved(pictures)
    again[..., -6:] = 0
    assert stability_loss(pictures, again, shift).item() < 1e-10
    again[..., -7:] = 0
    assert stability_loss(pictures, again, shift).item() > 1e-4


def test_larger_outputs_move_with_their_sources() -> None:
    """In super-resolution the motion is that of the picture, whatever its pixels."""
    size = (24, 36)
    disturbance = _shift(2, 1, size)
    large = _pictures(1, (96, 144))
    moved = disturbance.moved(large)
    torch.testing.assert_close(moved[..., :-4, :-8], large[..., 4:, 8:], rtol=0, atol=1e-5)


def test_a_batch_has_the_mean_loss_of_its_pictures() -> None:
    size = (40, 56)
    pictures = _pictures(3, size) * torch.tensor([1.0, 0.5, 0.2])[:, None, None, None]
    again = pictures.flip(0)
    together = stability_loss(pictures, again, Disturbance.drawn([1, 2, 3], size))
    alone = [
        stability_loss(pictures[n : n + 1], again[n : n + 1], Disturbance.drawn([n + 1], size))
        for n in range(3)
    ]
    torch.testing.assert_close(together, torch.stack(alone).mean())


def test_gradients_reach_both_pictures() -> None:
    size = (40, 56)
    first = _pictures(2, size).requires_grad_()
    second = _pictures(2, size).flip(0).detach().requires_grad_()
    stability_loss(first, second, Disturbance.drawn([1, 2], size)).backward()  # type: ignore[no-untyped-call]
    for picture in (first, second):
        assert picture.grad is not None
        assert picture.grad.abs().sum() > 0


def test_flat_pictures_have_a_finite_loss() -> None:
    flat = torch.full((1, 3, 40, 56), 0.5)
    disturbance = Disturbance.drawn([1], (40, 56))
    assert stability_loss(flat, flat, disturbance).item() == pytest.approx(0, abs=1e-6)
    assert math.isfinite(stability_loss(flat, flat + 0.01, disturbance).item())
