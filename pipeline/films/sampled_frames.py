"""A few frames from all over a film, found by seeking: quick however long the film is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream
from PIL import Image

from nst_core.errors import MediaError
from pipeline.source.media_file import main_video_stream, open_source

_MOST_DECODED = 240
"""Frames decoded of a film without keyframes to seek to."""


def sampled_frames(path: Path, count: int) -> Iterator[Image.Image]:
    """Yield ``count`` frames at most, as they are stored: not turned upright.

    They are the keyframes at points of time at equal distances, each once; of a film with a single
    one they come from its beginning. Raises MediaError for a file of which none can be decoded.
    """
    with open_source(path) as container:
        stream = main_video_stream(container, path)
        frames = _key_frames(container, stream, count)
    if len(frames) < min(2, count):
        with open_source(path) as container:
            stream = main_video_stream(container, path)
            frames = _first_frames(container, stream, count) or frames
    if not frames:
        raise MediaError(f"{path}: no frame of it can be decoded")
    yield from (frame.to_image() for frame in frames)


def _key_frames(container: InputContainer, stream: VideoStream, count: int) -> list[av.VideoFrame]:
    stream.codec_context.skip_frame = "NONKEY"
    start, length = container.start_time or 0, container.duration or 0
    found: dict[int | None, av.VideoFrame] = {}
    for number in range(count):
        try:
            container.seek(start + length * number // count)
            frame = next(container.decode(stream), None)
        except av.FFmpegError:  # another one may be whole
            continue
        if isinstance(frame, av.VideoFrame):
            found.setdefault(frame.pts, frame)
    return list(found.values())


def _first_frames(
    container: InputContainer, stream: VideoStream, count: int
) -> list[av.VideoFrame]:
    found: list[av.VideoFrame] = []
    step = max(1, _MOST_DECODED // count)
    try:
        for frame in islice(container.decode(stream), 0, _MOST_DECODED, step):
            found.append(frame)
    except av.FFmpegError:
        pass  # those before it are whole
    return found
