"""Fixtures: real data where it is at hand, tiny media made on the spot, one Ray for all tests."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from cluster.connection import prepare_environment, ray_session
from jobs.cli import console
from jobs.specs.training import TrainGenerator
from nst_core.checkpoints.checkpoint import save_generator
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.checkpoints.library import Style, find_style
from nst_core.libraries import configure
from nst_core.networks.lean import LeanNet
from nst_core.networks.transformer import TransformerNet
from nst_core.objectives.weights.reading import LossNetworkWeights
from tests.kit.media import make_clip
from tests.kit.random_vgg import random_vgg
from tests.kit.training_jobs import save_bases, training_jobs

configure()
prepare_environment()  # before any test module imports Ray

DATA = Path(os.environ.get("NST_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests know nothing of the user's caches and styles, and download nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NST_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("NST_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        patch.delenv("NST_ADDRESS", raising=False)
        patch.delenv("NST_LOSS_NETWORK_WEIGHTS", raising=False)
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
        patch.setenv("NST_WEIGHTS_URL", "http://127.0.0.1:9")  # nobody listens there
        yield


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes test at a time: threads that wait for each other take twenty times as long.

    What a test stylizes in its own process would leave torch with more.
    """
    torch.set_num_threads(1)
    monkeypatch.setattr("jobs.applying.workers.usable_processors", lambda: 1)


@pytest.fixture(autouse=True)
def _own_console(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that runs in this process leaves no later one quiet or talkative."""
    monkeypatch.setattr(console, "_quiet", False)
    monkeypatch.setattr(console, "_verbose", False)
    monkeypatch.setattr(console, "_warned", set())
    loggers = [logging.getLogger(name) for name in ("jobs", "pipeline", "cluster", "nst_core")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="session")
def data() -> Path:
    """Photos, paintings, weights and videos; absent from a stranger's clone."""
    if not DATA.is_dir():
        message = f"needs the data folder {DATA} (or the one named by NST_DATA)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return DATA


@pytest.fixture(scope="session")
def style(tmp_path_factory: pytest.TempPathFactory) -> Style:
    """A generator of width 4 with fixed random weights: fast, and no frame stays as it was."""
    path = tmp_path_factory.mktemp("style") / "random.safetensors"
    torch.manual_seed(3)
    save_generator(path, TransformerNet(4), CheckpointInfo("johnson", {"width": 4}))
    return find_style(str(path))


@pytest.fixture(scope="session")
def lean_style(tmp_path_factory: pytest.TempPathFactory) -> Style:
    """A lean generator of width 4 with fixed random weights."""
    path = tmp_path_factory.mktemp("style") / "lean.safetensors"
    torch.manual_seed(3)
    save_generator(path, LeanNet(4), CheckpointInfo("lean", {"width": 4}))
    return find_style(str(path))


@pytest.fixture(params=["johnson", "lean"])
def each_style(request: pytest.FixtureRequest, style: Style, lean_style: Style) -> Style:
    """One of the generators that styles are trained with, then the other."""
    return {"johnson": style, "lean": lean_style}[request.param]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of 96x64 H.264 with B-frames and AAC sound, keyframes half a second apart."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    make_clip(path)
    return path


@pytest.fixture(scope="session")
def vgg19() -> LossNetworkWeights:
    """A VGG-19 with random weights: a real network, without a download."""
    return random_vgg("vgg19")


@pytest.fixture(scope="session")
def vgg19_file(vgg19: LossNetworkWeights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random VGG-19 as a file."""
    path = tmp_path_factory.mktemp("vgg") / "random.safetensors"
    tensors = {name: tensor.half() for name, tensor in vgg19.tensors.items()}
    save_file(tensors, path, metadata={"architecture": "vgg19"})
    return path


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten small pictures in two folders, of different sizes."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(10):
        size = (60 + 8 * number, 100 - 4 * number)
        coarse = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        path = folder / ("even" if number % 2 == 0 else "odd") / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        picture.save(path, quality=95)
    return folder


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder with a path that is short enough for Ray's sockets, as pytest's are not."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def ray_here() -> Iterator[None]:
    """The one embedded Ray of the test run."""
    with ray_session():
        yield


@pytest.fixture(autouse=True)
def _skip_without_heif(request: pytest.FixtureRequest) -> None:
    """Tests of a format of each kind: HEIC comes with a package that need not be there."""
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    if parameters.get("suffix") == ".heic":
        pytest.importorskip("pillow_heif")


@pytest.fixture
def cuda() -> torch.device:
    """A CUDA device: a laptop may lack one, a machine with NST_REQUIRE_GPU=1 may not."""
    if not torch.cuda.is_available():
        if os.environ.get("NST_REQUIRE_GPU") == "1":
            pytest.fail("NST_REQUIRE_GPU=1, but torch sees no CUDA device")
        pytest.skip("needs a CUDA device")
    return torch.device("cuda")


@pytest.fixture
def bases(tmp_path: Path) -> dict[str, Path]:
    """Checkpoints that styles may be added to, and some that take none."""
    return save_bases(tmp_path)


@pytest.fixture
def jobs(
    photos: Path, vgg19: LossNetworkWeights, bases: dict[str, Path], tmp_path: Path
) -> dict[str, TrainGenerator]:
    """A tiny job of every kind."""
    return training_jobs(photos, vgg19, bases, tmp_path)
