"""The CUDA engine: half precision, graphs for repeated sizes, compiled kernels for long films.

``repeated_sizes.py`` decides how a size is computed. A CUDA graph has the pixels of eager torch and
leaves nothing for the CPU to launch. In compiled kernels Inductor has fused what lies between two
convolutions of the generator's CUDA form (see cuda_form.py). Their pixels differ from eager ones by
rounding: a long film's may differ by a code where another worker, or a second run, has compiled
earlier or later.

Graphs are captured here, not by ``torch.compile(mode="reduce-overhead")``, which keeps a graph of
every size without a bound, overwrites its outputs in the next run, and captures compiled code only.
Here a graph has one input and one output buffer, outputs are copied out, and the least recently
used graph goes when there are too many.

Statistics keep float32 in half precision: torch's normalisations add up in float32, and Inductor's
decomposition casts to it before ``var_mean`` (a test reads it in the graph). A variance beyond
float16's 65504 never exists as a float16, and batch normalisations keep their float32 state.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_core.caches import cache_folder
from nst_core.engines.cuda_form import cuda_form
from nst_core.engines.names import Precision
from nst_core.engines.repeated_sizes import (
    MEGAPIXELS_BEFORE_COMPILING,
    Kernels,
    RepeatedSizes,
    Replay,
    Shape,
)
from nst_core.engines.torch_engine import TorchEngine
from nst_core.files import lock
from nst_core.networks.generator import Generator

_WARM_UPS = 3
_SECONDS_BETWEEN_LOOKS = 0.2
"""At whether another process still compiles."""
_BUSY = 0.5
"""Part of the time from which on a device counts as what keeps the others waiting."""
_LEAST_AGREEMENT_DB = 30.0
"""Eager against replayed pixels. Rounding leaves more (measured with the bundled styles on a CPU:
float16 is 73 dB from float32, bfloat16 55); the picture of another input would be 11 at most."""


class CudaEngine:
    """Computes a generator on a CUDA device. For one thread at a time.

    A generator that draws noise is computed eagerly, picture by picture, as ``TorchEngine`` does.
    ``megapixels_before_compiling`` 0 compiles as soon as a size has its graph, and waits for it;
    otherwise another thread compiles, which a process that ends waits for. Infinity never does.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        precision: Precision,
        seed: int = 0,
        megapixels_before_compiling: float = MEGAPIXELS_BEFORE_COMPILING,
    ) -> None:
        self._eager = TorchEngine(generator, device="cuda", precision=precision, seed=seed)
        self.name = self._eager.name
        self.precision = precision
        self.device = self._eager.device
        self._generator = generator  # it is on the device now, in this precision
        self._sizes: RepeatedSizes | None = None
        if not generator.draws_noise:
            self._sizes = RepeatedSizes(
                self._eager.run,
                self._captured,
                compile_ahead=self._compile_ahead if megapixels_before_compiling else None,
                megapixels_before_compiling=megapixels_before_compiling,
            )

    @torch.inference_mode()
    def run(self, images: Tensor) -> Tensor:
        """Map N x 3 x H x W float32 in [0, 1] to N x 3 x scale*H x scale*W.

        Raises torch.OutOfMemoryError.
        """
        images = images.to(self.device)
        return self._sizes.run(images) if self._sizes else self._eager.run(images)

    @cached_property
    def _compiled(self) -> Callable[[Tensor], Tensor]:
        return compiled(self._generator)

    @cached_property
    def _compiler(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "compile")

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.precision)
        return dtype

    def _compile_ahead(self, shape: Shape) -> Future[None]:
        """Compile for a shape beside this thread, which goes on with the kernels that it has."""
        return self._compiler.submit(
            compile_alone,
            lambda: self._compiled,
            shape,
            device=self.device,
            dtype=self._dtype,
            threads=torch.get_num_threads(),
        )

    def _captured(self, shape: Shape, kernels: Kernels) -> Replay:
        """Make a graph, and see that it computes what eager torch does."""
        compute = self._compiled if kernels == "compiled" else self._generator
        probe = probe_images(shape, self.device)
        graph = CapturedGraph(compute, probe, self._dtype)
        check_replay(graph, self._eager.run, probe)
        return graph


class CapturedGraph:
    """A generator's kernels for one shape, recorded once; replayed on what lies in its input.

    ``example`` is N x 3 x H x W on a CUDA device. Raises RuntimeError for what cannot be
    recorded, torch.OutOfMemoryError, and what compiling raises.
    """

    def __init__(
        self, compute: Callable[[Tensor], Tensor], example: Tensor, dtype: torch.dtype
    ) -> None:
        self._device = example.device
        self._input = example.to(dtype, memory_format=torch.channels_last, copy=True)
        self._graph = torch.cuda.CUDAGraph()
        self._began, self._done = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        self._called: float | None = None
        current = torch.cuda.current_stream(self._device)
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        # Around all of it, because torch.cuda.graph leaves its stream the current one where
        # capture fails: what follows would then not wait for what came before.
        with torch.cuda.stream(current):
            side.wait_stream(current)
            with torch.cuda.stream(side):  # compiles, loads kernels, chooses algorithms
                for _ in range(_WARM_UPS):
                    compute(self._input)
            current.wait_stream(side)
            # Other threads decode, copy and pin meanwhile: "global" would forbid it to them.
            with torch.cuda.graph(self._graph, stream=side, capture_error_mode="thread_local"):
                self._output = compute(self._input)

    def __call__(self, images: Tensor) -> Tensor:
        """Map images of the example's shape to float32 outputs in memory of their own."""
        current = torch.cuda.current_stream(self._device)
        current.wait_event(self._done)  # the last run may have been on another stream
        self._called = time.monotonic()
        self._began.record(current)
        self._input.copy_(images)
        self._graph.replay()
        try:
            return self._output.to(torch.float32, copy=True)
        finally:  # also where there is no memory to copy to: the graph runs all the same
            self._done.record(current)

    @property
    def keeps_device_busy(self) -> bool:
        """Whether the last run is not over, or has taken half of the time since its call."""
        if self._called is None:
            return False
        if not self._done.query():  # type: ignore[no-untyped-call]
            return True
        seconds: float = self._began.elapsed_time(self._done) / 1000
        return seconds >= _BUSY * (time.monotonic() - self._called)

    def close(self) -> None:
        """Wait for the last replay: destroying a graph does not."""
        self._done.synchronize()


def compiled(generator: Generator) -> Callable[[Tensor], Tensor]:
    """Return the generator's CUDA form as Inductor makes it, for each size anew.

    It compiles at its first call, and raises there what torch, Triton or a C compiler raise.
    """
    options: dict[str, str | int | bool | Callable[..., object]] = {
        # No timings on the device choose the order of sums: every worker gets the same kernels.
        "deterministic": True,
        # Narrow generators too keep the channels last; Inductor would lay out each layer anew.
        "force_layout_optimization": True,
    }
    with torch.inference_mode(mode=False):  # its weights are ordinary tensors
        form = cuda_form(generator)
    return torch.compile(form, fullgraph=True, dynamic=False, options=options)


@torch.inference_mode()
def compile_alone(
    build: Callable[[], Callable[[Tensor], Tensor]],
    shape: Shape,
    *,
    device: torch.device,
    dtype: torch.dtype,
    threads: int,
) -> None:
    """Have what is built compiled for a shape, in one process of a machine at a time.

    The others then find the kernels in Inductor's cache. ``threads`` are those of the thread that
    will compute: torch compiles anew for another number.
    """
    torch.set_num_threads(threads)
    with ExitStack() as held:
        with suppress(OSError):  # without a place for the lock they compile at once
            cache_folder().mkdir(parents=True, exist_ok=True)
            file = held.enter_context((cache_folder() / "compiling").open("w"))
            while not lock(file) and threading.main_thread().is_alive():  # else it is the end
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        # Weights and pictures are of this stream; others see them once all is done.
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(stream):
            probe = probe_images(shape, device)
            build()(probe.to(dtype, memory_format=torch.channels_last, copy=True))
        stream.synchronize()


def probe_images(shape: Shape, device: torch.device) -> Tensor:
    """Blocks of random colours, N x 3 x H x W float32: contrast that a dark frame may lack."""
    *count, height, width = shape
    random = torch.Generator().manual_seed(0)
    blocks = torch.rand((*count, -(-height // 8), -(-width // 8)), generator=random).to(device)
    return F.interpolate(blocks, scale_factor=8.0)[..., :height, :width]


def check_replay(
    replay: Callable[[Tensor], Tensor], run_eagerly: Callable[[Tensor], Tensor], probe: Tensor
) -> None:
    """Replay two inputs, keep both outputs, compare them with eager torch. Raises RuntimeError."""
    probes = (probe, 1 - probe)
    outputs = [replay(images) for images in probes]
    for images, output in zip(probes, outputs, strict=True):
        error = (output - run_eagerly(images)).square_().mean().item()
        if not error <= 10 ** (-_LEAST_AGREEMENT_DB / 10):  # also where it is not a number
            raise RuntimeError(f"its pixels differ from eager ones, mean square error {error:.2g}")
