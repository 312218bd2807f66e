"""What this machine can do at most, convolutions and copying, and how near our networks come to it.

python -m tests.benchmarks.ceilings [--quick]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from jobs.benchmark.material.generators import MeasuredGenerator, measured_generators
from jobs.benchmark.material.pictures import as_tensor, still_frames
from jobs.benchmark.rendering import section_markdown
from jobs.benchmark.section import Cell, Section
from jobs.benchmark.settings import BenchSettings
from jobs.benchmark.subjects.engine_choice import build_engines
from jobs.benchmark.turns import Case, median_ratio, take_turns, timed
from nst_core.engines.inference_form import QuantizedConv2d
from nst_core.libraries import configure
from nst_core.processors import usable_processors
from tests.benchmarks.operations import operations

_LAYERS = 4
_WIDTH, _HEIGHT = 640, 360
_COPIED_BYTES = 256 << 20
_HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}


@dataclass(frozen=True)
class Ceiling:
    """The fastest convolutions of one engine in one precision."""

    case: Case
    gigaflops: float
    """Operations of one run of the case, in thousands of millions; in 8 bits of integers."""


@dataclass(frozen=True)
class Convolutions:
    """The size of what is computed: ``_LAYERS`` 3x3 convolutions, one after the other."""

    channels: int
    side: int
    """Side of the square pictures, in pixels."""
    pictures: int
    """At a time; OpenVINO computes one on each core."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of one picture."""
        return (1, self.channels, self.side, self.side)

    def network(self) -> nn.Sequential:
        """Build it with random weights."""
        layers = [nn.Conv2d(self.channels, self.channels, 3, padding=1) for _ in range(_LAYERS)]
        return nn.Sequential(*layers).eval()

    def gigaflops(self) -> float:
        """Operations of all pictures, in thousands of millions."""
        once = operations(self.network(), height=self.side, width=self.side, channels=self.channels)
        return self.pictures * once / 1e9


_ON_CPU = Convolutions(channels=256, side=48, pictures=usable_processors())
_ON_CUDA = Convolutions(channels=512, side=128, pictures=16)


def ceilings(settings: BenchSettings) -> Section:
    """Measure them alone."""
    settings.tell("ceilings: convolutions, copying")
    rates = convolution_rates(_ON_CPU, _ON_CUDA, rounds=settings.rounds)
    copying = _copy_rates(_COPIED_BYTES, settings.rounds)
    rows = [(f"3x3 convolutions, {name}", rate, "GFLOP/s") for name, rate in rates.items()]
    rows += [(f"copying memory, {where}", speed, "GB/s") for where, speed in copying.items()]
    return Section(
        key="ceilings",
        title="What this machine can do at most",
        columns=("what", "rate", "unit"),
        rows=rows,
        notes=(
            f"{_LAYERS} convolutions of {_ON_CPU.channels} to {_ON_CPU.channels} channels on "
            f"{_ON_CPU.side}x{_ON_CPU.side} pixels (on a GPU {_ON_CUDA.channels} and "
            f"{_ON_CUDA.side}x{_ON_CUDA.side}), all cores busy, nothing in between: no network of "
            "ours can be faster in that precision. A multiply-add counts as two operations.",
            "Copying counts the bytes read and the bytes written. What lies between convolutions "
            "(norms, resizing, colours) is bounded by this and not by the first rows.",
        ),
    )


def shares(settings: BenchSettings) -> Section:
    """Measure the engines of each generator beside the ceilings: which part of them they reach."""
    rows = [row for each in measured_generators(settings) for row in _shares(settings, each)]
    return Section(
        key="shares",
        title="How near the networks come to it",
        columns=("generator", "engine", "GFLOP/s", "of the ceiling"),
        rows=rows,
        notes=(
            f"The network alone at {_WIDTH}x{_HEIGHT}, as many frames at a time as there are "
            "cores. GFLOP/s counts its convolutions as it was trained; the ceiling is the fastest "
            "on the same device in the same precision, in the same round: 1 would be a network "
            "without norms, resizing and layers of few channels.",
        ),
    )


def _shares(settings: BenchSettings, generator: MeasuredGenerator) -> Iterator[tuple[Cell, ...]]:
    size = {"width": _WIDTH // generator.style.scale, "height": _HEIGHT // generator.style.scale}
    frames = as_tensor(still_frames(settings, torch.get_num_threads(), **size))
    engines = {engine.name: engine for engine in build_engines(generator).built}
    limits = {f"ceiling of {name}": each for name, each in make_ceilings().items()}
    seconds = take_turns(
        {name: each.case for name, each in limits.items()}
        | {name: timed(partial(engine.run, frames)) for name, engine in engines.items()},
        rounds=settings.rounds,
    )
    gigaflops = len(frames) * operations(generator.load(), **size) / 1e9
    for name in engines:
        rates = [gigaflops / each for each in seconds[name]]
        best = _best_of_each_round(name, limits, seconds)
        share = median_ratio(rates, best) if best else None
        yield (generator.name, name, statistics.median(rates), share)


def _best_of_each_round(
    engine: str, limits: Mapping[str, Ceiling], seconds: Mapping[str, list[float]]
) -> list[float]:
    """GFLOP/s of the fastest ceiling on the same device in the same precision, round by round."""
    _, device, precision = engine.split()[:3]
    rates = [
        [limit.gigaflops / each for each in seconds[name]]
        for name, limit in limits.items()
        if name.split()[-2:] == [device, precision]
    ]
    return [max(of_one_round) for of_one_round in zip(*rates, strict=True)]


def convolution_rates(
    on_cpu: Convolutions, on_cuda: Convolutions, *, rounds: int
) -> dict[str, float]:
    """GFLOP/s by engine, device and precision."""
    found = make_ceilings(on_cpu, on_cuda)
    seconds = take_turns({name: each.case for name, each in found.items()}, rounds=rounds)
    return {name: found[name].gigaflops / statistics.median(seconds[name]) for name in found}


@cache
def make_ceilings(
    on_cpu: Convolutions = _ON_CPU, on_cuda: Convolutions = _ON_CUDA
) -> dict[str, Ceiling]:
    """Build those of this machine, by names such as ``openvino cpu bfloat16``; made once."""
    gigaflops = on_cpu.gigaflops()
    found = {}
    for precision in ("float32", "bfloat16"):
        run = _torch_convolutions(on_cpu, "cpu", precision)
        found[f"torch cpu {precision}"] = Ceiling(timed(run), gigaflops)
    for precision, run in _openvino_convolutions(on_cpu):
        found[f"openvino cpu {precision}"] = Ceiling(timed(run), gigaflops)
    for precision in ("float32", "bfloat16", "float16") if torch.cuda.is_available() else ():
        run = _torch_convolutions(on_cuda, "cuda", precision)
        found[f"torch cuda {precision}"] = Ceiling(timed(run), on_cuda.gigaflops())
    return found


def _torch_convolutions(size: Convolutions, device: str, precision: str) -> Callable[[], object]:
    dtype: torch.dtype = getattr(torch, precision)
    network = size.network().to(device, dtype).to(memory_format=torch.channels_last)
    pictures = torch.rand(size.pictures, size.channels, size.side, size.side)
    pictures = pictures.to(device, dtype, memory_format=torch.channels_last)

    @torch.inference_mode()
    def run() -> None:
        network(pictures)
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def _openvino_convolutions(size: Convolutions) -> Iterator[tuple[str, Callable[[], object]]]:
    """One picture on each core, as our engine has it."""
    try:
        configure()
        import openvino
    except ImportError:
        return
    core = openvino.Core()
    abilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    for precision in ("float32", "bfloat16", "int8"):
        if precision == "bfloat16" and "BF16" not in abilities:
            continue
        compiled = core.compile_model(
            _openvino_model(size, precision),
            "CPU",
            {
                "INFERENCE_NUM_THREADS": size.pictures,
                "NUM_STREAMS": size.pictures,
                "INFERENCE_PRECISION_HINT": _HINTS[precision],
            },
        )
        requests = [compiled.create_infer_request() for _ in range(size.pictures)]
        yield precision, _all_at_once(requests, torch.rand(size.shape).numpy())


def _openvino_model(size: Convolutions, precision: str) -> Any:
    configure()
    import openvino

    network: nn.Module = size.network()
    if precision == "int8":
        network = nn.Sequential(
            *(QuantizedConv2d(cast("nn.Conv2d", conv), -1, 1) for conv in network.children())
        )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's own are on its future
        return openvino.convert_model(
            network, example_input=torch.rand(size.shape), input=list(size.shape)
        )


def _all_at_once(requests: list[Any], picture: Any) -> Callable[[], object]:
    def run() -> None:
        for request in requests:
            request.start_async({0: picture})
        for request in requests:
            request.wait()

    return run


def _copy_rates(size_bytes: int, rounds: int) -> dict[str, float]:
    """GB/s, read and written bytes together."""
    cases: dict[str, Case] = {
        "all cores": timed(_copying(torch.empty(size_bytes, dtype=torch.int8)))
    }
    if torch.cuda.is_available():
        on_card = torch.empty(size_bytes, dtype=torch.int8, device="cuda")
        cases["within the GPU"] = timed(_copying(on_card))
    seconds = take_turns(cases, rounds=rounds)
    return {name: 2 * size_bytes / 1e9 / statistics.median(seconds[name]) for name in cases}


def _copying(source: Tensor) -> Callable[[], object]:
    source.fill_(1)  # memory that was never written is no memory yet
    target = torch.zeros_like(source)

    def run() -> None:
        target.copy_(source)
        if source.is_cuda:
            torch.cuda.synchronize()

    return run


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="nst-bench-") as name:
        how = BenchSettings(Path(name), quick="--quick" in sys.argv[1:])
        print(section_markdown(ceilings(how)))
        print(section_markdown(shares(how)))
