"""What computing takes: compiling, batches of many sizes, the two 9x9 layers, a large photo."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._inductor.utils import fresh_cache

from nst_core.checkpoints.library import find_style
from nst_core.engines.cuda_engine import CapturedGraph, CudaEngine, compiled, probe_images
from nst_core.engines.torch_engine import TorchEngine
from nst_core.networks.generator import Generator
from nst_core.networks.transformer import TransformerNet
from tests.gpu.check import LEAST_DECIBELS, STYLE, Figures, Machine, decibels, require

_FRAME = (1080, 1920)
_BATCHES = (1, 4, 8, 16)
_COMPILED_BATCH = 8
_MOST_SECONDS_BESIDE = 20.0


def compilation(machine: Machine) -> Figures:
    """Compile the bundled network without a cache, then with what the first time left there."""
    images = probe_images((1, 3, *_FRAME), machine.device)
    seconds = []
    with fresh_cache(), torch.inference_mode():
        for _ in range(2):
            torch._dynamo.reset()
            engine = TorchEngine(find_style(STYLE).load(), device="cuda", precision="float16")
            begin = time.monotonic()
            graph = CapturedGraph(compiled(engine._generator), images, torch.float16)
            seconds.append(round(time.monotonic() - begin, 1))
        beside = _compiled_beside(images)
    figures: Figures = {"cold_seconds": seconds[0], "warm_seconds": seconds[1]}
    closeness = decibels(graph(images), engine.run(images))
    graph.close()
    require(closeness >= LEAST_DECIBELS, f"compiled pixels: {closeness} dB", figures)
    require("compiled" in beside["kernels"], "the other thread has not compiled", beside)
    return figures | {"db": closeness} | beside


def _compiled_beside(images: Tensor) -> dict[str, Any]:
    """Go on with a graph while another thread compiles: how long that takes, the longest wait."""
    torch._dynamo.reset()
    engine = CudaEngine(
        find_style(STYLE).load(), precision="float16", megapixels_before_compiling=1.0
    )
    assert engine._sizes is not None
    begin = time.monotonic()
    last, longest, ways = begin, 0.0, set()
    while "compiled" not in ways and last - begin < _MOST_SECONDS_BESIDE:
        engine.run(images)
        torch.cuda.synchronize()
        ways = {held.kernels for held in engine._sizes._held.values()}
        now = time.monotonic()
        longest = max(longest, now - last) if "eager" in ways else longest
        last = now
    return {
        "kernels": sorted(ways),
        "seconds_beside": round(last - begin, 1),
        "longest_run_beside_ms": round(1000 * longest, 1),
    }


def frames_at_once(machine: Machine) -> Figures:
    """Time eager, captured and compiled kernels by events, ms a frame of 1080p."""
    figures: Figures = {}
    for width in (16, 32):
        torch.manual_seed(0)
        network = TransformerNet(machine.choose(width, 4)).eval()
        engine = TorchEngine(network, device=machine.kind, precision=_half(machine))
        for count in machine.choose(_BATCHES, (1,)):
            size = machine.choose(_FRAME, (48, 64))
            images = probe_images((count, 3, *size), machine.device)
            ways: dict[str, Callable[[Tensor], Tensor]] = {"eager": engine.run}
            if machine.on_cuda:
                ways["graph"] = CapturedGraph(network, images, torch.float16)
                if count == _COMPILED_BATCH:
                    ways["compiled"] = CapturedGraph(compiled(network), images, torch.float16)
            for way, run in ways.items():
                with torch.inference_mode():
                    taken = machine.milliseconds(lambda: run(images))  # noqa: B023 - run at once
                figures[f"width {width}, {count} frames, {way}"] = round(taken / count, 3)
            for run in ways.values():
                if isinstance(run, CapturedGraph):
                    run.close()
        figures |= _share_of_large_kernels(machine, network, width)
    return figures


def _half(machine: Machine) -> Any:
    return machine.choose("float16", "float32")


def _share_of_large_kernels(machine: Machine, network: Generator, width: int) -> Figures:
    """The first and the last layer beside the whole network, on one frame."""
    size = machine.choose(_FRAME, (48, 64))
    dtype = getattr(torch, _half(machine))
    convs = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    layers = [layer for layer in convs if layer.kernel_size == (9, 9)]
    milliseconds = []
    for layer in layers:
        values = torch.rand(1, layer.in_channels, *size, device=machine.device, dtype=dtype)
        values = values.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            milliseconds.append(machine.milliseconds(lambda: layer(values)))  # noqa: B023
    images = probe_images((1, 3, *size), machine.device).to(dtype)
    with torch.inference_mode():
        whole = machine.milliseconds(lambda: network(images))
    return {f"width {width}, both 9x9 of one eager frame": round(sum(milliseconds) / whole, 3)}


def large_photo(machine: Machine) -> Figures:
    """Stylize a photo of 12 megapixels whole and in pieces."""
    height, width = machine.choose((3000, 4000), (150, 200))
    blocks = probe_images((1, 3, height, width), torch.device("cpu"))
    photo = (blocks[0].permute(1, 2, 0) * 255).to(torch.uint8).numpy()
    results: list[np.ndarray] = []
    figures: Figures = {}
    for name, tile in (("whole", "off"), ("pieces", machine.choose(1024, 64)), ("auto", "auto")):
        stylizer = machine.stylizer(tile=tile)
        stylizer.stylize(photo)
        begin = time.monotonic()
        results.append(stylizer.stylize(photo))
        figures[f"{name}_seconds"] = round(time.monotonic() - begin, 2)
    whole, *others = (torch.from_numpy(each).float() / 255 for each in results)
    closeness = min(decibels(other, whole) for other in others)
    require(closeness >= LEAST_DECIBELS, f"pieces differ: {closeness} dB", figures)
    return figures | {"db": closeness}
