"""Video of 36 codecs, in all of five containers that take it: no frame is lost."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.processors import ordinary_scheduling
from pipeline.films.report import VideoReport
from pipeline.source.first_frame import display_matrix, first_frame, is_colorless
from pipeline.source.line_order import lines_from_above
from tests.kit.sequential_decode import read_sequentially

_FRAMES = 13
_WIDTH, _HEIGHT = 96, 64
_FAST = {
    "libx264": {"preset": "ultrafast", "bf": "2"},
    "libx264rgb": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}
_CONTAINERS = {"mkv": "matroska", "mp4": "mp4", "mov": "mov", "avi": "avi", "nut": "nut"}
_TAKEN_BY = {
    "mkv mp4 mov avi nut": (
        *("libx264", "libx264rgb", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg", "jpeg2000"),
    ),
    "mkv mp4 mov nut": ("libx265",),
    "mkv mp4 avi nut": ("libsvtav1", "libvpx-vp9", "ffv1"),
    "mkv mov avi nut": ("msmpeg4", "rawvideo"),
    "mp4 mov avi nut": ("png",),
    "mkv avi nut": ("libvpx", "snow"),
    "mov avi nut": ("magicyuv", "cfhd", "dvvideo", "svq1", "cinepak", "v210", "r210"),
    "mkv mov": ("prores_ks",),
    "mov": ("tiff", "qtrle"),
    "avi nut": (
        *("wmv2", "flv", "h261", "h263p", "ljpeg", "huffyuv", "utvideo", "flashsv", "speedhq"),
        "amv",
    ),
}
"""Encoders by the containers into which FFmpeg writes them."""
_SIZES = {"dvvideo": (720, 576), "h261": (176, 144)}
_INTERLACED = ("dvvideo",)
_NOT_READ_ALONE = {("libx264", "avi"), ("rawvideo", "mov")}
"""B-frames in AVI have no times, raw frames in MOV no size: FFmpeg's own reader fails too."""


def _write(path: Path, encoder: str, container: str) -> None:
    """Half a second of a square that moves."""
    size = _SIZES.get(encoder, (_WIDTH, _HEIGHT))
    formats = av.codec.Codec(encoder, "w").video_formats or []
    with ordinary_scheduling(), av.open(str(path), "w", format=container) as file:
        options = {**_FAST.get(encoder, {}), "strict": "-2"}
        stream: Any = file.add_stream(encoder, rate=25, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = formats[0].name if formats and encoder != "dvvideo" else "yuv420p"
        for number in range(_FRAMES):
            picture = np.full((size[1], size[0], 3), (20 * number % 256, 90, 200), np.uint8)
            picture[8:24, 4 * number : 4 * number + 20] = 255
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def _passed_through(path: Path, output: Path) -> list[VideoReport]:
    job = StylizeVideo(
        (path,),
        output,
        StyleSpec("identity"),
        PoolSpec(workers=0),
        codec="ffv1",
        segment_seconds=0.3,
    )
    return stylize_videos(job).inputs


@pytest.mark.parametrize(
    ("encoder", "suffixes"),
    [(encoder, taken.split()) for taken, encoders in _TAKEN_BY.items() for encoder in encoders],
)
def test_no_frame_of_any_codec_is_lost(encoder: str, suffixes: list[str], tmp_path: Path) -> None:
    films = []
    for suffix in suffixes:
        path = tmp_path / f"film-{suffix}.{suffix}"
        _write(path, encoder, _CONTAINERS[suffix])
        if (encoder, suffix) not in _NOT_READ_ALONE:
            films.append(path)
    for path in films:
        (part,) = _passed_through(path, tmp_path / f"{path.stem}.out.mkv")
        assert (part.status, part.error) == ("done", None), path.name
        assert len(part.warnings) == (encoder in _INTERLACED), part.warnings
        before, after = read_sequentially(path), read_sequentially(Path(part.output))
        assert before is not None
        assert after is not None
        assert len(before.times) == len(after.times) == _FRAMES, path.name
        for ours, theirs in zip(after.thumbnails, before.thumbnails, strict=True):
            assert np.abs(ours.astype(int) - theirs).mean() < 6, path.name


def test_frames_whose_lines_lie_upside_down_are_shown_as_they_are(tmp_path: Path) -> None:
    _write(tmp_path / "a.avi", "amv", "avi")
    with av.open(str(tmp_path / "a.avi")) as film:
        frame = first_frame(film, film.streams.video[0])
    assert frame is not None
    assert frame.planes[0].line_size < 0
    turned = lines_from_above(frame)
    assert all(plane.line_size > 0 for plane in turned.planes)
    first, second = (f.reformat(format="rgb24").to_ndarray() for f in (frame, turned))
    assert np.array_equal(first, second)
    assert not is_colorless(frame)


@pytest.mark.parametrize(("orientation", "degrees"), [(1, 0), (6, -90), (3, 180), (8, 90)])
def test_photographs_as_frames_keep_their_orientation(
    orientation: int, degrees: int, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    jpeg = io.BytesIO()
    Image.new("RGB", (_WIDTH, _HEIGHT), (200, 30, 60)).save(jpeg, "JPEG", exif=exif)
    path = tmp_path / "film.mov"
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuvj420p"
        for number in range(3):
            packet = av.Packet(jpeg.getvalue())
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, True
            file.mux(packet)
    (part,) = _passed_through(path, tmp_path / "out.mkv")
    assert (part.status, part.error) == ("done", None)
    with av.open(part.output) as film:
        frame = first_frame(film, film.streams.video[0])
    assert frame is not None
    assert abs(frame.rotation) == abs(degrees)
    assert frame.rotation == degrees or degrees == 180
    assert (display_matrix(frame) is None) == (degrees == 0)
