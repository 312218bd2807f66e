"""Films that are measured on: a few seconds encoded once, their packets repeated to any length."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av

from jobs.benchmark.material.pictures import moving_pictures
from jobs.benchmark.material.repeated_film import repeat
from jobs.benchmark.settings import BenchSettings
from jobs.demo.clip import RATE


def film(settings: BenchSettings, *, width: int, height: int, seconds: float) -> Path:
    """H.264 at 24 frames/s without sound, as long as that or little longer; made once a run."""
    path = settings.folder / f"film-{width}x{height}-{seconds:g}s.mp4"
    if not path.exists():
        settings.tell(f"making a film of {seconds:g} s, {width}x{height}")
        frames = round(seconds * RATE)
        clip = _clip(settings, width, height, most_frames=frames)
        repeat(clip, path, math.ceil(frames / _frames_in(clip)))
    return path


def _clip(settings: BenchSettings, width: int, height: int, *, most_frames: int) -> Path:
    path = settings.folder / f"clip-{width}x{height}.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.options = {"crf": "20", "preset": "fast", "g": str(2 * RATE)}
        for number, image in enumerate(islice(moving_pictures(settings), most_frames)):
            frame = av.VideoFrame.from_image(image.resize((width, height)))
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _frames_in(clip: Path) -> int:
    with av.open(str(clip)) as container:
        return int(container.streams.video[0].frames)
