from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from nst_core.checkpoints.library import Style, bundled_styles, find_style
from nst_core.engines.choice import choose_device, half_precision, make_engine
from nst_core.errors import EnvironmentProblem, InputError
from nst_core.networks.generator import Generator
from nst_core.networks.johnson_paper import JohnsonNet
from nst_core.networks.transformer import TransformerNet
from tests.kit.media import psnr


def _generator(style: Style) -> Generator:
    return style.load()


@pytest.mark.parametrize(
    "size",
    [
        *((61, 90), (5, 3), (1, 1)),
        *(pytest.param(each, marks=pytest.mark.slow) for each in ((64, 96), (18, 17), (9, 40))),
    ],
)
def test_openvino_computes_what_torch_computes(each_style: Style, size: tuple[int, int]) -> None:
    images = torch.rand(3, 3, *size)
    reference = make_engine(_generator(each_style), engine="torch", device="cpu").run(images)
    exact = make_engine(_generator(each_style), engine="openvino", precision="float32").run(images)
    assert psnr(exact.numpy(), reference.numpy(), peak=1) > 80
    chosen = make_engine(_generator(each_style), engine="openvino").run(images)
    # Of so small a picture LeanNet's norms see four to nine numbers, and enlarge their rounding.
    least = 25 if each_style.name == "lean" and min(size) < 20 else 40
    assert psnr(chosen.numpy(), reference.numpy(), peak=1) >= least


@pytest.mark.parametrize(
    "name",
    # The least close of them always; together they take long.
    [
        name if name == "starry_night" else pytest.param(name, marks=pytest.mark.slow)
        for name in bundled_styles()
    ],
)
def test_bundled_styles_stay_within_40_db_on_real_frames(name: str, data: Path) -> None:
    import av

    with av.open(str(data / "video" / "bunny.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    batch = torch.from_numpy(np.stack(frames[::48])).permute(0, 3, 1, 2).float() / 255
    assert len(batch) == 5
    reference = make_engine(_generator(find_style(name)), engine="torch", device="cpu").run(batch)
    fast = make_engine(_generator(find_style(name)), device="cpu").run(batch)
    for number in range(len(batch)):
        assert psnr(fast[number].numpy(), reference[number].numpy(), peak=1) >= 40


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_keeps_running_variances_beyond_its_range(
    precision: Literal["bfloat16", "float16"],
) -> None:
    torch.manual_seed(0)
    network = JohnsonNet(4, "batch").eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.fill_(1e6)  # type: ignore[union-attr]
            module.weight.data.fill_(1500.0)
    images = torch.rand(1, 3, 48, 48)
    reference = make_engine(copy.deepcopy(network), engine="torch", device="cpu").run(images)
    assert reference.std() > 0.2
    half = make_engine(network, engine="torch", device="cpu", precision=precision).run(images)
    assert psnr(half.numpy(), reference.numpy(), peak=1) > 40


def test_pixels_do_not_depend_on_the_number_of_threads(each_style: Style) -> None:
    images = torch.rand(4, 3, 72, 88)
    one, two = (
        make_engine(_generator(each_style), engine="openvino", threads=threads).run(images)
        for threads in (1, 2)
    )
    assert torch.equal(one, two)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_one_error_does_not_poison_the_engine(style: Style, frames: int) -> None:
    engine = make_engine(_generator(style), engine="openvino", threads=2)
    good = torch.rand(frames, 3, 32, 32)
    expected = engine.run(good)
    for _ in range(2):
        with pytest.raises(EnvironmentProblem, match="cannot compute"):
            engine.run(torch.rand(frames, 5, 32, 32))  # five channels
    assert torch.equal(engine.run(good), expected)


def test_no_python_runs_on_the_threads_of_openvino(
    style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino

    def callback(*_: object) -> None:
        raise AssertionError("a callback has been set")

    for kind in (openvino.InferRequest, openvino.AsyncInferQueue):
        monkeypatch.setattr(kind, "set_callback", callback)
    make_engine(_generator(style), engine="openvino", threads=2).run(torch.rand(3, 3, 32, 32))


def test_a_second_start_reads_what_the_first_traced(
    style: Style, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path))
    images = torch.rand(1, 3, 32, 32)
    first = make_engine(_generator(style), engine="openvino").run(images)

    def traced_again(*_: object, **__: object) -> None:
        raise AssertionError("traced again")

    monkeypatch.setattr("openvino.convert_model", traced_again)
    assert torch.equal(make_engine(_generator(style), engine="openvino").run(images), first)
    with pytest.raises(AssertionError, match="traced again"):  # other weights, other file
        make_engine(TransformerNet(4), engine="openvino")


def test_a_damaged_cache_is_made_anew(
    style: Style, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path))
    images = torch.rand(1, 3, 32, 32)
    first = make_engine(_generator(style), engine="openvino").run(images)
    for file in tmp_path.rglob("*.xml"):
        file.write_text("<net")
    assert torch.equal(make_engine(_generator(style), engine="openvino").run(images), first)


def test_float16_on_the_cpu_is_refused(style: Style) -> None:
    with pytest.raises(InputError, match="float16"):
        make_engine(_generator(style), engine="openvino", device="cpu", precision="float16")


def test_openvino_on_cuda_is_refused(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(InputError, match="openvino"):
        make_engine(_generator(style), engine="openvino", device="cuda")


def test_cuda_without_a_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"
    with pytest.raises(EnvironmentProblem, match="--device cpu"):
        choose_device("cuda")


def test_half_precision_is_float16_unless_numbers_are_beyond_it() -> None:
    torch.manual_seed(0)
    network = TransformerNet(4).eval()
    assert half_precision(network, "cpu") == "float16"
    assert next(network.parameters()).dtype == torch.float32
    conv = network.get_submodule("encoder.1.0")
    for parameter in conv.parameters():
        parameter.data *= 1e6  # the norm behind it takes that back, where it is finite
    assert half_precision(network, "cpu") == "bfloat16"


@pytest.mark.gpu
def test_cuda_stays_within_40_db(each_style: Style, cuda: torch.device) -> None:
    images = torch.rand(2, 3, 61, 90)
    reference = make_engine(_generator(each_style), engine="torch", device="cpu").run(images)
    half = make_engine(_generator(each_style), device="cuda").run(images).cpu()
    assert psnr(half.numpy(), reference.numpy(), peak=1) >= 40


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_no_thread_of_openvino_is_bound_to_one_processor() -> None:
    """Workers are processes of one thread each: bound, all would share the first processor."""
    code = (
        "import contextlib, os, pathlib, threading, torch\n"
        "from nst_core.engines.choice import make_engine\n"
        "from nst_core.networks.transformer import TransformerNet\n"
        "engine = make_engine(TransformerNet(4), engine='openvino', threads=1)\n"
        "work = threading.Thread(target=engine.run, args=(torch.rand(20, 3, 128, 128),))\n"
        "work.start()\n"
        "seen = set()\n"
        "while work.is_alive():\n"  # it is bound while it computes
        "    for task in pathlib.Path('/proc/self/task').iterdir():\n"
        "        with contextlib.suppress(ProcessLookupError):\n"
        "            seen.add(len(os.sched_getaffinity(int(task.name))))\n"
        "print(sorted(seen))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == f"[{len(os.sched_getaffinity(0))}]"
