"""The base class of all generators: what engines, trainings and exports ask of a network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_core.networks.registry import Padding


class Generator(nn.Module):
    """A network that maps N x 3 x H x W in [0, 1] to N x 3 x scale*H x scale*W, for any H and W.

    A network that keeps the size computes padded pictures in ``forward_padded``; others override
    ``forward``. ``registry.py`` has the names that checkpoints give to networks.
    """

    scale: int = 1
    """How many times wider and higher the output is."""
    multiple: int = 1
    """``forward_padded`` takes sides that are multiples of this."""
    min_side: int = 1
    """Least height and width that can be computed; smaller pictures are padded, where it pads."""
    is_bounded: bool = False
    """Whether ``forward_padded`` ends within [0, 1]; an engine may then do the padding itself."""
    width: int = 32
    """Channels of the first convolution."""
    output_layer: str | None = None
    """Name of the last convolution; None: it does not have three channels at full size."""
    finish: nn.Module
    """What follows the output layer; ``inference_form`` puts a PixelShuffle here."""
    sub_pixel_layer: str | None = None
    """Name of a convolution whose kernels ``constrain_weights`` gives equal sums."""
    tiles: bool = False
    """Whether a pixel depends only on its surroundings: see ``tiled_engine.py``."""
    draws_noise: bool = False
    """Whether the pixels depend on noise beside the input."""
    noise_factor: float = 1.0
    """What that noise is multiplied by."""
    styles: int = 0
    """Rows of a MultiStyleGenerator, whose ``forward`` takes a mixture too; 0: any other."""

    @property
    def full_size_width(self) -> int:
        """Channels of the layers at full size: what memory is planned by."""
        return self.width

    @property
    def unwrapped(self) -> Generator:
        """The generator within a MultiStyleGenerator, or the generator itself."""
        return self

    def style_parameters(self) -> list[nn.Parameter]:
        """Parameters that tell one style from another, in a MultiStyleGenerator."""
        return []

    def seed_noise(self, *seeds: int) -> None:
        """Start a sequence of noise that depends on ``seeds`` alone, in a network that draws it."""

    def constrain_weights(self) -> None:
        """Put the weights back where the network needs them, after each training step."""

    def forward(self, image: Tensor) -> Tensor:
        """Stylize N x 3 x H x W in [0, 1]."""
        height, width = image.shape[-2:]
        padded = pad_to_multiple(image, self.multiple, least=self.min_side)
        output = self.forward_padded(padded)[..., :height, :width]
        # What is cut off has no gradient.
        return output if self.is_bounded or self.training else output.clamp(0, 1)

    def forward_padded(self, padded: Tensor) -> Tensor:
        """Stylize sides that are multiples of ``multiple``, and ``min_side`` at least."""
        raise NotImplementedError


def pad_to_multiple(image: Tensor, multiple: int, *, least: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples, and not under ``least``.

    A picture that is large enough is returned as it is. Branch-free in the size while a network is
    traced (ONNX), so that it pads by the size it is given and not by the size it was traced with;
    only ``least`` is not traced.
    """
    height, width = image.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if not torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        bottom = max(bottom, least - height)
        right = max(right, least - width)
        if bottom == right == 0:
            return image
    return F.pad(image, (0, right, 0, bottom), mode="replicate")


def checked_width(width: int, usual: str) -> int:
    """Return ``width``. Raises ValueError below 1, and says which one is ``usual``."""
    if width < 1:
        raise ValueError(f"width {width}: at least 1 is needed; {usual}")
    return width


def padded_conv(
    inputs: int, outputs: int, *, kernel_size: int = 3, stride: int = 1, mode: Padding = "reflect"
) -> nn.Conv2d:
    """A convolution of N x C x H x W to ceil(H / stride), padded by ``mode``."""
    padding = kernel_size // 2
    return nn.Conv2d(
        inputs, outputs, kernel_size, stride=stride, padding=padding, padding_mode=mode
    )


class ResidualBlock(nn.Module):
    """The identity plus ``layers``; no ReLU after the sum (Gross and Wilber).

    Layers that do not pad lose ``cropped`` pixels a side; the identity is cropped as much.
    """

    def __init__(self, *layers: nn.Module, cropped: int = 0) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)
        self.cropped = cropped

    def forward(self, features: Tensor) -> Tensor:
        """N x C x H x W to the same, without the cropped border."""
        residual: Tensor = self.body(features)
        if self.cropped:
            inside = slice(self.cropped, -self.cropped)
            features = features[..., inside, inside]
        return features + residual
