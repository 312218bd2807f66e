"""Marks of spherical and stereo films: kept, or told."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from tests.kit.media import moving_picture

_TOP_BOTTOM = 1
"""A stereo mode of the box st3d."""
_YAW = 45 << 16


def _box(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(data), name) + data


def _equirectangular() -> bytes:
    pose = _box(b"prhd", bytes(4) + struct.pack(">3i", _YAW, 0, 0))
    projection = _box(b"proj", pose + _box(b"equi", bytes(20)))
    return _box(b"sv3d", _box(b"svhd", bytes(4) + b"camera\0") + projection)


def _stereo() -> bytes:
    return _box(b"st3d", bytes(4) + bytes([_TOP_BOTTOM]))


def _marked(path: Path, boxes: bytes, *, aspect: Fraction = Fraction(1)) -> Path:
    """An mp4 with boxes at the end of its sample entry: all around it become longer."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        video.codec_context.sample_aspect_ratio = aspect
        for number in range(24):
            picture = av.VideoFrame.from_ndarray(moving_picture(number), "rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
    data = bytearray(path.read_bytes())
    assert data.rfind(b"moov") > data.rfind(b"mdat")  # so nothing that is pointed at moves
    places = [data.rfind(name) - 4 for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl")]
    places += [data.rfind(name) - 4 for name in (b"stsd", b"avc1")]
    end = places[-1] + int.from_bytes(data[places[-1] : places[-1] + 4])
    for place in places:
        size = int.from_bytes(data[place : place + 4]) + len(boxes)
        data[place : place + 4] = size.to_bytes(4)
    data[end:end] = boxes
    path.write_bytes(data)
    return path


def _marks(path: Path) -> dict[str, tuple[int, ...]]:
    """Projection and angles, or arrangement of the views, as FFmpeg reads them."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        found: Any = frame.side_data
        data = {each.type.name: bytes(each) for each in found}
    layouts = {"SPHERICAL": "<4i", "STEREO3D": "<i"}
    return {
        name: struct.unpack_from(layout, data[name])
        for name, layout in layouts.items()
        if name in data
    }


def _stylized(path: Path, output: Path, **options: Any) -> list[str]:
    job = StylizeVideo(
        (path,), output, StyleSpec("identity"), PoolSpec(workers=0), segment_seconds=0.3, **options
    )
    (report,) = stylize_videos(job).inputs
    assert (report.status, report.frames_out) == ("done", 24), report.error
    return report.warnings


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("out.mp4", "h264"),
        ("out.mp4", "hevc"),
        ("out.mkv", "h264"),
        ("out.mkv", "ffv1"),
        ("out.mkv", "prores"),
        ("out.webm", "vp9"),
    ],
)
def test_a_spherical_stereo_film_stays_one(tmp_path: Path, name: str, codec: str) -> None:
    path = _marked(tmp_path / "in.mp4", _stereo() + _equirectangular())
    assert _marks(path) == {"SPHERICAL": (0, _YAW, 0, 0), "STEREO3D": (2,)}
    assert _stylized(path, tmp_path / name, codec=codec) == []
    assert _marks(tmp_path / name) == _marks(path)
    assert not any("mark" in w for w in _stylized(tmp_path / name, tmp_path / "again.mp4"))
    assert _marks(tmp_path / "again.mp4") == _marks(path)


@pytest.mark.parametrize("boxes", [_stereo(), _equirectangular()])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_either_mark_alone_is_kept(tmp_path: Path, boxes: bytes, suffix: str) -> None:
    path = _marked(tmp_path / "in.mp4", boxes)
    assert _stylized(path, tmp_path / f"out{suffix}") == []
    assert len(_marks(path)) == 1
    assert _marks(tmp_path / f"out{suffix}") == _marks(path)


@pytest.mark.parametrize("arrangement", [1, 2])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_pixels_of_stereo_films_keep_their_shape(
    tmp_path: Path, arrangement: int, suffix: str
) -> None:
    path, output = tmp_path / "in.mp4", tmp_path / f"out{suffix}"
    stereo = _box(b"st3d", bytes(4) + bytes([arrangement]))
    _marked(path, stereo, aspect=Fraction(4, 3))
    assert _stylized(path, output) == []
    with av.open(str(output)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
    assert _marks(output) == _marks(path)


def test_what_quicktime_does_not_hold_is_told(tmp_path: Path) -> None:
    path = _marked(tmp_path / "in.mp4", _stereo() + _equirectangular())
    spherical, stereo = _stylized(path, tmp_path / "out.mov")
    assert "spherical (360 degree)" in spherical  # the projection is there, its angles are not
    assert "stereo (3D)" in stereo


def test_a_film_with_neither_gets_neither(clip: Path, tmp_path: Path) -> None:
    job = StylizeVideo((clip,), tmp_path / "out.mp4", StyleSpec("identity"), PoolSpec(workers=0))
    stylize_videos(job)
    assert _marks(tmp_path / "out.mp4") == {}
