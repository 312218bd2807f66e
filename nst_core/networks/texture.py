"""Texture Networks (Ulyanov, Lebedev, Vedaldi, Lempitsky 2016): the multi-scale generators.

g(z) for textures and g(y, z) for stylization are one network: each scale i works at 1/2^i of the
output's size on noise, for stylization beside the content shrunk to that size. Blocks as in the
authors' first code: 3x3, 3x3, 1x1 convolutions with circular padding, normalisation and
LeakyReLU; from coarse to fine, the coarser branch is doubled in size, both are normalised and
joined along the channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_core.networks.generator import Generator
from nst_core.networks.normalization import initialize_as_authors, make_norm
from nst_core.networks.registry import NormName

_CHANNELS = 8
_NOISE_CHANNELS = 3
_SLOPE = 0.01


class TextureNet(Generator):
    """Generator of N x 3 x H x W in [0, 1], for any H and W.

    ``scales`` is 5 here (71,659 parameters for textures); the published texture models have 6.
    ``stylizes`` False gives g(z): of its input only the size counts. True gives g(y, z).
    ``norm`` is ``batch`` in the paper, and then the batch's own statistics at test time too;
    ``instance`` in Ulyanov, Vedaldi and Lempitsky 2017.

    The noise is U[0, 1), drawn anew at every forward pass, in training and at test time;
    ``seed_noise`` starts it again. A ``noise_factor`` of 0 makes a stylized picture a function of
    its content alone, more than 1 varies it more (the paper's k, at test time). With sides that are
    multiples of ``multiple``, ``min_side`` or more, a texture wraps around without a seam; other
    sizes are cut from the next multiple.
    """

    draws_noise = True

    def __init__(
        self, scales: int = 5, norm: NormName = "instance", stylizes: bool = False
    ) -> None:
        super().__init__()
        if not 1 <= scales <= 8:
            raise ValueError(f"scales {scales}: 1 to 8 are allowed; the paper has 5 or 6")
        self.scales = scales
        self.norm = norm
        self.stylizes = stylizes
        self.multiple = 2 ** (scales - 1)
        self.min_side = 2 * self.multiple  # an instance norm needs more than one pixel
        inputs = _NOISE_CHANNELS + (3 if stylizes else 0)
        self.heads = nn.ModuleList(_block(inputs, _CHANNELS, norm) for _ in range(scales))
        self.joins = nn.ModuleList(
            Join(_CHANNELS * branches, norm) for branches in range(1, scales)
        )
        self.tail = nn.Conv2d(_CHANNELS * scales, 3, 1)
        self._noise: tuple[torch.Generator | None, ...] = (None,)
        initialize_as_authors(self)

    def seed_noise(self, *seeds: int) -> None:
        """Start a sequence of noise that depends on ``seeds`` alone; None was torch's own.

        One for all pictures of a batch, or one for each: its noise is then the same in any batch.
        """
        self._noise = tuple(torch.Generator().manual_seed(seed) for seed in seeds)

    def forward_padded(self, padded: Tensor) -> Tensor:
        """Stylize, or synthesize in the size of, sides that are multiples of ``multiple``."""
        return self.generate(self.draw_noise(padded), padded if self.stylizes else None)

    def draw_noise(self, image: Tensor) -> list[Tensor]:
        """U[0, ``noise_factor``) for every scale, finest first: N x 3 x H/2^i x W/2^i.

        Drawn on the CPU, so that a seed means the same on every device.
        """
        count, _, height, width = image.shape
        assert count % len(self._noise) == 0, "one seed for all pictures, or one for each"
        each = count // len(self._noise)
        drawn = [
            torch.cat(
                [
                    torch.rand((each, _NOISE_CHANNELS, height >> i, width >> i), generator=noise)
                    for noise in self._noise
                ]
            )
            for i in range(self.scales)
        ]
        return [(self.noise_factor * noise).to(image) for noise in drawn]

    def generate(self, noise: Sequence[Tensor], content: Tensor | None) -> Tensor:
        """g(z), or g(y, z) with the content y of N x 3 x H x W; sides are multiples."""
        features: Tensor | None = None
        for level in reversed(range(self.scales)):
            inputs = noise[level]
            if content is not None:
                shrunk = F.avg_pool2d(content, 2**level) if level else content
                inputs = torch.cat((shrunk, inputs), dim=1)
            fine: Tensor = self.heads[level](inputs)
            if features is not None:
                fine = self.joins[self.scales - 2 - level](features, fine)
            features = fine
        image: Tensor = self.tail(features)
        return image


class Join(nn.Module):
    """N x C x H/2 x W/2 and N x 8 x H x W to N x (C+8) x H x W."""

    def __init__(self, coarse_channels: int, norm: NormName) -> None:
        super().__init__()
        self.coarse_norm = _norm(norm, coarse_channels)
        self.fine_norm = _norm(norm, _CHANNELS)
        channels = coarse_channels + _CHANNELS
        self.block = _block(channels, channels, norm)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Double the coarse one, normalise both, join them along the channels."""
        doubled = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
        joined = torch.cat((self.coarse_norm(doubled), self.fine_norm(fine)), dim=1)
        features: Tensor = self.block(joined)
        return features


def _norm(name: NormName, channels: int) -> nn.Module:
    return make_norm(name, channels, running_statistics=False)


def _block(inputs: int, outputs: int, norm: NormName) -> nn.Sequential:
    layers: list[nn.Module] = []
    for kernel_size in (3, 3, 1):
        conv = nn.Conv2d(
            inputs, outputs, kernel_size, padding=kernel_size // 2, padding_mode="circular"
        )
        layers += [conv, _norm(norm, outputs), nn.LeakyReLU(_SLOPE)]
        inputs = outputs
    return nn.Sequential(*layers)
