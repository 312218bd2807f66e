"""Weights as torchvision publishes them, on a server of this machine."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nst_core.objectives.layers import convolution_keys
from nst_core.objectives.weights.kept import ORIGINALS, Original
from nst_core.objectives.weights.reading import LossNetworkWeights
from tests.kit.file_server import FileServer, serve


@pytest.fixture(scope="session")
def original(vgg19: LossNetworkWeights) -> bytes:
    """A state dict as torchvision's, up to relu5_1 and with a classifier."""
    convolutions = convolution_keys("vgg19", ["relu5_1"])
    state = {
        key: tensor
        for key, tensor in vgg19.tensors.items()
        if key.replace(".bias", ".weight") in convolutions
    }
    file = io.BytesIO()
    torch.save({**state, "classifier.0.weight": torch.full((4, 4), 0.1)}, file)
    return file.getvalue()


@pytest.fixture
def server(
    original: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FileServer]:
    """Serves it under a name that ends with its hash; the caches are empty."""
    name = f"vgg19-{hashlib.sha256(original).hexdigest()[:8]}.pth"
    monkeypatch.setitem(
        ORIGINALS,
        "vgg19",
        Original(name, "torchvision VGG19_Weights.IMAGENET1K_V1", 52),
    )
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "*")
    with serve({name: original}) as served:
        monkeypatch.setenv("NST_WEIGHTS_URL", f"{served.url}/")
        yield served
