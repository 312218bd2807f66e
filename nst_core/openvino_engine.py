"""The OpenVINO engine: the generator compiled for this CPU, one inference stream a thread.

Every frame is computed by a single thread: sums are then added in the same order whatever the
number of threads, so that the same frame always gives the same pixels, and it is the fastest way
to do many frames (measured: 2 streams of 1 thread beat 1 stream of 2).
"""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from nst_core import __version__
from nst_core.errors import EnvironmentProblem, InputError

_PRECISION_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_EXAMPLE_SHAPE = (1, 3, 64, 96)
_CACHE_VARIABLE = "NST_CACHE_DIR"


class OpenVinoEngine:
    """Runs a generator on the CPU; sizes may differ from call to call without compiling anew."""

    def __init__(
        self,
        generator: nn.Module,
        *,
        precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        threads: int | None = None,
    ) -> None:
        self.device = torch.device("cpu")
        self._scale = int(getattr(generator, "scale", 1))
        self._min_side = int(getattr(generator, "min_side", 1))
        core = openvino.Core()
        chosen = _choose_precision(core, precision)
        self.name = f"openvino cpu {chosen}"
        self.precision: Literal["float32", "bfloat16", "float16"] = chosen
        threads = threads or len(os.sched_getaffinity(0))
        compiled = core.compile_model(
            _converted(core, generator),
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": threads,
                "INFERENCE_PRECISION_HINT": _PRECISION_HINTS[chosen],
                # Kernels are kept for each size met: without a bound, memory grows with sizes.
                "CPU_RUNTIME_CACHE_CAPACITY": "64",
            },
        )
        self._requests = [compiled.create_infer_request() for _ in range(threads)]

    def run(self, images: Tensor) -> Tensor:
        """Map N x 3 x H x W float32 in [0, 1] to N x 3 x scale*H x scale*W.

        Raises EnvironmentProblem.
        """
        height, width = images.shape[-2:]
        # The traced network pads to a multiple, and not to the least size that it can compute.
        padding = (0, max(0, self._min_side - width), 0, max(0, self._min_side - height))
        padded = F.pad(images.detach().float(), padding, mode="replicate")
        try:
            outputs = self._outputs(padded.contiguous().numpy())
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise EnvironmentProblem(
                f"OpenVINO cannot compute {width}x{height} pixels ({reason}); "
                "try --engine torch or --max-side"
            ) from error
        return torch.cat(outputs)[..., : self._scale * height, : self._scale * width]

    def _outputs(self, frames: NDArray[np.float32]) -> list[Tensor]:
        """Keep every stream busy; a stream's next frame starts once its last has been fetched.

        No AsyncInferQueue: it runs Python on OpenVINO's threads, which then wait for the
        interpreter's lock, perhaps for the thread that waits for them; and it repeats its first
        error for ever.
        """
        outputs: list[Tensor] = []
        running: deque[Any] = deque()
        try:
            for number in range(len(frames)):
                if len(running) == len(self._requests):
                    outputs.append(_fetch(running[0]))
                    running.popleft()
                request = self._requests[number % len(self._requests)]
                request.start_async({0: frames[number : number + 1]})
                running.append(request)
            outputs += map(_fetch, running)
        finally:
            for request in running:  # after an error: a request at work takes no other frame
                with suppress(RuntimeError):
                    request.wait()
        return outputs


def _fetch(request: Any) -> Tensor:
    request.wait()
    # The request's memory is used again for its next frame.
    return torch.from_numpy(request.get_output_tensor(0).data.copy())


def _choose_precision(
    core: openvino.Core, precision: Literal["auto", "float32", "bfloat16", "float16"]
) -> Literal["float32", "bfloat16"]:
    can_bfloat16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "auto":
        return "bfloat16" if can_bfloat16 else "float32"
    if precision == "bfloat16" and not can_bfloat16:
        raise EnvironmentProblem(
            "--precision bfloat16: this CPU does not compute it; use --precision auto"
        )
    if precision == "float16":
        raise InputError(
            "--precision float16: OpenVINO on a CPU has float32 and bfloat16; "
            "use one of them, or --precision auto"
        )
    return precision


def _converted(core: openvino.Core, generator: nn.Module) -> openvino.Model:
    """Trace the generator, or read what an earlier run traced: tracing takes seconds."""
    path = _cache_folder() / f"{_fingerprint(generator)}.xml"
    if path.exists():
        try:
            return core.read_model(path)
        except RuntimeError as error:
            logging.getLogger(__name__).warning("dropped a damaged cache file %s: %s", path, error)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of the branch that is meant
        model = openvino.convert_model(
            generator.eval().float(),
            example_input=torch.rand(_EXAMPLE_SHAPE),
            input=[1, 3, -1, -1],
        )
    _store(model, path)
    return model


def _store(model: openvino.Model, path: Path) -> None:
    """Write weights, then graph, each under a name of its own first: readers see whole pairs."""
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.xml")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        openvino.save_model(model, temporary, compress_to_fp16=False)
        temporary.with_suffix(".bin").replace(path.with_suffix(".bin"))
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        logging.getLogger(__name__).warning("the compiled style is not cached: %s", error)
    finally:
        temporary.unlink(missing_ok=True)
        temporary.with_suffix(".bin").unlink(missing_ok=True)


def _cache_folder() -> Path:
    base = os.environ.get(_CACHE_VARIABLE)
    if base:
        return Path(base) / "openvino"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nst" / "openvino"


def _fingerprint(generator: nn.Module) -> str:
    """Weights, structure and the versions that turn them into a graph."""
    digest = hashlib.sha256(f"{__version__} {openvino.__version__} {generator}".encode())
    for name, tensor in generator.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
