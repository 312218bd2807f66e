"""Training against flicker without any video: small motions and noise that must change nothing.

A film's frames differ by small motions and by noise of the camera. A generator flickers where its
picture of a moved frame is not its moved picture of the frame. Here each training photograph is
shifted, zoomed and turned a little, noise is added, and the difference between the two is a term
of the objective: the noise stability of Zheng et al. 2016 (Improving the robustness of deep neural
networks via stability training), used for style transfer since, together with the synthetic
motions of Eilertsen et al. 2019 (Single-frame regularization for temporally stable CNNs).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_LARGEST_SHIFT = 8.0
"""Pixels along each side; twice the stride of the generators, so that every phase is met."""
_LARGEST_ZOOM = 1.04
_LARGEST_TURN = math.radians(2.0)
_LARGEST_NOISE = 0.02
"""Standard deviation of the noise for pixels in [0, 1]: 5 of 255."""


@dataclass(frozen=True, repr=False)
class Disturbance:
    """A small motion and noise for each of N pictures; a shift alone for half of them."""

    motion: Tensor
    """N x 2 x 3: places in the moved picture to places in the source, as affine_grid has them."""
    noise: Tensor
    """Standard deviation for each picture, N x 1 x 1 x 1."""
    seeds: tuple[int, ...]
    """Seed of each picture's noise."""

    @staticmethod
    def drawn(
        seeds: Sequence[int], size: tuple[int, int], device: torch.device | None = None
    ) -> Disturbance:
        """Draw it for pictures of height x width on a device, the CPU or another, one a seed.

        A picture's depends on its own seed alone, not on those that it is together with; its noise
        is another on each kind of device.
        """
        motion = np.zeros((len(seeds), 2, 3), dtype=np.float32)
        noise = np.zeros((len(seeds), 1, 1, 1), dtype=np.float32)
        for number, seed in enumerate(seeds):
            random = np.random.default_rng(seed)
            motion[number] = _drawn_motion(random, size)
            noise[number] = random.uniform(0, _LARGEST_NOISE)
        # Without non_blocking a GPU would first have to finish what it is at.
        return Disturbance(
            torch.from_numpy(motion).to(device, non_blocking=True),
            torch.from_numpy(noise).to(device, non_blocking=True),
            tuple(seeds),
        )

    def moved(self, pictures: Tensor) -> Tensor:
        """Move N x C x H x W pictures, bilinearly; what comes in from outside is mirrored."""
        grid = self._grid(pictures)
        return functional.grid_sample(
            pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )

    def disturbed(self, pictures: Tensor) -> Tensor:
        """Move N x 3 x H x W pictures in [0, 1] and add the noise."""
        device = pictures.device
        draws = [
            torch.randn(
                pictures.shape[1:],
                generator=torch.Generator(device).manual_seed(seed),
                device=device,
            )
            for seed in self.seeds
        ]
        noise = (torch.stack(draws) * self.noise).to(pictures)
        return (self.moved(pictures) + noise).clamp(0, 1)

    def inside(self, pictures: Tensor) -> Tensor:
        """N x 1 x H x W, 1 where a moved picture shows the source and not its mirrored border."""
        grid = self._grid(pictures)
        return (grid.abs().amax(dim=-1, keepdim=True) < 1).permute(0, 3, 1, 2).to(grid.dtype)

    def _grid(self, pictures: Tensor) -> Tensor:
        # Autocast would round places to 8 bits: half a pixel and more.
        with torch.autocast(pictures.device.type, enabled=False):
            return functional.affine_grid(self.motion, list(pictures.shape), align_corners=False)


def _drawn_motion(
    random: np.random.Generator, size: tuple[int, int]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Draw a shift, and for half of all also a turn and a zoom, as affine_grid has them."""
    height, width = size
    right, down = random.uniform(-_LARGEST_SHIFT, _LARGEST_SHIFT, 2)
    turn = random.uniform(-_LARGEST_TURN, _LARGEST_TURN)
    zoom = _LARGEST_ZOOM ** random.uniform(-1, 1)
    if random.random() < 0.5:
        # What films have most of; by whole pixels nothing is blurred on the way.
        right, down, turn, zoom = round(right), round(down), 0.0, 1.0
    sine, cosine = math.sin(turn) / zoom, math.cos(turn) / zoom
    # affine_grid counts both sides from -1 to 1, whatever their lengths.
    return (
        (cosine, -sine * height / width, 2 * right / width),
        (sine * width / height, cosine, 2 * down / height),
    )


def stability_loss(stylized: Tensor, again: Tensor, disturbance: Disturbance) -> Tensor:
    """Mean square of stylized disturbed pictures minus moved stylized pictures: a scalar.

    ``stylized`` are the pictures of the sources, ``again`` those of the ``disturbed`` ones, both
    N x 3 x H x W. Each picture's error is divided by the variance of its stylized picture: 2 is a
    picture that has nothing to do with the moved one, 0 one that follows every motion.
    """
    stylized, again = stylized.float(), again.float()
    inside = disturbance.inside(stylized)
    errors = (again - disturbance.moved(stylized)).square() * inside
    error = errors.sum(dim=(1, 2, 3)) / (3 * inside.sum(dim=(1, 2, 3))).clamp_min(1)
    # Without a gradient: contrast must not be a way to lower the error.
    variance = stylized.detach().var(dim=(2, 3)).mean(dim=1)
    return (error / variance.clamp_min(1e-4)).mean()
