"""The networks of two other programs, from their descriptions: independent references.

In float64, and sharing nothing with our networks: one is functional torch, the other NumPy on
TensorFlow's layout.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

WIDTH = 6
Arrays = dict[str, NDArray[np.float32]]
State = dict[str, Tensor]


def layers_of_fast_style_transfer(w: int) -> list[tuple[str, int, int, int]]:
    """Name, kernel size, third and fourth dimension of TensorFlow's kernel."""
    residual = [(f"res{b}.{i}", 3, 4 * w, 4 * w) for b in range(1, 6) for i in (1, 2)]
    return [
        *(("conv1", 9, 3, w), ("conv2", 3, w, 2 * w), ("conv3", 3, 2 * w, 4 * w)),
        *residual,
        *(("up1", 3, 2 * w, 4 * w), ("up2", 3, w, 2 * w), ("conv_out", 9, w, 3)),
    ]


def random_arrays(width: int = WIDTH) -> Arrays:
    """Weights of fast-style-transfer in TensorFlow's layout."""
    random = np.random.default_rng(5)
    found: Arrays = {}
    for name, side, third, fourth in layers_of_fast_style_transfer(width):
        outputs = third if name.startswith("up") else fourth
        kernel = random.normal(0, 0.1, (side, side, third, fourth))
        found[f"{name}.weight"] = kernel.astype(np.float32)
        found[f"{name}.in_shift"] = random.normal(0, 0.3, outputs).astype(np.float32)
        found[f"{name}.in_scale"] = random.uniform(0.5, 1.5, outputs).astype(np.float32)
    return found


def tiny_arrays() -> Arrays:
    """Weights of width 1, as TensorFlow 2.21 has saved them to ``tests/foreign``."""
    found = {}
    start = 0
    for name, array in random_arrays(1).items():
        numbers = np.arange(start, start := start + array.size) * 37 % 101
        found[name] = ((numbers - 50) / 512).astype(np.float32).reshape(array.shape)
    return found


def random_state() -> State:
    """A state dict of PyTorch's example."""
    torch.manual_seed(6)
    w = WIDTH
    convs = {
        "conv1": (w, 3, 9, "in1"),
        "conv2": (2 * w, w, 3, "in2"),
        "conv3": (4 * w, 2 * w, 3, "in3"),
        "deconv1": (2 * w, 4 * w, 3, "in4"),
        "deconv2": (w, 2 * w, 3, "in5"),
        "deconv3": (3, w, 9, ""),
    }
    for block in (f"res{number}" for number in range(1, 6)):
        convs |= {f"{block}.conv{i}": (4 * w, 4 * w, 3, f"{block}.in{i}") for i in (1, 2)}
    found: State = {}
    for name, (outputs, inputs, side, norm) in convs.items():
        fan_in = inputs * side * side
        found[f"{name}.conv2d.weight"] = torch.randn(outputs, inputs, side, side) / fan_in**0.5
        found[f"{name}.conv2d.bias"] = torch.randn(outputs) * 0.1
        if norm:
            found[f"{norm}.weight"] = torch.rand(outputs) + 0.5
            found[f"{norm}.bias"] = torch.randn(outputs) * 0.3
    found["deconv3.conv2d.weight"] *= 90  # nothing bounds the output: span the range and more
    found["deconv3.conv2d.bias"] += 128
    return found


def reference_of_pytorch_examples(state: State, image: Tensor) -> Tensor:
    """1 x 3 x H x W on 0..255 to the same, as large as the original's picture."""
    weights = {name: tensor.double() for name, tensor in state.items()}

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        kernel = weights[f"{name}.conv2d.weight"]
        x = F.pad(x, [kernel.shape[-1] // 2] * 4, mode="reflect")
        return F.conv2d(x, kernel, weights[f"{name}.conv2d.bias"], stride=stride)

    def norm(name: str, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
        scale, shift = (weights[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def doubled(x: Tensor) -> Tensor:
        return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    x = image.double()
    for number, stride in ((1, 1), (2, 2), (3, 2)):
        x = norm(f"in{number}", conv(f"conv{number}", x, stride)).relu()
    for block in (f"res{number}" for number in range(1, 6)):
        y = norm(f"{block}.in1", conv(f"{block}.conv1", x)).relu()
        x = x + norm(f"{block}.in2", conv(f"{block}.conv2", y))
    x = norm("in4", conv("deconv1", doubled(x))).relu()
    x = norm("in5", conv("deconv2", doubled(x))).relu()
    return conv("deconv3", x)


def reference_of_fast_style_transfer(arrays: Arrays, image: NDArray[Any]) -> NDArray[Any]:
    """H x W x 3 on 0..255 to the same, as large as the original's picture."""

    def norm(name: str, x: NDArray[Any]) -> NDArray[Any]:
        mean, variance = x.mean(axis=(0, 1)), x.var(axis=(0, 1))
        normal = (x - mean) / np.sqrt(variance + 1e-3)
        scaled: NDArray[Any] = arrays[f"{name}.in_scale"] * normal + arrays[f"{name}.in_shift"]
        return scaled

    def conv(name: str, x: NDArray[Any], stride: int = 1) -> NDArray[Any]:
        kernel = arrays[f"{name}.weight"].astype(np.float64)
        side = len(kernel)
        out = [-(-length // stride) for length in x.shape[:2]]
        pads = []
        for length, result in zip(x.shape[:2], out, strict=True):
            total = max((result - 1) * stride + side - length, 0)
            pads.append((total // 2, total - total // 2))
        padded = np.pad(x, (*pads, (0, 0)))
        y = np.zeros((*out, kernel.shape[3]))
        for u in range(side):
            for v in range(side):
                rows = slice(u, u + stride * (out[0] - 1) + 1, stride)
                columns = slice(v, v + stride * (out[1] - 1) + 1, stride)
                y += padded[rows, columns] @ kernel[u, v]
        return norm(name, y)

    def doubling(name: str, x: NDArray[Any]) -> NDArray[Any]:
        kernel = arrays[f"{name}.weight"].astype(np.float64)
        height, width = x.shape[:2]
        y = np.zeros((2 * height + 1, 2 * width + 1, kernel.shape[2]))
        for u in range(3):
            for v in range(3):
                y[u : u + 2 * height : 2, v : v + 2 * width : 2] += x @ kernel[u, v].T
        return norm(name, y[:-1, :-1])

    x = image.astype(np.float64)
    for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2)):
        x = np.maximum(conv(name, x, stride), 0)
    for block in (f"res{number}" for number in range(1, 6)):
        x = x + conv(f"{block}.2", np.maximum(conv(f"{block}.1", x), 0))
    for name in ("up1", "up2"):
        x = np.maximum(doubling(name, x), 0)
    picture: NDArray[Any] = 150 * np.tanh(conv("conv_out", x)) + 127.5
    return picture
