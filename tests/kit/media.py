"""Tiny real media and references that tests share."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray

from nst_core.processors import ordinary_scheduling
from pipeline.source.source_video import ColorTags, VideoStreamInfo

RATE = 24
WIDTH, HEIGHT = 96, 64


def moving_picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """RGB frame with gradients and a square that moves: no two frames are alike."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack((x * 255 // width, y * 255 // height, (x + y + 3 * number) % 256), axis=-1)
    left = (5 * number) % (width - 12)
    picture[height // 3 : height // 3 + 12, left : left + 12] = (250, 40, 60)
    return picture.astype(np.uint8)


def make_clip(
    path: Path,
    *,
    frames: int = 48,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    width: int = WIDTH,
    height: int = HEIGHT,
    sound: bool = True,
    pixel_format: str = "yuv420p",
) -> None:
    """Encode a clip; by default H.264 with B-frames, keyframes 12 frames apart, closed GOPs."""
    if options is None:
        options = {"g": "12", "bf": "2", "sc_threshold": "0"} if codec == "libx264" else {}
    with ordinary_scheduling(), av.open(str(path), "w") as container:
        video = cast("av.VideoStream", container.add_stream(codec, rate=RATE))
        video.width, video.height, video.pix_fmt = width, height, pixel_format
        video.codec_context.options = options
        audio: Any = None
        if sound:
            audio = container.add_stream(
                "libopus" if path.suffix == ".webm" else "aac", rate=48_000
            )
            audio.layout = "mono"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(moving_picture(number, width, height), "rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio:
            _encode_tone(container, audio, frames / RATE)


def _encode_tone(container: Any, audio: Any, seconds: float) -> None:
    if not audio.codec_context.is_open:  # the header opened it
        audio.codec_context.open()
    size = audio.codec_context.frame_size or 1024
    for start in range(0, int(seconds * 48_000), size):
        time = np.arange(start, start + size) / 48_000
        samples = (0.2 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)[None]
        frame_format = audio.codec_context.format.name
        if frame_format.startswith("s16"):
            samples = (samples * 32_000).astype(np.int16)
        elif not frame_format.endswith("p"):
            frame_format = "flt"
        frame = av.AudioFrame.from_ndarray(samples, format=frame_format, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
        container.mux(audio.encode(frame))
    container.mux(audio.encode(None))


def decoded_frames(path: Path) -> list[tuple[Fraction, NDArray[np.uint8]]]:
    """Decode from start to end: time in seconds and the luma plane of every frame."""
    frames = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            assert frame.pts is not None
            assert frame.time_base is not None
            plane = frame.planes[0]
            lines = np.frombuffer(cast("Any", plane), np.uint8).reshape(-1, plane.line_size)
            frames.append((frame.pts * frame.time_base, lines[:, : frame.width].copy()))
    return frames


def stream_packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """Time in seconds and bytes of every packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None and packet.time_base is not None
        ]


def stream_info(
    *,
    codec: str = "h264",
    width: int = WIDTH,
    height: int = HEIGHT,
    pixel_format: str = "yuv420p",
    color: tuple[int, int, int, int] = (0, 2, 2, 2),
    **more: Any,
) -> VideoStreamInfo:
    """A stream that no file is behind; ``color`` is range, primaries, transfer, matrix."""
    return VideoStreamInfo(
        codec=codec,
        extradata=None,
        codec_tag="",
        bits_per_coded_sample=0,
        width=width,
        height=height,
        pixel_format=pixel_format,
        time_base=Fraction(1, RATE),
        rate=Fraction(RATE),
        sample_aspect_ratio=None,
        color=ColorTags(*color),
        **more,
    )


def psnr(first: NDArray[Any], second: NDArray[Any], *, peak: float = 255) -> float:
    """Peak signal-to-noise ratio in dB."""
    error = float(np.mean((first.astype(np.float64) - second.astype(np.float64)) ** 2))
    return float(10 * np.log10(peak**2 / max(error, 1e-12)))
