"""Whether weights of a loss network are what they are said to be: its activations say so.

Weights of another scale, of another network or of none at all load without a word, and a training
comes to nothing after hours. So a picture that is made here is shown to them first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

_OXFORD_BIASES = (0.7302, 0.0649, 0.0343, 0.8261, 0.2578, 0.5488)
"""The first of conv1_1 in Simonyan and Zisserman's own networks, VGG-16 and VGG-19 alike."""
_SIDE = 96
_LEAST, _MOST = 0.01, 30.0
"""Root mean square of activations, for inputs on the scale [0, 1]; VGG-19's are 0.2 to 4."""
_SPARSE_LAYERS = ("relu4_3", "relu4_4", "relu5_1")
_MOST_ACTIVE = 0.4
"""Part of the activations there that is not 0: 0.1 to 0.3 in VGG, a half without training."""


def is_original(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are Oxford's own weights, for RGB on the scale 0..255 with the mean taken off.

    torchvision's ``vgg16_features-amdegroot`` has them too, with a classifier of nothing but NaN.
    """
    biases = tensors.get("features.0.bias")
    if biases is None or len(biases) < len(_OXFORD_BIASES):
        return False
    known = torch.tensor(_OXFORD_BIASES)
    return bool((biases[: len(known)].float() - known).abs().max() < 0.01)


def probe_picture() -> Tensor:
    """A picture with the spectrum of photographs: 1 x 3 x 96 x 96 in [0, 1], always the same."""
    random = torch.Generator().manual_seed(0)
    frequencies = torch.fft.fftfreq(_SIDE) * _SIDE
    radius = (frequencies[:, None] ** 2 + frequencies[None, :] ** 2).sqrt().clamp_min(1)
    noise = torch.rand(3, _SIDE, _SIDE, generator=random)
    natural = torch.fft.ifft2(torch.fft.fft2(noise - 0.5) / radius).real
    grey = natural.mean(dim=0, keepdim=True)
    picture = 3 * grey + natural  # colours are alike in photographs
    pixels: Tensor = (0.45 + 0.2 * picture / picture.std()).clamp(0, 1)
    return pixels[None]


def what_is_wrong(activations: Mapping[str, Tensor], std: Sequence[float]) -> str:
    """Say what in the activations of ``probe_picture`` is far from VGG's; empty where nothing is.

    ``std`` is what the network divides pictures in [0, 1] by.
    """
    for layer, found in activations.items():
        strength = found.square().mean().sqrt().item() * sum(std) / len(std)
        if not _LEAST <= strength <= _MOST:  # nor NaN
            return f"at {layer} they are {strength:.2g} strong where {_LEAST} to {_MOST:g} is usual"
    active = [
        (activations[layer] > 0).float().mean().item()
        for layer in _SPARSE_LAYERS
        if layer in activations
    ]
    if active and min(active) > _MOST_ACTIVE:
        return f"{min(active):.0%} of those in block 4 or 5 are not 0, as without training"
    return ""
