"""What the program costs beside decoding and encoding: a 60 s clip of 720p, by ``identity``.

    python -m tests.benchmarks.identity_speed [VIDEO]

VIDEO's frames (the demo's without it) are repeated and scaled to the clip. Program and plain loop
take turns within this one run; medians are printed. The plain loop is one decode and encode of the
same file by PyAV: the encoder that the program chooses, with its settings, and as many threads as
there are cores. Ray's start-up is left out: the program finds an embedded Ray already running; its
workers, which import torch and open their codecs, start within the time measured.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from cluster.connection import ray_session
from jobs.applying.stylize_video import stylize_videos
from jobs.demo.clip import draw_frame
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.encoding.encoders import EncoderSettings, choose_encoder
from pipeline.source.source_video import probe

_ROUNDS = 3
_SECONDS = 60
_RATE = 24
_WIDTH, _HEIGHT = 1280, 720
_BAR = 1.5
_CACHE = Path(tempfile.gettempdir()) / "nst-benchmarks"


def main() -> None:
    """Print the wall time of both in every round, and the median ratio beside its bar."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    clip = _clip(source)
    cores = len(os.sched_getaffinity(0))
    print(f"{_SECONDS} s of {_WIDTH}x{_HEIGHT} at {_RATE} frames/s, {cores} cores")
    ratios = []
    with tempfile.TemporaryDirectory() as folder, ray_session():
        output = Path(folder) / "out.mp4"
        settings = choose_encoder(output, probe(clip).info)
        for number in range(_ROUNDS):
            plain = _timed_plain(clip, Path(folder) / "plain.mp4", settings, cores)
            program, parts = _timed_program(clip, output)
            ratios.append(program / plain)
            print(
                f"round {number + 1}: plain {plain:.1f} s, program {program:.1f} s ({parts}), "
                f"ratio {ratios[-1]:.2f}"
            )
    ratio = statistics.median(ratios)
    verdict = "kept" if ratio <= _BAR else "MISSED"
    print(f"median ratio {ratio:.2f}; bar {_BAR}: {verdict}")


def _timed_plain(clip: Path, output: Path, settings: EncoderSettings, cores: int) -> float:
    start = time.perf_counter()
    with av.open(str(clip)) as container, av.open(str(output), "w") as result:
        video = container.streams.video[0]
        video.thread_type, video.codec_context.thread_count = "AUTO", cores
        stream = result.add_stream(settings.encoder, rate=_RATE, options=dict(settings.options))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, settings.pixel_format
        stream.codec_context.thread_count = cores
        for frame in container.decode(video):
            frame.pict_type = 0  # keyframes where this encoder wants them
            result.mux(stream.encode(frame))
        result.mux(stream.encode(None))
    return time.perf_counter() - start


def _timed_program(clip: Path, output: Path) -> tuple[float, str]:
    job = StylizeVideo((clip,), output, StyleSpec("identity"), PoolSpec(), overwrite=True)
    start = time.perf_counter()
    (report,) = stylize_videos(job).inputs
    seconds = time.perf_counter() - start
    assert report.status == "done", report.error
    assert report.frames_out == _SECONDS * _RATE
    return seconds, ", ".join(f"{k} {v:.1f}" for k, v in report.seconds.items() if k != "total")


def _clip(source: Path | None) -> Path:
    """Make the clip, or find the one made before."""
    path = _CACHE / f"{source.stem if source else 'demo'}-{_SECONDS}s-{_HEIGHT}p.mp4"
    if path.exists():
        return path
    _CACHE.mkdir(exist_ok=True)
    temporary = path.with_suffix(".part")
    frames = itertools.cycle(_drawn() if source is None else _decoded(source))
    with av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=_RATE, options={"preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        for number, frame in enumerate(itertools.islice(frames, _SECONDS * _RATE)):
            frame.pts, frame.time_base = number, Fraction(1, _RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    temporary.replace(path)
    return path


def _decoded(source: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(source)) as container:
        for frame in container.decode(video=0):
            scaled = frame.reformat(width=_WIDTH, height=_HEIGHT, format="yuv420p")
            scaled.pict_type = 0
            yield scaled


def _drawn() -> Iterator[av.VideoFrame]:
    for number in range(5 * _RATE):
        picture = np.asarray(draw_frame(number / _RATE))
        frame = av.VideoFrame.from_ndarray(picture, "rgb24")
        yield frame.reformat(width=_WIDTH, height=_HEIGHT, format="yuv420p")


if __name__ == "__main__":
    main()
