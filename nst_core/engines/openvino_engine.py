"""The OpenVINO engine: the generator compiled for this CPU, one inference stream a thread.

Or for a GPU of Intel's, which has not been tried.

Every frame is computed by a single thread: sums are then added in the same order whatever the
number of threads, so that the same frame always gives the same pixels, and it is the fastest way
to do many frames (measured: 2 streams of 1 thread beat 1 stream of 2).
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import warnings
from collections import deque
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

import openvino
import torch
from torch import Tensor, nn

from nst_core import __version__
from nst_core.caches import compiled_styles, drop_unused, note_use
from nst_core.engines.eight_bit import EightBit
from nst_core.engines.inference_form import inference_form
from nst_core.engines.names import Precision, PrecisionChoice
from nst_core.errors import EnvironmentProblem, InputError
from nst_core.networks.generator import Generator, pad_to_multiple
from nst_core.processors import usable_processors
from nst_core.wording import last_line

_PRECISION_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_REQUESTS_ON_GPU = 2
"""Frames under way: one is computed while another travels."""
_EXAMPLE_SHAPE = (1, 3, 64, 96)


class OpenVinoEngine:
    """Runs a generator; sizes may differ from call to call without compiling anew.

    ``precision`` ``auto`` is 8 bits where ``eight_bit`` is close to float32 and the processor is
    made for them, else bfloat16 where it is made for that, else float32.

    ``streams`` None is one a thread. Fewer, for measuring: a frame is then computed by several
    threads, and its sums depend on their number.

    ``on_gpu`` runs it on a GPU of Intel's, where ``auto`` is float16, and float32 is the other.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        precision: PrecisionChoice = "auto",
        eight_bit: EightBit | None = None,
        threads: int | None = None,
        streams: int | None = None,
        on_gpu: bool = False,
    ) -> None:
        self.device = torch.device("cpu")
        self._scale = generator.scale
        self._min_side = generator.min_side
        self._multiple = generator.multiple if generator.is_bounded else 1
        core = _core()
        if on_gpu:
            self.precision: Precision = gpu_precision(precision)
            self.name = f"openvino xpu {self.precision}"
            compiled = core.compile_model(
                _converted(core, inference_form(generator, None)),
                "GPU",
                {"INFERENCE_PRECISION_HINT": _PRECISION_HINTS[self.precision]},
            )
            self._requests = [compiled.create_infer_request() for _ in range(_REQUESTS_ON_GPU)]
            return
        capabilities = _capabilities(core)
        chosen = choose_precision(precision, eight_bit, capabilities)
        self.name = f"openvino cpu {chosen}"
        self.precision = _widest(capabilities) if chosen == "int8" else chosen
        ranges = eight_bit.ranges if chosen == "int8" and eight_bit else None
        threads = threads or usable_processors()
        streams = streams or threads
        compiled = core.compile_model(
            _converted(core, inference_form(generator, ranges)),
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": streams,
                "INFERENCE_PRECISION_HINT": _PRECISION_HINTS[self.precision],
                # Each worker is a process: all would pin their first thread to the same core.
                "ENABLE_CPU_PINNING": "NO",
                # Kernels are kept for each size met: without a bound, memory grows with sizes.
                "CPU_RUNTIME_CACHE_CAPACITY": "64",
            },
        )
        self._requests = [compiled.create_infer_request() for _ in range(streams)]

    def run(self, images: Tensor) -> Tensor:
        """Map N x 3 x H x W float32 in [0, 1] to N x 3 x scale*H x scale*W.

        Raises EnvironmentProblem.
        """
        height, width = images.shape[-2:]
        padded = pad_to_multiple(images.detach().float(), self._multiple, least=self._min_side)
        try:
            outputs = self._outputs(padded.contiguous())
        except RuntimeError as error:
            reason = last_line(error)
            raise EnvironmentProblem(
                f"OpenVINO cannot compute {width}x{height} pixels ({reason}); "
                "try --engine torch or --max-side"
            ) from error
        return outputs[..., : self._scale * height, : self._scale * width]

    def _outputs(self, frames: Tensor) -> Tensor:
        """Keep every stream busy; a stream's next frame starts once its last is there.

        Frames are read and written where they lie, without a copy. No AsyncInferQueue: it runs
        Python on OpenVINO's threads, which then wait for the interpreter's lock, perhaps for the
        thread that waits for them; and it repeats its first error for ever.
        """
        count, channels, height, width = frames.shape
        outputs = torch.empty(count, channels, self._scale * height, self._scale * width)
        running: deque[Any] = deque()
        try:
            for number in range(count):
                if len(running) == len(self._requests):
                    _end(running)
                request = self._requests[number % len(self._requests)]
                request.set_input_tensor(_shared(frames[number : number + 1]))
                request.set_output_tensor(_shared(outputs[number : number + 1]))
                request.start_async()
                running.append(request)
            while running:
                _end(running)
        finally:
            for request in running:  # after an error: a request at work takes no other frame
                with suppress(RuntimeError):
                    request.wait()
        return outputs


@cache
def _core() -> openvino.Core:
    """One for the process, never freed.

    Its CPU plugin gives the thread that loads it a stack for signals, and takes the memory back
    when it is freed, in whatever thread: the first thread's next Ctrl-C would kill the process.
    """
    return openvino.Core()


def sees_gpu() -> bool:
    """Whether OpenVINO has a GPU of Intel's to compute on, and the driver for it."""
    return any(name.startswith("GPU") for name in _core().available_devices)


def _end(running: deque[Any]) -> None:
    """Wait for the oldest request; one that fails stays among those that run."""
    running[0].wait()
    running.popleft()


def _shared(frame: Tensor) -> openvino.Tensor:
    """Give OpenVINO's view of a tensor, which must live as long as a request works with it."""
    return openvino.Tensor(frame.numpy(), shared_memory=True)


def choose_precision(
    precision: PrecisionChoice, eight_bit: EightBit | None, capabilities: frozenset[str]
) -> Literal["float32", "bfloat16", "int8"]:
    """Choose for a processor made for ``capabilities`` beside float32.

    Raises EnvironmentProblem for what it is not, InputError for what a style or OpenVINO has not.
    """
    if precision == "auto":
        is_close = eight_bit is not None and eight_bit.is_close
        return "int8" if is_close and "int8" in capabilities else _widest(capabilities)
    if precision == "bfloat16" and "bfloat16" not in capabilities:
        raise EnvironmentProblem(
            "--precision bfloat16: this CPU does not compute it; use --precision auto"
        )
    if precision == "int8" and eight_bit is None:
        raise InputError(
            "--precision int8: the style is not calibrated for it, or is a mixture; see "
            "`nst styles calibrate`, or use --precision auto"
        )
    if precision == "float16":
        raise InputError(
            "--precision float16: OpenVINO on a CPU has float32, bfloat16 and int8; "
            "use one of them, or --precision auto"
        )
    return precision


def gpu_precision(precision: PrecisionChoice) -> Literal["float32", "float16"]:
    """Choose for a GPU. Raises InputError for what OpenVINO has for CPUs only."""
    if precision not in ("auto", "float32", "float16"):
        raise InputError(
            f"--precision {precision}: OpenVINO on a GPU has float32 and float16; use one of them, "
            "or --precision auto"
        )
    return "float32" if precision == "float32" else "float16"


def _widest(capabilities: frozenset[str]) -> Literal["float32", "bfloat16"]:
    return "bfloat16" if "bfloat16" in capabilities else "float32"


def _capabilities(core: openvino.Core) -> frozenset[str]:
    """Which precisions this CPU has instructions for, beside float32.

    OpenVINO claims 8 bits everywhere; without VNNI they are slow, and their sums saturate.
    """
    bfloat16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    has = {
        "bfloat16": bfloat16,
        "int8": is_x86 and (bfloat16 or _says_vnni()),  # x86 with bfloat16 has VNNI too
    }
    return frozenset(name for name, there in has.items() if there)


def _says_vnni() -> bool:
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


class _OfPadded(nn.Module):
    """A generator without the padding in front and the cropping behind.

    The engine does both, where a size needs them: in a traced network they copy every frame.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, padded: Tensor) -> Tensor:
        return self.generator.forward_padded(padded)


def _converted(core: openvino.Core, generator: Generator) -> openvino.Model:
    """Trace the generator, or read what an earlier run traced: tracing takes seconds."""
    traced = _OfPadded(generator) if generator.is_bounded else generator
    path = compiled_styles() / f"{_fingerprint(traced)}.xml"
    if path.exists():
        try:
            note_use(path)
            return core.read_model(path)
        except RuntimeError as error:
            logging.getLogger(__name__).warning("dropped a damaged cache file %s: %s", path, error)
    model = _traced(traced.eval().float())
    _store(model, path)
    return model


def _traced(generator: nn.Module) -> openvino.Model:
    from openvino.frontend.pytorch import ConversionExtension  # a cached style is read without it

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of the branch that is meant
        return openvino.convert_model(
            generator,
            example_input=torch.rand(_EXAMPLE_SHAPE),
            input=[1, 3, -1, -1],
            extension=[ConversionExtension("aten::pixel_shuffle", _depth_to_space)],
        )


def _depth_to_space(pixel_shuffle: Any) -> list[Any]:
    """Convert ``nn.PixelShuffle``.

    OpenVINO itself makes three operations of it, which first bring the channels to the front
    (measured, ``LeanNet`` of width 24 in 8 bits: 44 ms instead of 37).
    """
    factor: int = pixel_shuffle.get_values_from_const_input(1)
    shuffled = openvino.opset13.depth_to_space(pixel_shuffle.get_input(0), "depth_first", factor)
    return [shuffled.output(0)]


def _store(model: openvino.Model, path: Path) -> None:
    """Write weights, then graph, each under a name of its own first: readers see whole pairs."""
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.xml")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        openvino.save_model(model, temporary, compress_to_fp16=False)
        temporary.with_suffix(".bin").replace(path.with_suffix(".bin"))
        temporary.replace(path)
        drop_unused(path.parent)
    except (OSError, RuntimeError) as error:
        logging.getLogger(__name__).warning("the compiled style is not cached: %s", error)
    finally:
        temporary.unlink(missing_ok=True)
        temporary.with_suffix(".bin").unlink(missing_ok=True)


def _fingerprint(generator: nn.Module) -> str:
    """Weights, structure and the versions that turn them into a graph."""
    digest = hashlib.sha256(f"{__version__} {openvino.__version__} {generator}".encode())
    for name, tensor in generator.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
