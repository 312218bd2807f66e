"""How busy a worker of several processors keeps them, and its device, with segments at once.

    python -m tests.benchmarks.kept_busy [--quick]

The device is simulated: it sleeps as long as a GPU is estimated to compute a frame of 1080p. All
else is real: segments of a film are decoded, go through ManySegments, and are encoded by x264.
Rounds of all ways take turns in one run.

Behind that a model says, from what a frame costs here, what 16 processors and an H200 would come
to, and how many encoders on other nodes would keep it busy (docs/performance.md has the formula).
"""

from __future__ import annotations

import pickle
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import psutil
from PIL import Image

from jobs.benchmark.rendering import section_markdown
from jobs.benchmark.section import Cell, Section
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.color.yuv import YuvFrames
from nst_core.engines.device_transfer import under_way
from nst_core.processors import usable_processors
from nst_core.stylizer import Stylizer
from nst_core.wording import counted
from pipeline.encoding.encoders import choose_encoder
from pipeline.encoding.lossless import FrameUnpacker
from pipeline.encoding.output_frame import plan_output
from pipeline.looks.look import Look
from pipeline.segments.many_segments import ManySegments
from pipeline.segments.packet_reader import PacketReader
from pipeline.segments.plan import plan_segments
from pipeline.segments.task import SegmentTask
from pipeline.segments.worker import SegmentWorker
from pipeline.source.source_video import probe
from pipeline.work.rates import FrameCosts, balance_of, encoders_needed

GPU_SECONDS = 0.002
"""A frame of 1080p at width 16 on an H200, compiled: estimated, not measured."""
_H200_PROCESSORS = 16
_H200_SECONDS = {"width 16": 0.0015, "width 32": 0.003}
"""A frame of 1080p on an H200 at its best: estimated, not measured."""
_SLOW_SECONDS = 0.08
"""A device that is slower than the encoders of two processors."""
_LANES_A_PROCESSOR = 2
_ROUNDS = 3


class SimulatedDevice:
    """Has the part of a Stylizer that threads share, and sleeps where a GPU would compute.

    ``seconds`` a frame; eight frames of all threads in a batch, two batches under way.
    """

    works_ahead = True
    computes = True
    overlaps = True
    on_gpu = False
    threads = 1
    engine = "asleep"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._busy_until = 0.0
        self.busy_seconds = 0.0
        self._lock = threading.Lock()

    def frames_together(self, frames: YuvFrames) -> int:
        """How many frames make a batch."""
        return 8

    def frames_a_batch(self, height: int, width: int) -> int:
        """How many frames of one segment make a batch, where there is only one."""
        return 8

    def make_yuv_batches(
        self, batches: Iterable[YuvFrames | None], *_: Any, **__: Any
    ) -> Iterator[YuvFrames]:
        """Return the frames as they are, not before the device would have computed them."""
        return under_way(batches, self._start, lambda: None)

    stylize_yuv_batches = make_yuv_batches

    def finished(self, frames: YuvFrames, made: YuvFrames, *_: Any) -> YuvFrames:
        """Return what was made."""
        return made

    def _start(self, batch: YuvFrames) -> Callable[[], YuvFrames]:
        seconds = self._seconds * len(batch.luma)
        with self._lock:
            self._busy_until = max(self._busy_until, time.monotonic()) + seconds
            ready = self._busy_until
            self.busy_seconds += seconds

        def arrived() -> YuvFrames:
            time.sleep(max(0.0, ready - time.monotonic()))
            return batch

        return arrived


@dataclass(frozen=True)
class Busy:
    """What a way came to."""

    frames_a_second: float
    processors: float
    """Part of the processors' time that was used."""
    device: float
    """Part of the time that the device was at work."""


def tasks_of(film: Path, *, seconds: float = 1.0) -> list[SegmentTask]:
    """Return a film's segments as a worker gets them, for h264."""
    source = probe(film)
    output = plan_output(source.info, choose_encoder(Path("out.mp4"), source.info))
    segments = plan_segments(source.packets, time_base=source.info.time_base, seconds=seconds)
    with PacketReader(source) as reader:
        return [SegmentTask(each, source.info, output, reader.read(each)) for each in segments]


def alone(tasks: list[SegmentTask], processors: int) -> Busy:
    """Decode and encode, a segment for each processor at a time, with no device at all."""
    workers = threading.local()

    def process(task: SegmentTask) -> int:
        if not hasattr(workers, "own"):
            workers.own = SegmentWorker(cast("Stylizer", _Passing()))
        return len(workers.own.process(task).pts)

    return _measured(tasks, process, processors, None)


def one_segment(tasks: list[SegmentTask], device: SimulatedDevice) -> Busy:
    """Do one segment after the other, decoding and encoding beside the device."""
    worker = SegmentWorker(cast("Stylizer", device))
    return _measured(tasks, lambda task: len(worker.process(task).pts), 1, device)


def at_once(tasks: list[SegmentTask], device: SimulatedDevice, lanes: int) -> Busy:
    """Do so many segments at once."""
    look = Look(StyleSpec("identity"))
    worker = ManySegments(lambda _: cast("Stylizer", device), look, at_once=lanes)
    return _measured(tasks, lambda task: len(worker.process(task).pts), lanes, device)


class _Passing(SimulatedDevice):
    """No device: frames pass."""

    overlaps = False

    def __init__(self) -> None:
        super().__init__(0.0)

    def make_yuv_batches(
        self, batches: Iterable[YuvFrames | None], *_: Any, **__: Any
    ) -> Iterator[YuvFrames]:
        return (batch for batch in batches if batch is not None)

    stylize_yuv_batches = make_yuv_batches


def _measured(
    tasks: list[SegmentTask],
    process: Callable[[SegmentTask], int],
    threads: int,
    device: SimulatedDevice | None,
) -> Busy:
    here = psutil.Process()
    used, began = sum(here.cpu_times()[:2]), time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        frames = sum(pool.map(process, tasks))
    wall = time.monotonic() - began
    used = sum(here.cpu_times()[:2]) - used
    busy = device.busy_seconds / wall if device else 0.0
    return Busy(frames / wall, used / wall / usable_processors(), busy)


def measure(folder: Path, *, quick: bool = False) -> Section:
    """Measure all ways in turn; returns them as a table."""
    film = folder / "film.mp4"
    width, height = (320, 192) if quick else (1920, 1088)
    make_film(film, width, height, frames=192 if quick else 384)
    tasks, processors = tasks_of(film), usable_processors()
    lanes = _LANES_A_PROCESSOR * processors
    ways: dict[str, Callable[[], Busy]] = {
        "decoding and encoding alone": lambda: alone(tasks, processors),
        "a segment at a time": lambda: one_segment(tasks, SimulatedDevice(GPU_SECONDS)),
        "segments at once": lambda: at_once(tasks, SimulatedDevice(GPU_SECONDS), lanes),
        "segments at once, a slow device": lambda: at_once(
            tasks, SimulatedDevice(_SLOW_SECONDS), lanes
        ),
    }
    rounds: dict[str, list[Busy]] = {name: [] for name in ways}
    for _ in range(1 if quick else _ROUNDS):
        for name, way in ways.items():
            rounds[name].append(way())
    best = statistics.median(each.frames_a_second for each in rounds["decoding and encoding alone"])
    rows: list[tuple[Cell, ...]] = []
    for name, each in rounds.items():
        frames, busy, device = (
            statistics.median(getattr(one, field) for one in each)
            for field in ("frames_a_second", "processors", "device")
        )
        rows.append((name, frames, frames / best, busy, device))
    return Section(
        key="kept_busy",
        title="A device kept busy",
        columns=("what", "frames/s", "of those alone", "processors busy", "device busy"),
        rows=rows,
        notes=(
            f"A film of {width}x{height}, {processors} processors, {lanes} segments at once; the "
            f"device sleeps {GPU_SECONDS * 1000:g} ms a frame, the slow one "
            f"{_SLOW_SECONDS * 1000:g}. Medians of {len(rounds['segments at once'])} rounds.",
        ),
    )


class _Unpacking:
    """Stands for an encoder on another node: messages are made and read, and frames unpacked."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Seconds of the processor, for what is done there."""
        self.bytes = 0

    def is_ready(self) -> bool:
        """Whether it has started."""
        return True

    def call(self, method: str, *arguments: Any) -> Callable[[], Any]:
        """Do all that an EncoderHost does but encoding."""
        message = pickle.dumps(arguments)
        began = time.thread_time()
        (first, *_) = pickle.loads(message) or [None]  # noqa: S301
        if method == "begin":
            self._unpacker = FrameUnpacker(first)
        if method == "encode":
            self.bytes += len(message)
            for _, data in first:
                self._unpacker.frame(data)
        self.seconds += time.thread_time() - began
        return lambda: b""


def frame_costs(tasks: list[SegmentTask], network: float) -> tuple[FrameCosts, float]:
    """Measure what a frame costs one processor; returns its bytes on their way elsewhere, too."""
    worker = SegmentWorker(cast("Stylizer", _Passing()))
    before = time.process_time()
    for task in tasks:
        worker.process(task)
    frames, encoding = worker.frames, time.process_time() - before - worker.other_seconds
    far = _Unpacking()
    packing = SegmentWorker(cast("Stylizer", _Passing()), elsewhere=far)
    before = time.process_time()
    for task in tasks:
        packing.process(task)
    packed = time.process_time() - before - packing.other_seconds - far.seconds
    costs = FrameCosts(
        network=network,
        decode=worker.other_seconds / frames,
        encode=encoding / frames,
        pack=packed / frames,
        unpack=far.seconds / frames,
    )
    return costs, far.bytes / frames


def model(tasks: list[SegmentTask]) -> Section:
    """Return what an H200 beside 16 processors like those here would come to."""
    rows: list[tuple[Cell, ...]] = []
    for width, network in _H200_SECONDS.items():
        costs, frame_bytes = frame_costs(tasks, network)
        for encoders in sorted({0, encoders_needed(costs, _H200_PROCESSORS)}):
            made = balance_of(costs, _H200_PROCESSORS, encoders)
            name = f"{width}, {counted(encoders, 'encoders')} elsewhere"
            away = min(made.frames_a_second, encoders / (costs.unpack + costs.encode))
            sent = 8 * frame_bytes * away / 1e9
            rows.append((name, made.frames_a_second, made.processors, made.device, sent))
    spent = (f"{name} {1000 * value:.1f}" for name, value in asdict(costs).items())
    return Section(
        key="kept_busy_model",
        title=f"A model: {_H200_PROCESSORS} processors and an H200",
        columns=("what", "frames/s", "processors busy", "device busy", "Gbit/s to them"),
        rows=rows,
        notes=(
            f"Not measured: computed from what a frame costs, in ms: {', '.join(spent)} "
            "(the network's share is an estimate, the rest was measured here, on one processor).",
        ),
    )


def make_film(path: Path, width: int, height: int, *, frames: int) -> None:
    """Encode a film of strokes that drift, with a keyframe each second of 24 frames."""
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    picture = np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.options = {"g": "24", "sc_threshold": "0", "crf": "20"}
        for number in range(frames):
            shown = np.roll(picture, (number, 2 * number), axis=(0, 1))
            container.mux(video.encode(av.VideoFrame.from_ndarray(shown, "rgb24")))
        container.mux(video.encode(None))


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        print(section_markdown(measure(Path(folder), quick="--quick" in sys.argv)))
        print(section_markdown(model(tasks_of(Path(folder, "film.mp4"))[:4])))


if __name__ == "__main__":
    main()
