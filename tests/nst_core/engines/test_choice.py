"""GPUs that are not NVIDIA's, faked: what computes on them, in which precision, or why nothing."""

from __future__ import annotations

from typing import Any

import openvino
import pytest
import torch
from torch import Tensor

from nst_core.color.yuv import YuvFrames
from nst_core.engines import choice, openvino_engine
from nst_core.engines.choice import choose_device, choose_engine, half_precision, make_engine
from nst_core.engines.device_transfer import one_by_one
from nst_core.engines.halving_batches import HalvingBatches, free_bytes
from nst_core.engines.names import DeviceChoice, EngineChoice, Precision
from nst_core.errors import EnvironmentProblem, InputError
from nst_core.networks.transformer import TransformerNet
from tests.kit.host_traffic import CUDA, watched
from tests.kit.media import psnr


class _Machine:
    """Says which GPUs are here."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.has()

    def has(self, *gpus: str, hip: str | None = None) -> None:
        patch = self._patch
        patch.setattr(torch.cuda, "is_available", lambda: "cuda" in gpus)
        patch.setattr(torch.version, "hip", hip)
        patch.setattr(torch.backends.mps, "is_available", lambda: "mps" in gpus)
        patch.setattr(torch.xpu, "is_available", lambda: "xpu" in gpus)
        patch.setattr(choice, "_openvino_sees_gpu", lambda: "openvino" in gpus)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> _Machine:
    return _Machine(monkeypatch)


@pytest.mark.parametrize(
    ("gpus", "engine", "device", "chosen"),
    [
        (["mps"], "auto", "mps", ("torch", "mps")),
        (["mps"], "auto", "auto", ("openvino", "cpu")),  # not tested: only where asked for
        (["xpu"], "auto", "xpu", ("torch", "xpu")),
        (["xpu", "openvino"], "auto", "xpu", ("torch", "xpu")),
        (["xpu", "openvino"], "openvino", "xpu", ("openvino", "xpu")),
        (["openvino"], "auto", "xpu", ("openvino", "xpu")),
        (["openvino"], "openvino", "auto", ("openvino", "cpu")),
        (["cuda"], "auto", "auto", ("torch", "cuda")),
        (["cuda"], "openvino", "auto", ("openvino", "cpu")),
        (["cuda"], "auto", "cpu", ("openvino", "cpu")),
    ],
)
def test_what_computes_where(
    gpus: list[str],
    engine: EngineChoice,
    device: DeviceChoice,
    chosen: tuple[str, str],
    machine: _Machine,
) -> None:
    machine.has(*gpus)
    assert choose_engine(engine, device) == chosen


def test_rocm_is_what_torch_calls_cuda(machine: _Machine) -> None:
    machine.has("cuda", hip="7.2")
    assert choose_device("rocm") == choose_device("cuda") == choose_device("auto") == "cuda"
    machine.has("cuda")
    with pytest.raises(EnvironmentProblem, match="--device rocm: torch sees no GPU of AMD's here"):
        choose_device("rocm")


@pytest.mark.parametrize(("device", "maker"), [("rocm", "AMD"), ("mps", "Apple"), ("xpu", "Intel")])
def test_a_gpu_that_is_not_there_is_one_clear_line(
    device: DeviceChoice, maker: str, machine: _Machine
) -> None:
    with pytest.raises(EnvironmentProblem) as told:
        choose_engine("auto", device)
    assert str(told.value) == (
        f"--device {device}: torch sees no GPU of {maker}'s here; use --device cpu, or see "
        "`nst doctor`"
    )


def test_openvino_computes_on_cpus_and_intels_gpus_only(machine: _Machine) -> None:
    with pytest.raises(EnvironmentProblem, match="OpenVINO sees no GPU of Intel's here"):
        choose_engine("openvino", "xpu")
    machine.has("mps", "cuda")
    for device in ("mps", "cuda"):
        with pytest.raises(InputError, match="--engine openvino runs on the CPU"):
            choose_engine("openvino", device)


class _Torch:
    """An engine of torch's on a device that is not here."""

    def __init__(self, generator: Any, *, device: str, precision: Precision, seed: int = 0) -> None:
        self.name = f"torch {device} {precision}"
        self._largest = max(float(each.detach().abs().max()) for each in generator.parameters())
        self._is_half = precision == "float16"

    def run(self, images: Tensor) -> Tensor:
        return images * float("nan") if self._is_half and self._largest > 1e4 else images


@pytest.mark.parametrize(("device", "wide"), [("mps", "float32"), ("xpu", "bfloat16")])
def test_gpus_compute_in_float16_or_what_holds_more(
    device: Any, wide: str, machine: _Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.has(device)
    monkeypatch.setattr(choice, "TorchEngine", _Torch)
    network = TransformerNet(4)
    assert make_engine(network, device=device).name == f"torch {device} float16"
    next(network.parameters()).data *= 1e6
    assert half_precision(network, device) == wide
    assert make_engine(network, device=device).name == f"torch {device} {wide}"
    assert make_engine(network, device=device, precision="float16").name.endswith("float16")


class _Core:
    """OpenVINO's, with a GPU that is this CPU."""

    available_devices = ("CPU", "GPU.0")

    def __init__(self) -> None:
        self.hints: list[dict[str, Any]] = []
        self._core = openvino.Core()

    def compile_model(self, model: Any, device: str, hints: dict[str, Any]) -> Any:
        assert device == "GPU"
        self.hints.append(hints)
        return self._core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def read_model(self, path: Any) -> Any:
        return self._core.read_model(path)


def test_openvino_computes_on_intels_gpus(
    machine: _Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = _Core()
    monkeypatch.setattr(openvino_engine, "_core", lambda: core)
    assert openvino_engine.sees_gpu()
    machine.has("openvino")
    torch.manual_seed(0)
    network = TransformerNet(4).eval()
    engine = make_engine(network, device="xpu")
    assert (engine.name, engine.precision) == ("openvino xpu float16", "float16")
    images = torch.rand(3, 3, 61, 90)
    expected = make_engine(network, engine="torch", device="cpu").run(images)
    assert psnr(engine.run(images).numpy(), expected.numpy(), peak=1) > 60
    assert [hints["INFERENCE_PRECISION_HINT"] for hints in core.hints] == ["f16", "f32"]
    monkeypatch.setattr(choice, "_are_close", lambda half, exact: False)
    assert make_engine(network, device="xpu").name == "openvino xpu float32"
    for precision in ("bfloat16", "int8"):
        with pytest.raises(InputError, match=f"--precision {precision}: OpenVINO on a GPU has"):
            make_engine(network, device="xpu", precision=precision)


@pytest.mark.skipif(torch.version.cuda is None, reason="this torch knows no GPU")
def test_without_streams_batches_go_to_the_gpu_and_come_back_one_by_one() -> None:
    seen: list[str] = []

    def compute(frames: YuvFrames) -> YuvFrames:
        seen.append(f"{frames.luma.device.type} {frames.chroma.device.type}")
        return frames

    with watched():
        batch = YuvFrames(torch.empty(1, 4, 6), torch.empty(1, 2, 2, 3))
        results = one_by_one([batch, None, batch], compute, CUDA)
        homes = [result.luma.device.type for result in results]
    assert seen == ["cuda cuda"] * 2
    assert homes == ["cpu"] * 2


def test_memory_that_is_free_is_asked_of_each_kind_of_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.xpu, "mem_get_info", lambda device: (7, 9))
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 10)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 4)
    assert free_bytes(torch.device("xpu")) == 7
    assert free_bytes(torch.device("mps")) == 6


def test_memory_that_runs_out_on_apples_gpus_halves_batches() -> None:
    def compute(part: slice) -> int:
        count: int = part.stop - part.start
        if count > 2:
            raise RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB, ...)")
        return count

    batches = HalvingBatches()
    assert batches.run(5, compute) == [2, 2, 1]

    def fail(_: slice) -> None:
        raise RuntimeError("another error")

    with pytest.raises(RuntimeError, match="another error"):
        batches.run(2, fail)
