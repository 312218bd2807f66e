"""A loss network with random weights: a real one, without a download."""

from __future__ import annotations

import torch

from nst_core.objectives.layers import activation_indices
from nst_core.objectives.loss_network import _vgg_features
from nst_core.objectives.settings import LossNetworkName
from nst_core.objectives.weights.reading import LossNetworkWeights


def random_vgg(name: LossNetworkName) -> LossNetworkWeights:
    """A VGG with Kaiming weights, which keep the activations' scale from layer to layer.

    Activations of the deep layers are as sparse as of trained ones: files of others are refused.
    """
    torch.manual_seed(5)
    features = _vgg_features(name)
    for module in features:
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    tensors = {f"features.{key}": value for key, value in features.state_dict().items()}
    indices = activation_indices(name)
    for layer in ("relu4_3" if name == "vgg16" else "relu4_4", "relu5_1"):
        tensors[f"features.{indices[layer] - 1}.bias"] -= 1.5
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return LossNetworkWeights(name, tensors, mean, std, "random")
