"""The clip that the demo stylizes: drawn and sounded, so that the program ships no video."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from jobs.demo.scene import HEIGHT, WIDTH, draw_frame

__all__ = ["HEIGHT", "RATE", "SECONDS", "WIDTH", "draw_frame", "make_clip"]

RATE = 24
SECONDS = 4
_SAMPLE_RATE = 44_100
_SAMPLES_PER_FRAME = 1024  # as AAC wants them
_TUNE_HERTZ = (262, 330, 392, 523)


def make_clip(path: Path) -> None:
    """Encode the demo's clip: H.264 and AAC, WIDTH x HEIGHT at RATE for SECONDS."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.options = {"crf": "18", "preset": "veryfast"}
        video.codec_context.thread_count = 1
        audio = container.add_stream("aac", rate=_SAMPLE_RATE)
        audio.layout = "mono"
        tune = _tune()
        sent = 0
        for number in range(RATE * SECONDS):
            frame = av.VideoFrame.from_image(draw_frame(number / RATE))
            container.mux(video.encode(frame))
            while sent < (number + 1) * _SAMPLE_RATE // RATE:
                container.mux(audio.encode(_sound(tune, sent)))
                sent += _SAMPLES_PER_FRAME
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def _tune() -> NDArray[np.float32]:
    """One note after the other, each fading: SECONDS of it, and a frame more."""
    count = SECONDS * _SAMPLE_RATE + 2 * _SAMPLES_PER_FRAME
    time = np.arange(count) / _SAMPLE_RATE
    notes = (time * 2).astype(int)
    hertz = np.array(_TUNE_HERTZ)[notes % len(_TUNE_HERTZ)]
    fading = np.exp(-3 * (time * 2 - notes))
    tune: NDArray[np.float32] = (0.3 * fading * np.sin(2 * np.pi * hertz * time)).astype(np.float32)
    return tune


def _sound(tune: NDArray[np.float32], start: int) -> av.AudioFrame:
    samples = tune[None, start : start + _SAMPLES_PER_FRAME]
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="mono")
    frame.sample_rate = _SAMPLE_RATE
    frame.pts = start
    frame.time_base = Fraction(1, _SAMPLE_RATE)
    return frame
