"""Engine and transfers: pixels, streams, threads, memory."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nst_core.checkpoints.library import bundled_styles, find_style
from nst_core.color.tone_mapping import ToneMapping
from nst_core.color.yuv import YuvFrames, rgb_to_yuv, yuv_to_rgb
from nst_core.color.yuv_encoding import YuvEncoding
from nst_core.engines.choice import make_engine
from nst_core.engines.cuda_engine import CudaEngine, probe_images
from nst_core.engines.device_transfer import overlapped
from nst_core.networks.generator import Generator
from nst_core.networks.registry import ARCHITECTURES, generator_class
from nst_core.networks.texture import TextureNet
from nst_core.networks.transformer import TransformerNet
from tests.gpu.check import (
    LEAST_DECIBELS,
    STYLE,
    Figures,
    Machine,
    decibels,
    exactly,
    in_thread,
    require,
)

_CPU = torch.device("cpu")
_STYLES = 5
_LEAST_OF_RANDOM_WEIGHTS = 37.0
"""In bfloat16: untrained networks make noise of full contrast (measured on a CPU: 39.8 dB)."""
_PRECISIONS: tuple[Literal["float16", "bfloat16", "float32"], ...] = (
    *("float16", "bfloat16", "float32"),
)
_BT709 = YuvEncoding("bt709")
_DEEP = YuvEncoding("bt2020", depth=10, siting="topleft")


def _pictures(count: int, *shape: int) -> list[Tensor]:
    """Return N x 3 x H x W batches that differ."""
    probe = probe_images((shape[0], 3, *shape[1:]), _CPU)
    return [probe * (1 - number / (2 * count)) for number in range(count)]


def threads(machine: Machine) -> Figures:
    """Capture a graph in a thread that ends, replay it in another, after a third has run."""
    style = find_style(STYLE)
    pictures = _pictures(4, 2, *machine.choose((360, 640), (64, 96)))
    exact = exactly(style.load(), pictures)
    engine = make_engine(style.load(), engine="torch", device=machine.kind)

    def closeness(rounds: int) -> float:
        return min(
            decibels(engine.run(each), wanted)
            for _ in range(rounds)
            for each, wanted in zip(pictures, exact, strict=True)
        )

    captured = in_thread(lambda: closeness(2))
    in_thread(lambda: engine.run(pictures[0][:, :, :48, :64]))
    rounds = machine.choose(50, 2)
    replayed = in_thread(lambda: closeness(rounds))
    figures: Figures = {"captured_db": captured, "replayed_db": replayed, "replays": 4 * rounds}
    require(min(captured, replayed) >= LEAST_DECIBELS, "the pixels are wrong", figures)
    return figures


def transfers(machine: Machine) -> Figures:
    """Send a hundred batches of changing size there and back: every plane comes back inverted."""
    random = torch.Generator().manual_seed(0)
    sizes = [(64, 96), (48, 80), machine.choose((1080, 1920), (70, 50))]
    batches: list[YuvFrames] = []
    for number in range(100):
        height, width = sizes[number // 3 % len(sizes)]
        count = 1 + number * 7 % 5
        luma, *chroma = (
            torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)
            for shape in ((count, height, width), (count, 2, height // 2, width // 2))
        )
        batches.append(YuvFrames(luma, chroma[0]))

    def inverted(frames: YuvFrames) -> YuvFrames:
        if machine.on_cuda:  # a copy that does not wait takes what is not there yet
            torch.cuda._sleep(5_000_000)  # type: ignore[no-untyped-call]
        return YuvFrames(255 - frames.luma, 255 - frames.chroma)

    wrong = [
        number
        for number, (batch, result) in enumerate(
            zip(batches, overlapped(iter(batches), inverted, machine.device), strict=True)
        )
        if not torch.equal(result.luma, 255 - batch.luma)
        or not torch.equal(result.chroma, 255 - batch.chroma)
    ]
    require(not wrong, f"batches {wrong[:10]} came back wrong")
    return {"batches": len(batches)}


def synchronisation(machine: Machine) -> Figures:
    """Let nothing wait for the device inside the loop of a film, in all ways of colours."""
    hdr = ToneMapping("pq")
    ways: dict[str, tuple[dict[str, bool], YuvEncoding, YuvEncoding, ToneMapping | None]] = {
        "plain": ({}, _BT709, _BT709, None),
        "keep colours": ({"keep_colors": True}, _BT709, _BT709, None),
        "keep colours, RGB": ({"keep_colors": True}, _BT709, YuvEncoding("rgb"), None),
        "10 bits": ({}, _DEEP, _DEEP, None),
        "HDR10 to SDR": ({}, _DEEP, _BT709, hdr),
        "HLG to SDR": ({}, _DEEP, _BT709, ToneMapping("hlg")),
    }
    rgb = _pictures(1, 4, *machine.choose((360, 640), (32, 48)))[0]
    for name, (options, source, target, mapping) in ways.items():
        stylizer = machine.stylizer(**options)
        planes = rgb_to_yuv(rgb, source)
        results = stylizer.stylize_yuv_batches(
            [planes] * machine.choose(24, 2), source, target, tone_mapping=mapping
        )
        try:
            _run_without_synchronisation(results, machine)
        except RuntimeError as error:
            raise RuntimeError(f"{name}: {error}") from error
    return {"ways": len(ways)}


def _run_without_synchronisation(results: Iterator[YuvFrames], machine: Machine) -> None:
    if not machine.on_cuda:
        assert len([*results]) > 0
        return
    assert len([*islice(results, 8)]) == 8  # allocate, capture, compare
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert len([*results]) > 0
    finally:
        torch.cuda.set_sync_debug_mode("default")


def architectures(machine: Machine) -> Figures:
    """Compute five styles and every architecture in all precisions, in odd sizes."""
    networks: dict[str, Callable[[], Generator]] = {
        name: find_style(name).load for name in bundled_styles()[:_STYLES]
    }
    networks |= {name: partial(_random, name) for name in ARCHITECTURES}
    sizes = machine.choose(((61, 90), (269, 481)), ((61, 90),))
    worst: dict[str, float] = {}
    for name, build in networks.items():
        pictures = [probe_images((2, 3, *size), _CPU) for size in sizes]
        exact = exactly(build(), pictures)
        for precision in _PRECISIONS:
            engine = make_engine(build(), engine="torch", device=machine.kind, precision=precision)
            found = [engine.run(each) for each in pictures for _ in range(machine.choose(5, 1))]
            wanted = [each for each in exact for _ in range(machine.choose(5, 1))]
            worst[f"{name} {precision}"] = min(map(decibels, found, wanted))
    noisy = {f"{name} bfloat16" for name in ARCHITECTURES}
    bad = {
        name: value
        for name, value in worst.items()
        if value < (_LEAST_OF_RANDOM_WEIGHTS if name in noisy else LEAST_DECIBELS)
    }
    figures: Figures = {
        f"least_db_{precision}": min(v for n, v in worst.items() if n.endswith(f" {precision}"))
        for precision in _PRECISIONS
    }
    require(not bad, f"too far from float32, in dB: {bad}", figures)
    return figures


def _random(architecture: str) -> Generator:
    torch.manual_seed(0)
    if architecture == "texture":
        return TextureNet(3).eval()
    return generator_class(architecture)(width=16).eval()


def four_k(machine: Machine) -> Figures:
    """Compute as many 4K frames at once as are planned, by a network of width 32."""
    size = machine.choose((2160, 3840), (64, 96))
    torch.manual_seed(0)
    network = TransformerNet(machine.choose(32, 4)).eval()
    engine = make_engine(network, engine="torch", device=machine.kind)
    count = machine.stylizer().frames_a_batch(*size)
    batch = _pictures(1, count, *size)[0].to(machine.device)
    together = [engine.run(batch) for _ in range(machine.choose(6, 1))][-1]
    closeness = min(
        decibels(engine.run(batch[n : n + 1]), together[n : n + 1]) for n in {0, count - 1}
    )
    figures: Figures = {"frames": count, "db_alone": closeness}
    if machine.on_cuda:
        figures["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
        figures["ms_a_frame"] = machine.milliseconds(lambda: engine.run(batch)) / count
    require(closeness >= LEAST_DECIBELS, "frames differ from those computed alone", figures)
    return figures


class _Halvings(logging.Handler):
    """Counts the warnings that a batch was halved."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += "out of memory" in record.getMessage()


def memory(machine: Machine) -> Figures:
    """Take most of the memory away: batches are halved, and all frames are right."""
    frames = rgb_to_yuv(_pictures(1, 16, *machine.choose((1080, 1920), (32, 48)))[0], _BT709)
    exact = machine.stylizer().stylize_yuv(frames, _BT709)
    stylizer = machine.stylizer()
    halvings = _Halvings()
    logging.getLogger("nst_core").addHandler(halvings)
    try:
        if machine.on_cuda:
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction(0.05)
        found = stylizer.stylize_yuv(frames, _BT709)
    finally:
        logging.getLogger("nst_core").removeHandler(halvings)
        if machine.on_cuda:
            torch.cuda.set_per_process_memory_fraction(1.0)
    closeness = decibels(yuv_to_rgb(found, _BT709), yuv_to_rgb(exact, _BT709))
    figures: Figures = {"halvings": halvings.count, "db": closeness}
    require(closeness >= LEAST_DECIBELS, "frames are wrong", figures)
    require(halvings.count > 0 or not machine.on_cuda, "nothing was halved", figures)
    return figures


class _Asking(Generator):
    """Asks the device for a number, which a capture cannot give."""

    def forward(self, image: Tensor) -> Tensor:
        return image * (1.0 if image.sum().item() else 0.5)


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())


def forbidden(machine: Machine) -> Figures:
    """Capture what cannot be captured: one warning, and the pixels are right."""
    engine = CudaEngine(_Asking(), precision="float16")
    told = _Warnings()
    logging.getLogger("nst_core").addHandler(told)
    try:
        for _ in range(8):
            images = torch.rand(1, 3, 32, 32, device=machine.device)
            require(decibels(engine.run(images), images) >= LEAST_DECIBELS, "wrong pixels")
    finally:
        logging.getLogger("nst_core").removeHandler(told)
    require(len(told.words) == 1, f"warnings: {told.words}")
    return {"warning": told.words[0]}


def ten_bits(machine: Machine) -> Figures:
    """Stylize planes of 10 bits as the CPU does, here with the light of HDR and without."""
    rgb = _pictures(1, 3, *machine.choose((360, 640), (48, 64)))[0]
    frames = rgb_to_yuv(rgb, _DEEP)
    worst = math.inf
    for target, mapping in ((_DEEP, None), (_BT709, ToneMapping("pq"))):
        stylizers = machine.stylizer(), Machine("cpu").stylizer(precision="float32")
        found, exact = (
            each.stylize_yuv(frames, _DEEP, target, tone_mapping=mapping) for each in stylizers
        )
        require(found.luma.dtype == exact.luma.dtype, f"planes of {found.luma.dtype}")
        closeness = decibels(yuv_to_rgb(found, target), yuv_to_rgb(exact, target))
        worst = min(worst, closeness)
    require(worst >= LEAST_DECIBELS, f"{worst} dB")
    return {"db": worst, "largest_code": int(np.max(frames.luma.numpy()))}
