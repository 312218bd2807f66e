"""The CUDA engine: half precision, graphs for repeated sizes, compiled kernels for long films.

``RepeatedSizes`` decides how a size is computed: at first by eager torch; after three times in a
row by a CUDA graph of the same kernels, with the same pixels and nothing left for the CPU to
launch; and once plain torch has taken about as long for its pixels as compiling takes, by a graph
of compiled kernels, in which Inductor has fused what lies between two convolutions. Compiled pixels
differ from eager ones by rounding: a long film's may differ by a code where another worker, or a
second run, has compiled earlier or later.

Graphs are captured here, not by ``torch.compile(mode="reduce-overhead")``, which keeps a graph of
every size without a bound, overwrites its outputs in the next run, and captures compiled code only.
Here a graph has one input and one output buffer, outputs are copied out, and the least recently
used graph goes when there are too many.

Statistics keep float32 in half precision: torch's normalisations add up in float32, and Inductor's
decomposition casts to it before ``var_mean`` (a test reads it in the graph). A variance beyond
float16's 65504 never exists as a float16, and batch normalisations keep their float32 state.

Whatever fails while a graph is made (no compiler, a kernel that capture forbids, no memory,
pixels that are not the eager ones) costs one warning; the size goes on as it was before.
"""

from __future__ import annotations

import gc
import logging
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_core.engines.names import Precision
from nst_core.engines.torch_engine import TorchEngine
from nst_core.networks.generator import Generator
from nst_core.wording import first_line

_log = logging.getLogger(__name__)

Kernels = Literal["eager", "compiled"]
Shape = tuple[int, ...]

_REPEATS = 3
_MOST_REPEATS = 96
"""However often graphs had to make room; making a graph is the work of about ten runs."""
_MOST_GRAPHS = 3
_MOST_COMPILED = 4
"""Sizes, in an engine's life. torch keeps what it has compiled, of 8 sizes at most."""
_MEGAPIXELS_BEFORE_COMPILING = 4000.0
"""Estimated, not measured: 2000 frames of 1080p, about 30 s for plain torch on a large GPU, which
is what compiling takes."""

_WARM_UPS = 3
_LEAST_AGREEMENT_DB = 30.0
"""Eager against replayed pixels. Rounding leaves more (measured with the bundled styles on a CPU:
float16 is 73 dB from float32, bfloat16 55); the picture of another input would be 11 at most."""

_MOST_FRAMES = 16
_VALUES_A_PIXEL = 6
"""Values a pixel, in layers of ``full_size_width`` channels, that a forward pass holds at its
peak. Counted for the generators that draw no noise: 2.1 to 5.6 (a test counts again)."""
_COLOUR_BYTES_A_PIXEL = 100
"""Float32 RGB in and out, planes, and what converts them."""


class Replay(Protocol):
    """Computes images of one shape."""

    def __call__(self, images: Tensor) -> Tensor:
        """Map images of that shape to outputs that stay as they are when it is called again."""
        ...

    def close(self) -> None:
        """Wait until the device is done with it. It is not called afterwards."""
        ...


@dataclass
class _Held:
    replay: Replay
    kernels: Kernels
    megapixels: float


class RepeatedSizes:
    """Decides which way a size goes. Knows nothing of CUDA: ``run_eagerly`` and ``capture`` do.

    ``repeats`` in a row earn a size its graph; ``most_graphs`` are held, and each time one has to
    make room the next must be earned by twice as many. A graph of compiled kernels replaces the
    first one after ``megapixels_before_compiling``, for ``most_compiled`` sizes.

    A ``capture`` that fails is not tried again with the same kind of kernels; one that runs out
    of memory is not tried again with this size. Only the first failure is a warning.
    """

    def __init__(
        self,
        run_eagerly: Callable[[Tensor], Tensor],
        capture: Callable[[Shape, Kernels], Replay],
        *,
        repeats: int = _REPEATS,
        most_graphs: int = _MOST_GRAPHS,
        most_compiled: int = _MOST_COMPILED,
        megapixels_before_compiling: float = _MEGAPIXELS_BEFORE_COMPILING,
    ) -> None:
        self._run_eagerly = run_eagerly
        self._capture = capture
        self._repeats = repeats
        self._most_graphs = most_graphs
        self._compilations_left = most_compiled
        self._megapixels_before_compiling = megapixels_before_compiling
        self._held: OrderedDict[Shape, _Held] = OrderedDict()
        self._last: Shape = ()
        self._in_a_row = 0
        self._given_up: set[Kernels | tuple[Shape, Kernels]] = set()
        self._warned = False

    def run(self, images: Tensor) -> Tensor:
        """Compute ``images``. Raises torch.OutOfMemoryError when no graph is left to drop."""
        try:
            return self._run(images)
        except torch.OutOfMemoryError:
            if not self._held:
                raise
        # Beyond the handler: its traceback would hold the tensors.
        while self._held:
            self._drop_oldest()
        _collect_memory()
        return self._run_eagerly(images)

    def _run(self, images: Tensor) -> Tensor:
        shape = tuple(images.shape)
        self._in_a_row = self._in_a_row + 1 if shape == self._last else 1
        self._last = shape
        held = self._held.get(shape)
        if held is None:
            if self._in_a_row <= self._repeats:  # these runs are eager; the next gets a graph
                return self._run_eagerly(images)
            held = self._first_graph(shape)
        else:
            held = self._compiled_graph(shape, held)
        if held is None:
            return self._run_eagerly(images)
        self._held.move_to_end(shape)
        held.megapixels += math.prod(shape) / shape[1] / 1e6
        return held.replay(images)

    def _first_graph(self, shape: Shape) -> _Held | None:
        if not self._may_capture(shape, "eager"):
            return None
        if len(self._held) == self._most_graphs:
            self._drop_oldest()
        return self._captured(shape, "eager", megapixels=0)

    def _compiled_graph(self, shape: Shape, held: _Held) -> _Held:
        """Return what is to be used from now on: a new graph, or ``held``."""
        if (
            held.kernels == "compiled"
            or held.megapixels < self._megapixels_before_compiling
            or self._compilations_left == 0
            or not self._may_capture(shape, "compiled")
        ):
            return held
        self._compilations_left -= 1
        compiled = self._captured(shape, "compiled", megapixels=held.megapixels)
        if compiled is None:
            return held
        held.replay.close()
        return compiled

    def _may_capture(self, shape: Shape, kernels: Kernels) -> bool:
        return not {kernels, (shape, kernels)} & self._given_up

    def _captured(self, shape: Shape, kernels: Kernels, *, megapixels: float) -> _Held | None:
        try:
            replay = self._capture(shape, kernels)
        except torch.OutOfMemoryError as error:
            self._give_up((shape, kernels), kernels, error)
        except Exception as error:  # of torch, Triton, a C compiler, the driver
            self._give_up(kernels, kernels, error)
        else:
            self._held[shape] = _Held(replay, kernels, megapixels)
            return self._held[shape]
        _collect_memory()
        return None

    def _give_up(
        self, what: Kernels | tuple[Shape, Kernels], kernels: Kernels, error: Exception
    ) -> None:
        self._given_up.add(what)
        reason = first_line(error)
        _log.log(
            logging.DEBUG if self._warned else logging.WARNING,
            "no CUDA graph of %s kernels, going on without: %s",
            kernels,
            reason,
        )
        self._warned = True

    def _drop_oldest(self) -> None:
        _, held = self._held.popitem(last=False)
        held.replay.close()
        self._repeats = min(2 * self._repeats, _MOST_REPEATS)


class CudaEngine:
    """Computes a generator on a CUDA device. For one thread at a time.

    A generator that draws noise is computed eagerly, picture by picture, as ``TorchEngine`` does.
    ``megapixels_before_compiling`` 0 compiles as soon as a size has its graph; infinity never does.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        precision: Precision,
        seed: int = 0,
        megapixels_before_compiling: float = _MEGAPIXELS_BEFORE_COMPILING,
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
                megapixels_before_compiling=megapixels_before_compiling,
            )

    @torch.inference_mode()
    def run(self, images: Tensor) -> Tensor:
        """Map N x 3 x H x W float32 in [0, 1] to N x 3 x scale*H x scale*W.

        Raises torch.OutOfMemoryError.
        """
        images = images.to(self.device)
        return self._sizes.run(images) if self._sizes else self._eager.run(images)

    def _captured(self, shape: Shape, kernels: Kernels) -> Replay:
        """Make a graph, and see that it computes what eager torch does."""
        compute = compiled(self._generator) if kernels == "compiled" else self._generator
        probe = probe_images(shape, self.device)
        dtype: torch.dtype = getattr(torch, self.precision)
        graph = CapturedGraph(compute, probe, dtype)
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
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
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
        self._input.copy_(images)
        self._graph.replay()
        output = self._output.to(torch.float32, copy=True)
        self._done.record(current)
        return output

    def close(self) -> None:
        """Wait for the last replay: destroying a graph does not."""
        self._done.synchronize()


def compiled(generator: Generator) -> Callable[[Tensor], Tensor]:
    """Return the generator as Inductor makes it, for each size anew; the generator stays plain.

    It compiles at its first call, and raises there what torch, Triton or a C compiler raise.
    """
    options: dict[str, str | int | bool | Callable[..., object]] = {
        # No timings on the device choose the order of sums: every worker gets the same kernels.
        "deterministic": True,
        # Narrow generators too keep the channels last; Inductor would lay out each layer anew.
        "force_layout_optimization": True,
    }
    return torch.compile(generator, fullgraph=True, dynamic=False, options=options)


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


def frames_a_batch(
    height: int,
    width: int,
    *,
    generator_width: int,
    free_bytes: int,
    scale: int = 1,
    bytes_a_value: int = 2,
) -> int:
    """Choose how many frames of ``height`` x ``width`` pixels to compute at once, 1 to 16.

    ``generator_width`` is a generator's ``full_size_width``, ``scale`` its enlargement.
    ``free_bytes`` is what ``torch.cuda.mem_get_info()[0]`` says before the first batch, or a
    worker's share of it. Half of that is planned with: the other half is for a graph's own memory
    and for what convolutions work in. It is an estimate; HalvingBatches corrects it.
    """
    layers = _VALUES_A_PIXEL * generator_width * bytes_a_value
    bytes_a_frame = height * width * scale**2 * (layers + _COLOUR_BYTES_A_PIXEL)
    return max(1, min(_MOST_FRAMES, free_bytes // 2 // bytes_a_frame))


def _collect_memory() -> None:
    gc.collect()
    torch.cuda.empty_cache()  # nothing where CUDA has not been used
