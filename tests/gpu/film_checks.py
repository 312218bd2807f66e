"""Films: frames a second, and what graphics cards decode and encode themselves."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from nst_core.engines.cuda_engine import probe_images
from tests.gpu.check import CheckError, Figures, Machine, SkipError, require

if TYPE_CHECKING:
    import av

    from pipeline.segments.task import SegmentTask

_GOAL = 150
"""Frames of 1080p a second, imports and muxing aside, on a card that takes 2 to 4 ms each."""
_DECODED = (("libx264", "yuv420p"), ("libx265", "yuv420p"), ("libx265", "yuv420p10le"))


def _make_film(
    path: Path,
    *,
    size: tuple[int, int],
    frames: int,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
) -> None:
    """Encode a film in which everything moves."""
    import av

    height, width = size
    blocks = probe_images((1, 3, height, width), torch.device("cpu"))[0].permute(1, 2, 0)
    picture: NDArray[np.uint8] = (blocks.contiguous() * 255).to(torch.uint8).numpy()
    with av.open(str(path), "w") as container:
        video = cast("av.VideoStream", container.add_stream(codec, rate=30))
        video.width, video.height, video.pix_fmt = width, height, pixel_format
        video.codec_context.options = {"preset": "ultrafast", "g": "30"}
        for number in range(frames):
            moved = np.ascontiguousarray(np.roll(picture, 4 * number, axis=1))
            container.mux(video.encode(av.VideoFrame.from_ndarray(moved, "rgb24")))
        container.mux(video.encode(None))


def _nst(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "jobs.cli", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@contextmanager
def _utilisation() -> Iterator[list[float]]:
    """Per cent of the time in which the GPU computes, five times a second; none without a tool."""
    found: list[float] = []
    if which("nvidia-smi") is None:
        yield found
        return
    query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
    asking = subprocess.Popen(["nvidia-smi", *query], stdout=subprocess.PIPE, text=True)
    try:
        yield found
    finally:
        asking.terminate()
        told, _ = asking.communicate()
        for line in told.splitlines():
            with suppress(ValueError):
                found.append(float(line))


def clip(machine: Machine) -> Figures:
    """Stylize ten seconds of 1080p by the command itself, in one process."""
    size, frames = machine.choose(((1080, 1920), 300), ((96, 160), 6))
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "film.mp4")
        _make_film(film, size=size, frames=frames)
        with _utilisation() as utilisation:
            ended = _nst(
                *("stylize", "video", film, "-o", Path(folder, "out.mp4"), "--style", "wave"),
                *("--workers", "0", "--engine", "torch", "--json"),
            )
    if ended.returncode:
        raise CheckError(ended.stderr.strip()[-500:])
    report: dict[str, Any] = json.loads(ended.stdout)
    (told,) = report["inputs"]
    rate = told["frames_out"] / told["seconds"]["stylize"]
    figures: Figures = {
        "engine": report["engine"],
        "frames_per_second_of_stylizing": round(rate, 1),
        "frames": told["frames_out"],
        "frames_per_second": told["frames_per_second"],
        "seconds": told["seconds"],
    }
    if busy := [value for value in utilisation if value > 0]:
        figures["gpu_percent_while_busy"] = round(statistics.fmean(busy), 1)
    require((told["status"], told["frames_out"]) == ("done", frames), "frames are lost", figures)
    require(rate >= _GOAL or not machine.on_cuda, f"the goal is {_GOAL} frames/s", figures)
    return figures


def nvenc(machine: Machine) -> Figures:
    """Encode by the card, or be told in one line why it cannot."""
    with tempfile.TemporaryDirectory() as folder:
        film, output = Path(folder, "film.mp4"), Path(folder, "out.mp4")
        _make_film(film, size=(144, 256), frames=6)
        ended = _nst(
            *("stylize", "video", film, "-o", output, "--style", "identity"),
            *("--workers", "0", "--encoder", "nvenc"),
        )
        if ended.returncode == 0:
            require(output.stat().st_size > 0, "an empty film")
            return {"encodes": True}
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    figures: Figures = {"encodes": False, "error": ended.stderr.strip()[-300:]}
    is_told = len(errors) == 1 and "nvenc" in errors[0] and "Traceback" not in ended.stderr
    require(ended.returncode == 2 and is_told, "no single line that says why", figures)
    return figures


def nvdec(machine: Machine) -> Figures:
    """Decode by the card what software decodes, to the same samples: alone, and many at once."""
    from pipeline.segments.card_decoder import CardError
    from pipeline.segments.decoder import SegmentDecoder
    from pipeline.segments.worker import equal_by_card

    torch.ones(1, device=machine.device)  # decoders join torch's context
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for codec, pixel_format in _DECODED:
            film = Path(folder, f"{codec}-{pixel_format}.mkv")
            size, frames = machine.choose(((1080, 1920), 48), ((96, 160), 6))
            _make_film(film, size=size, frames=frames, codec=codec, pixel_format=pixel_format)
            task = _first_segment(film)
            try:
                require(equal_by_card(task), f"{film.stem}: NVDEC gives other frames", figures)
            except CardError as error:
                figures[film.stem] = str(error)
                continue

            def decoded(_: int, task: SegmentTask = task) -> bool:
                decoder = SegmentDecoder(task, threads=1, by_card=True)
                return len([*decoder.frames()]) > 0 and decoder.card_trouble is None

            for at_once in (1, 8):
                begin = time.monotonic()
                with ThreadPoolExecutor(at_once) as threads:
                    by_card = [*threads.map(decoded, range(at_once))]
                rate = at_once * frames / (time.monotonic() - begin)
                figures[f"{film.stem}, {at_once} at once, frames per second"] = round(rate, 1)
                require(all(by_card), f"{film.stem}: software decoded, too", figures)
    if not any("per second" in name for name in figures):
        raise SkipError(f"PyAV does not decode on this card: {figures}")
    return figures


def _first_segment(film: Path) -> SegmentTask:
    from pipeline.encoding.encoders import choose_encoder
    from pipeline.encoding.output_frame import plan_output
    from pipeline.segments.packet_reader import PacketReader
    from pipeline.segments.plan import plan_segments
    from pipeline.segments.task import SegmentTask
    from pipeline.source.source_video import probe

    source = probe(film)
    output = plan_output(source.info, choose_encoder(Path("out.mkv"), source.info))
    first = plan_segments(source.packets, time_base=source.info.time_base, seconds=5.0)[0]
    with PacketReader(source) as reader:
        return SegmentTask(first, source.info, output, reader.read(first))
