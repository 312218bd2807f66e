"""Films as streams, as other programs write them into a pipe, and what a pipe gives, read again."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray

from tests.kit.media import moving_picture

FORMATS = {"y4m": "yuv4mpegpipe", "nut": "nut"}


def stream(
    kind: str = "y4m",
    *,
    frames: int = 48,
    rate: Fraction = Fraction(24),
    codec: str = "rawvideo",
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = (64, 36),
    color_range: int = 0,
    sound: bool = False,
    grey: bool = False,
    gap: bool = False,
) -> bytes:
    """A film as FFmpeg's own muxer writes it.

    ``grey`` comes through RGB without a change; with a ``gap`` its second half is a second later.
    """
    file = io.BytesIO()
    with av.open(file, "w", format=FORMATS[kind], options={"strict": "-1"}) as container:
        video = cast("av.VideoStream", container.add_stream(codec, rate=rate))
        video.width, video.height = size
        video.pix_fmt = pixel_format
        video.codec_context.color_range = color_range
        audio: Any = container.add_stream("pcm_s16le", rate=48_000) if sound else None
        for number in range(frames):
            picture = moving_picture(number, *size)
            if grey:
                picture[:] = picture[..., 2:]
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            if gap:
                frame.pts, frame.time_base = number + 24 * (2 * number // frames), 1 / rate
            container.mux(video.encode(frame))
            if audio:
                samples = np.full((1, 2000 * 2), number, dtype=np.int16)
                heard = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
                heard.sample_rate, heard.pts = 48_000, 2000 * number
                heard.time_base = Fraction(1, 48_000)
                container.mux(audio.encode(heard))
        container.mux(video.encode(None))
        if audio:
            container.mux(audio.encode(None))
    return file.getvalue()


def read_stream(
    content: bytes, pixel_format: str | None = None
) -> tuple[Any, list[tuple[Fraction, NDArray[Any]]]]:
    """The stream's codec context, and the time in seconds and the samples of every frame.

    ``pixel_format`` is what frames are brought to; None: they are as they are stored.
    """
    with av.open(io.BytesIO(content), "r") as container:
        video = container.streams.video[0]
        frames = [
            (
                cast("int", frame.pts) * cast("Fraction", frame.time_base),
                samples(frame.reformat(format=pixel_format) if pixel_format else frame),
            )
            for frame in container.decode(video)
        ]
        return video.codec_context, frames


def samples(frame: av.VideoFrame) -> NDArray[Any]:
    """All samples of a frame, as they are stored."""
    encoder = av.VideoCodecContext.create("rawvideo", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, frame.format.name
    encoder.time_base = Fraction(1, 1000)
    (packet,) = encoder.encode(frame)
    return np.frombuffer(bytes(packet), np.uint8)


def sound_of(content: bytes) -> Sequence[tuple[Fraction, bytes]]:
    """Time in seconds and bytes of every packet of sound."""
    with av.open(io.BytesIO(content), "r") as container:
        return [
            (cast("int", packet.pts) * packet.time_base, bytes(packet))
            for packet in container.demux(audio=0)
            if packet.size
        ]
