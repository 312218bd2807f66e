"""Which of several video streams is the film."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import pytest

from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.source.source_video import probe
from tests.kit.media import RATE, decoded_frames, moving_picture, stream_packets

_THUMBNAIL, _SMALL, _LARGE = ("mjpeg", 32, 24, 1), ("libx264", 96, 64, 12), ("mpeg4", 192, 128, 12)


def _write(
    path: Path, streams: list[tuple[str, int, int, int]], default: int | None = None
) -> None:
    """Streams of a codec, a width, a height and so many frames; ``default`` has the only mark."""
    with av.open(str(path), "w") as container:
        videos = []
        for number, (codec, width, height, _) in enumerate(streams):
            video = cast("av.VideoStream", container.add_stream(codec, rate=RATE))
            video.width, video.height = width, height
            video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            if default is not None:
                video.disposition = av.stream.Disposition(int(number == default))
            videos.append(video)
        container.start_encoding()
        for video, (_, width, height, frames) in zip(videos, streams, strict=True):
            for number in range(frames):
                picture = moving_picture(number, width, height)
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".ts"])
@pytest.mark.parametrize(
    ("streams", "default", "film"),
    [
        ([_THUMBNAIL, _SMALL], 1, 1),
        ([_THUMBNAIL, _SMALL], 0, 1),
        ([_SMALL, _LARGE], 0, 0),
        ([_SMALL, _LARGE], 1, 1),
        ([_LARGE, _SMALL], 0, 0),
    ],
)
def test_the_film_is_found_beside_thumbnails_and_others(
    tmp_path: Path,
    streams: list[tuple[str, int, int, int]],
    default: int,
    film: int,
    suffix: str,
) -> None:
    if suffix == ".ts":  # it has no marks of a default
        if streams[0] is _THUMBNAIL:
            streams = [("mpeg2video", 32, 24, 1), *streams[1:]]
        film = max(range(2), key=lambda number: streams[number][1])
    path = tmp_path / f"two{suffix}"
    _write(path, streams, default)
    source = probe(path)
    assert source.stream_index == film
    (words,) = [line for line in source.warnings if "video streams" in line]
    assert f"number {film} (" in words


def test_a_single_stream_needs_no_words(clip: Path) -> None:
    assert probe(clip).warnings == ()


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_the_thumbnail_before_the_film_is_copied(tmp_path: Path, suffix: str) -> None:
    path, output = tmp_path / "in.mkv", tmp_path / f"out{suffix}"
    _write(path, [_THUMBNAIL, _SMALL], 1)
    job = StylizeVideo((path,), output, StyleSpec("identity"), PoolSpec(workers=0))
    (report,) = stylize_videos(job).inputs
    assert (report.status, report.frames_out) == ("done", 12), report.error
    assert [data for _, data in stream_packets(output, "video")] == [
        data for _, data in stream_packets(path, "video")
    ]
    with av.open(str(output)) as container:
        assert [(s.width, s.height) for s in container.streams.video] == [(32, 24), (96, 64)]
        assert sum(1 for _ in container.decode(video=1)) == 12
    assert len(decoded_frames(output)) == 1  # of the first stream
