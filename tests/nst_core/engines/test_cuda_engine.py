"""The CUDA engine: which way a size goes, and that every way gives the same pixels."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
from torch import Tensor, nn
from torch._inductor.decomposition import select_decomp_table
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nst_core.checkpoints.library import Style
from nst_core.engines.cuda_engine import (
    CapturedGraph,
    CudaEngine,
    check_replay,
    compile_alone,
    compiled,
    probe_images,
)
from nst_core.engines.cuda_form import cuda_form
from nst_core.engines.halving_batches import (
    _VALUES_A_PIXEL,
    frames_a_batch,
    free_bytes,
    pixels_at_once,
)
from nst_core.engines.repeated_sizes import Kernels, RepeatedSizes, Shape
from nst_core.engines.torch_engine import TorchEngine
from nst_core.networks.fast_style_transfer import FastStyleTransferNet
from nst_core.networks.generator import Generator
from nst_core.networks.johnson_paper import JohnsonNet
from nst_core.networks.lean import LeanNet
from nst_core.networks.pytorch_examples import PytorchExamplesNet
from nst_core.networks.super_resolution import SuperResolutionNet
from nst_core.networks.texture import TextureNet
from nst_core.networks.transformer import TransformerNet
from tests.kit.media import psnr

NEVER = float("inf")


class _Device:
    """Counts what a device would be asked to do; computes 1 - x in each of the ways."""

    def __init__(self) -> None:
        self.ways: list[str] = []
        self.captures: list[tuple[Shape, Kernels]] = []
        self.open = 0
        self.failures: dict[Kernels, Exception] = {}
        self.is_slow = True
        """It is what the others wait for."""
        self.full = False
        """Eager runs find no memory while a graph holds some."""

    def run_eagerly(self, images: Tensor) -> Tensor:
        if self.full and self.open:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.ways.append("plain")
        return 1 - images

    def capture(self, shape: Shape, kernels: Kernels) -> _Recording:
        self.captures.append((shape, kernels))
        if kernels in self.failures:
            raise self.failures[kernels]
        return _Recording(self, shape, kernels)


class _Recording:
    def __init__(self, device: _Device, shape: Shape, kernels: Kernels) -> None:
        self.device, self.shape, self.kernels = device, shape, kernels
        self.closed = False
        device.open += 1

    def __call__(self, images: Tensor) -> Tensor:
        assert not self.closed
        assert tuple(images.shape) == self.shape
        self.device.ways.append(self.kernels)
        return 1 - images

    @property
    def keeps_device_busy(self) -> bool:
        return self.device.is_slow

    def close(self) -> None:
        assert not self.closed
        self.closed = True
        self.device.open -= 1


def _sizes(device: _Device, **options: Any) -> RepeatedSizes:
    return RepeatedSizes(device.run_eagerly, device.capture, **options)


def _run(sizes: RepeatedSizes, *widths: int) -> None:
    for width in widths:
        images = torch.rand(1, 3, 4, width)
        assert torch.equal(sizes.run(images), 1 - images)


def test_a_size_gets_its_graph_after_three_runs_in_a_row() -> None:
    device = _Device()
    _run(_sizes(device), 8, 8, 8, 8, 8)
    assert device.ways == ["plain", "plain", "plain", "eager", "eager"]
    assert device.captures == [((1, 3, 4, 8), "eager")]


def test_a_hundred_sizes_make_no_graph() -> None:
    device = _Device()
    _run(_sizes(device), *range(1, 101), *range(1, 101))
    assert device.captures == []


def test_the_short_last_batch_of_segments_makes_no_graph_and_drops_none() -> None:
    device = _Device()
    _run(_sizes(device), *[8, 8, 8, 8, 8, 5] * 20)
    assert device.captures == [((1, 3, 4, 8), "eager")]
    assert device.ways.count("eager") == 20 * 5 - 3


def test_a_short_batch_goes_through_the_graph_of_a_long_one() -> None:
    device = _Device()
    sizes = _sizes(device)
    long, short = torch.rand(8, 3, 4, 6), torch.rand(5, 3, 4, 6)
    for _ in range(6):
        assert torch.equal(sizes.run(long), 1 - long)
    device.ways.clear()
    for _ in range(3):
        assert torch.equal(sizes.run(short), 1 - short)
        assert torch.equal(sizes.run(long), 1 - long)
    assert device.ways == ["eager"] * 6
    assert device.captures == [((8, 3, 4, 6), "eager")]
    larger = torch.rand(9, 3, 4, 6)
    assert torch.equal(sizes.run(larger), 1 - larger)
    other = torch.rand(5, 3, 4, 7)
    assert torch.equal(sizes.run(other), 1 - other)
    assert device.ways[6:] == ["plain", "plain"]


def test_batches_that_stay_short_get_a_graph_of_their_own() -> None:
    device = _Device()
    sizes = _sizes(device)
    for count in (8, 8, 8, 8, 1, 1, 1, 1, 1):
        images = torch.rand(count, 3, 4, 6)
        assert torch.equal(sizes.run(images), 1 - images)
    assert device.captures == [((8, 3, 4, 6), "eager"), ((1, 3, 4, 6), "eager")]


def test_the_graph_used_longest_ago_makes_room() -> None:
    device = _Device()
    sizes = _sizes(device, most_graphs=2)
    _run(sizes, *[1] * 4, *[2] * 4, 1, *[3] * 4)
    assert device.open == 2
    device.ways.clear()
    _run(sizes, 1, 3, 2)
    assert device.ways == ["eager", "eager", "plain"]


def test_each_graph_that_makes_room_doubles_what_the_next_must_earn() -> None:
    device = _Device()
    _run(_sizes(device), *(width for width in range(1, 101) for _ in range(5)))
    assert len(device.captures) == 4  # the fourth made room, and the fifth would need six runs
    device = _Device()
    _run(_sizes(device), *(width for width in range(1, 31) for _ in range(200)))
    assert len(device.captures) == 30  # what comes 200 times gets its graph all the same


def test_a_size_is_compiled_once_when_enough_pixels_have_gone_through() -> None:
    device = _Device()
    _run(_sizes(device, megapixels_before_compiling=3 * 4 * 8 / 1e6), *[8] * 9)
    assert device.ways == ["plain"] * 3 + ["eager"] * 3 + ["compiled"] * 3
    assert device.captures == [((1, 3, 4, 8), "eager"), ((1, 3, 4, 8), "compiled")]
    assert device.open == 1


def test_the_sizes_that_are_compiled_are_bounded() -> None:
    device = _Device()
    sizes = _sizes(device, megapixels_before_compiling=0, most_compiled=2)
    _run(sizes, *(width for width in range(1, 5) for _ in range(20)))
    assert [shape[-1] for shape, kernels in device.captures if kernels == "compiled"] == [1, 2]
    assert device.open == 3


def test_the_graph_goes_on_while_another_thread_compiles() -> None:
    device = _Device()
    asked: list[Shape] = []
    compiled_by: Future[None] = Future()

    def compile_ahead(shape: Shape) -> Future[None]:
        asked.append(shape)
        return compiled_by

    sizes = _sizes(device, megapixels_before_compiling=0, compile_ahead=compile_ahead)
    _run(sizes, *[8] * 9)
    assert device.ways == ["plain"] * 3 + ["eager"] * 6
    compiled_by.set_result(None)
    _run(sizes, *[8] * 3)
    assert device.ways[9:] == ["compiled"] * 3
    assert asked == [(1, 3, 4, 8)]


def test_a_compiler_that_fails_in_its_thread_costs_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    device = _Device()
    failed: Future[None] = Future()
    failed.set_exception(RuntimeError("no compiler\nmore lines"))
    with caplog.at_level(logging.WARNING):
        sizes = _sizes(device, megapixels_before_compiling=0, compile_ahead=lambda _: failed)
        _run(sizes, *[8] * 9, *[9] * 9)
    assert "compiled" not in device.ways
    (record,) = caplog.records
    assert record.message.endswith("going on without: no compiler")
    kept = sizes._compilations.values()  # an error would hold the pictures of its thread
    assert not any(each.exception() for each in kept)


def test_nothing_is_compiled_where_the_device_waits_for_others() -> None:
    device = _Device()
    device.is_slow = False
    sizes = _sizes(device, megapixels_before_compiling=1e-6)
    _run(sizes, *[8] * 50)
    assert [kernels for _, kernels in device.captures] == ["eager"]
    device.is_slow = True
    _run(sizes, *[8] * 2)
    assert device.ways[-1] == "compiled"


@pytest.mark.parametrize(
    "error", [RuntimeError("no kernel\nmore lines"), FileNotFoundError("gcc"), AssertionError()]
)
def test_a_capture_that_fails_costs_one_warning_and_is_not_tried_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    device = _Device()
    device.failures = {"eager": error}
    with caplog.at_level(logging.WARNING):
        _run(_sizes(device, megapixels_before_compiling=0), *[8] * 9, *[9] * 9)
    assert device.ways == ["plain"] * 18
    assert len(device.captures) == 1
    (record,) = caplog.records
    assert "\n" not in record.message


def test_a_compiler_that_fails_leaves_the_graph_as_it_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    device = _Device()
    device.failures = {"compiled": RuntimeError("no compiler")}
    with caplog.at_level(logging.WARNING):
        _run(_sizes(device, megapixels_before_compiling=0), *[8] * 9, *[9] * 9)
    assert device.ways == ["plain"] * 3 + ["eager"] * 6 + ["plain"] * 3 + ["eager"] * 6
    assert [kernels for _, kernels in device.captures] == ["eager", "compiled", "eager"]
    assert len(caplog.records) == 1


def test_memory_that_is_short_for_a_graph_concerns_its_size_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    device = _Device()
    device.failures = {"eager": torch.OutOfMemoryError("CUDA out of memory")}
    sizes = _sizes(device)
    with caplog.at_level(logging.WARNING):
        _run(sizes, *[8] * 9)
        device.failures = {}
        _run(sizes, *[9] * 5, *[8] * 5)
    assert device.ways == ["plain"] * 12 + ["eager"] * 2 + ["plain"] * 5
    assert len(caplog.records) == 1


def test_graphs_make_room_for_a_run_that_finds_no_memory() -> None:
    device = _Device()
    sizes = _sizes(device)
    _run(sizes, *[8] * 4)
    device.full = True
    _run(sizes, 9)
    assert device.open == 0


def test_without_graphs_to_drop_the_batch_is_to_be_halved() -> None:
    def run_eagerly(images: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        RepeatedSizes(run_eagerly, _Device().capture).run(torch.rand(8, 3, 4, 4))


def test_a_replay_with_wrong_pixels_is_refused() -> None:
    probe = probe_images((2, 3, 20, 30), torch.device("cpu"))
    assert probe.shape == (2, 3, 20, 30)
    kept = torch.empty_like(probe)

    def into_one_buffer(images: Tensor) -> Tensor:
        return kept.copy_(images)

    check_replay(lambda images: images + 0.01, lambda images: images, probe)  # 40 dB
    for wrong in (
        lambda images: images + 0.05,
        lambda images: probe,
        lambda images: images * torch.nan,
        into_one_buffer,
    ):
        with pytest.raises(RuntimeError, match="differ"):
            check_replay(wrong, lambda images: images, probe)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(
    "dtype", [torch.float16, pytest.param(torch.bfloat16, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("network", "norms"),
    [
        (TransformerNet, 15),
        pytest.param(PytorchExamplesNet, 15, marks=pytest.mark.slow),
        (LeanNet, 17),
    ],
)
def test_compiled_statistics_are_taken_in_float32(
    network: Callable[[int], Generator], norms: int, dtype: torch.dtype, device: str
) -> None:
    """Without a device: what Inductor is given is traced with tensors that have no memory."""
    if device == "cuda" and torch.version.cuda is None:
        pytest.skip("this torch knows no CUDA")
    targets = _traced(network, dtype, torch.device(device))
    moments = [node for node in targets if "var_mean" in str(node.target)]
    assert len(moments) == norms
    assert not any("norm" in str(node.target) for node in targets)  # none is left to torch
    for node in moments:
        taken = node.args[0]
        assert isinstance(taken, Node)
        assert taken.meta["val"].dtype == torch.float32
        assert taken.meta["val"].device.type == device


def _traced(
    network: Callable[[int], Generator], dtype: torch.dtype, device: torch.device
) -> list[Node]:
    built = cuda_form(network(8))
    state = built.state_dict()
    with FakeTensorMode(), torch.inference_mode():
        with device:
            images = torch.empty(1, 3, 48, 48, dtype=dtype)
            parameters = {n: torch.empty(p.shape, dtype=dtype) for n, p in state.items()}

        def run(tensors: dict[str, Tensor], images: Tensor) -> Tensor:
            output: Tensor = torch.func.functional_call(built, tensors, (images,))
            return output

        traced = make_fx(run, decomposition_table=select_decomp_table(), tracing_mode="fake")
        return list(traced(parameters, images).graph.nodes)


class _BigVariance(Generator):
    """Features whose variance is 1e8, beyond float16's 65504."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(3, affine=True)

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.norm(images * 40_000) / 4 + 0.5)


def test_a_variance_beyond_float16_normalizes_as_in_float32() -> None:
    images = torch.rand(2, 3, 64, 64)
    network = _BigVariance()
    expected = network(images)
    with torch.inference_mode():
        half = TorchEngine(network, device="cpu", precision="float16").run(images)
    assert psnr(half.numpy(), expected.detach().numpy(), peak=1) > 55


@pytest.mark.slow
@pytest.mark.parametrize("build", [TransformerNet, LeanNet])
@pytest.mark.parametrize(("precision", "size"), [("float32", (61, 90)), ("float16", (64, 96))])
def test_compiled_pixels_are_the_eager_ones(
    build: Callable[[int], Generator], precision: str, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    dtype: torch.dtype = getattr(torch, precision)
    network = build(16).eval().to(dtype).to(memory_format=torch.channels_last)
    images = torch.rand(2, 3, *size).to(dtype, memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = network(images).float()
        output = compiled(network)(images).float()
    least = 90 if precision == "float32" else 55
    assert psnr(output.numpy(), expected.numpy(), peak=1) > least


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The most bytes that tensors hold at once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._see(tensor.untyped_storage())
        return result

    def _see(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self._known:
            self._known.add(storage._cdata)
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())

    def _forget(self, storage: int, size: int) -> None:
        self._known.discard(storage)
        self.now -= size


@pytest.mark.parametrize(
    ("network", "width", "scale"),
    [
        (TransformerNet(16), 16, 1),
        (TransformerNet(32), 32, 1),
        (LeanNet(24), 8, 1),
        (LeanNet(10), 4, 1),
        (JohnsonNet(32), 32, 1),
        (JohnsonNet(32, "instance"), 32, 1),
        (FastStyleTransferNet(32), 32, 1),
        (PytorchExamplesNet(32), 32, 1),
        (SuperResolutionNet(4), 64, 4),
    ],
)
def test_a_frame_takes_no_more_memory_than_is_planned(
    network: Generator, width: int, scale: int
) -> None:
    height, columns = 540, 960
    images = torch.empty(1, 3, height, columns, device="meta", dtype=torch.float16)
    network.eval().to("meta", torch.float16)
    with torch.inference_mode(), _LiveBytes() as live:
        network(images.to(memory_format=torch.channels_last))

    assert network.full_size_width == width
    assert live.peak <= _VALUES_A_PIXEL * width * 2 * height * columns * scale**2
    free = 2 * 4 * live.peak  # half of it would hold four frames' layers, but no colours
    pixels = pixels_at_once(generator_width=width, free_bytes=free, scale=scale)
    assert 1 <= frames_a_batch(height, columns, most_pixels=pixels, scale=scale) < 4


def _planned(size: tuple[int, int], width: int, free: int, scale: int = 1) -> int:
    pixels = pixels_at_once(generator_width=width, free_bytes=free, scale=scale)
    return frames_a_batch(*size, most_pixels=pixels, scale=scale)


def test_frames_a_batch_are_bounded() -> None:
    assert _planned((2160, 3840), 32, 10**9) == 1
    assert _planned((360, 640), 16, 10**12) == 16
    assert _planned((1080, 1920), 32, 8 * 10**9) == 3
    assert _planned((1080, 1920), 32, 10**12) == 8
    assert _planned((2160, 3840), 16, 10**12) == 2


@pytest.mark.parametrize("width", [16, 32, 64])
@pytest.mark.parametrize("scale", [1, 4])
def test_no_layer_has_more_values_than_32_bits_count(width: int, scale: int) -> None:
    pixels = pixels_at_once(generator_width=width, free_bytes=10**15, scale=scale)
    assert 0.9 * 2**31 < 2 * width * scale**2 * pixels < 2**31


def test_a_worker_plans_with_its_share_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (90, 100))
    monkeypatch.setattr("torch.cuda.get_per_process_memory_fraction", lambda device: 0.25)
    assert free_bytes(torch.device("cuda")) == 25


def test_a_generator_without_a_width_is_planned_as_the_papers() -> None:
    assert TextureNet(2).full_size_width == 32


_PARTS = ("_device", "_input", "_graph", "_output", "_began", "_done")


class _FullDevice:
    """A graph that is replayed and then finds no memory for its output; tells what is done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.is_over = True

    def wait_event(self, event: object) -> None:
        self.done.append("wait")

    def copy_(self, images: Tensor) -> None:
        self.done.append("copy in")

    def replay(self) -> None:
        self.done.append("replay")

    def to(self, dtype: torch.dtype, *, copy: bool) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def record(self, stream: object) -> None:
        self.done.append("record")

    def query(self) -> bool:
        return self.is_over

    def elapsed_time(self, _: object) -> float:
        return 30.0

    def synchronize(self) -> None:
        self.done.append("synchronize")


def test_a_graph_that_runs_is_waited_for_where_its_output_finds_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = _FullDevice()
    monkeypatch.setattr("torch.cuda.current_stream", lambda _: device)
    graph = CapturedGraph.__new__(CapturedGraph)
    vars(graph).update(dict.fromkeys(_PARTS, device))
    with pytest.raises(torch.OutOfMemoryError):
        graph(torch.rand(1, 3, 4, 4))
    graph.close()
    assert device.done == ["wait", "record", "copy in", "replay", "record", "synchronize"]


def test_a_device_is_busy_that_computes_for_most_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = _FullDevice()
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    graph = CapturedGraph.__new__(CapturedGraph)
    vars(graph).update(dict.fromkeys(_PARTS, device) | {"_called": None})
    found = [graph.keeps_device_busy]  # it has not run yet
    vars(graph)["_called"] = clock[0]
    for _ in range(2):  # 30 ms of 50, and of 100
        clock[0] += 0.05
        found.append(graph.keeps_device_busy)
    device.is_over = False
    found.append(graph.keeps_device_busy)
    assert found == [False, True, False, True]


def test_what_one_thread_has_compiled_another_does_not_compile_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("torch.cuda.Stream", lambda device: MagicMock())
    monkeypatch.setattr("torch.cuda.stream", lambda stream: nullcontext())
    compiled_in: list[str] = []

    def backend(module: Any, _: Any) -> Callable[..., Any]:
        compiled_in.append(threading.current_thread().name.partition("_")[0])
        forward: Callable[..., Any] = module.forward
        return forward

    compute = torch.compile(cuda_form(TransformerNet(4)), dynamic=False, backend=backend)
    with torch.inference_mode():  # as engines have them: torch tells such tensors apart
        images = torch.rand(2, 3, 16, 24).to(memory_format=torch.channels_last, copy=True)
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(1, "beside", torch.set_num_threads, (threads + 1,)) as beside:
        beside.submit(
            compile_alone,
            lambda: compute,
            images.shape,
            device=images.device,
            dtype=images.dtype,
            threads=threads,
        ).result()
    with torch.inference_mode():
        compute(images)
    assert set(compiled_in) == {"beside"}
    assert (tmp_path / "cache" / "compiling").exists()


def _reference(style: Style, images: Tensor) -> Tensor:
    return TorchEngine(style.load(), device="cpu", precision="float32").run(images)


@pytest.fixture(params=[0, NEVER], ids=["compiled", "eager kernels"])
def engine(request: pytest.FixtureRequest, each_style: Style, cuda: torch.device) -> CudaEngine:
    return CudaEngine(
        each_style.load(), precision="float16", megapixels_before_compiling=request.param
    )


@pytest.mark.gpu
def test_every_way_stays_within_40_db_without_a_warning(
    engine: CudaEngine, each_style: Style, caplog: pytest.LogCaptureFixture
) -> None:
    assert engine.name == "torch cuda float16"
    with caplog.at_level(logging.WARNING, logger="nst_core"):
        for seed in range(7):
            images = probe_images((2, 3, 61, 90), torch.device("cpu")) * (1 - seed / 10)
            output = engine.run(images)
            assert output.dtype == torch.float32
            reference = _reference(each_style, images)
            assert psnr(output.cpu().numpy(), reference.numpy(), peak=1) >= 40
    assert [record.message for record in caplog.records] == []


@pytest.mark.gpu
def test_outputs_of_a_graph_keep_their_pixels(
    engine: CudaEngine, each_style: Style, cuda: torch.device
) -> None:
    inputs = [torch.rand(2, 3, 64, 96) for _ in range(9)]
    outputs = [engine.run(images.to(cuda)) for images in inputs]  # held at the same time
    for images, output in zip(inputs, outputs, strict=True):
        assert psnr(output.cpu().numpy(), _reference(each_style, images).numpy(), peak=1) >= 40


@pytest.mark.gpu
def test_sizes_alternate_safely(engine: CudaEngine, each_style: Style, cuda: torch.device) -> None:
    sizes = [(2, 3, 64, 96), (1, 3, 64, 96), (2, 3, 45, 33), (3, 3, 16, 80)]
    in_a_row = [size for size in sizes for _ in range(6)]  # the fourth makes the first make room
    for size in [*in_a_row, *sizes, *sizes]:
        images = torch.rand(*size)
        output = engine.run(images.to(cuda)).cpu()
        assert psnr(output.numpy(), _reference(each_style, images).numpy(), peak=1) >= 40


@pytest.mark.gpu
def test_a_graph_used_on_another_stream_waits_for_its_last_use(
    engine: CudaEngine, each_style: Style, cuda: torch.device
) -> None:
    inputs = [torch.rand(2, 3, 64, 96, device=cuda) for _ in range(9)]
    outputs = []
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    for number, images in enumerate(inputs):
        with torch.cuda.stream(side if number % 2 else None):
            torch.cuda._sleep(10_000_000)  # type: ignore[no-untyped-call]
            outputs.append(engine.run(images))
    torch.cuda.synchronize()
    for images, output in zip(inputs, outputs, strict=True):
        reference = _reference(each_style, images.cpu())
        assert psnr(output.cpu().numpy(), reference.numpy(), peak=1) >= 40


@pytest.mark.gpu
def test_what_capture_forbids_costs_one_warning_and_no_pixel(
    cuda: torch.device, caplog: pytest.LogCaptureFixture
) -> None:
    class Asking(Generator):
        """Asks the device for a number, which a capture cannot give."""

        def forward(self, images: Tensor) -> Tensor:
            return images * (1.0 if images.sum().item() else 0.5)

    engine = CudaEngine(Asking(), precision="float16")
    stream = torch.cuda.current_stream()
    with caplog.at_level(logging.WARNING, logger="nst_core"):
        for _ in range(8):
            images = torch.rand(1, 3, 32, 32, device=cuda)
            assert torch.allclose(engine.run(images), images, atol=1e-3)
    assert len(caplog.records) == 1
    assert torch.cuda.current_stream() == stream


@pytest.mark.gpu
def test_noise_is_drawn_for_each_picture_on_cuda(cuda: torch.device) -> None:
    torch.manual_seed(1)
    network = TextureNet(3)
    engine = CudaEngine(network, precision="float32", seed=5)
    first, *others = [engine.run(torch.rand(2, 3, 32, 32, device=cuda)) for _ in range(6)]
    assert torch.equal(first[0], first[1])
    assert all(torch.equal(first, other) for other in others)
