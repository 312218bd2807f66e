"""AVI's packed and empty frames: each frame once, in its order, none of it called damage."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest

from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.films.report import VideoReport
from pipeline.source.packed_frames import FrameUnpacker
from pipeline.source.source_video import probe
from tests.kit.media import HEIGHT, RATE, WIDTH, decoded_frames, moving_picture
from tests.kit.packed_video import Fill, write_packed


def _stylized(path: Path, output: Path) -> VideoReport:
    job = StylizeVideo(
        (path,),
        output,
        StyleSpec("identity"),
        PoolSpec(workers=0),
        segment_seconds=0.5,
        codec="ffv1",
    )
    (report,) = stylize_videos(job).inputs
    return report


def _nearest_numbers(path: Path) -> list[int]:
    """For each frame of a clip of moving pictures, which of them it is."""
    pictures = [
        av.VideoFrame.from_ndarray(moving_picture(n), "rgb24").reformat(format="yuv420p")
        for n in range(60)
    ]
    originals = [p.to_ndarray()[:HEIGHT, :WIDTH].astype(int) for p in pictures]
    return [
        int(np.argmin([np.abs(original - luma).sum() for original in originals]))
        for _, luma in decoded_frames(path)
    ]


@pytest.mark.parametrize(
    ("fill", "tag"), [("frame", "XVID"), ("frame", "DX50"), ("byte", "DIVX"), ("nothing", "XVID")]
)
def test_packed_frames_all_come_in_their_order(tmp_path: Path, fill: Fill, tag: str) -> None:
    path, output = tmp_path / "packed.avi", tmp_path / "out.mkv"
    due = write_packed(path, fill=fill, tag=tag)
    report = _stylized(path, output)
    assert (report.status, report.warnings) == ("done", [])
    assert report.segments["total"] > 3
    assert _nearest_numbers(output) == list(range(49))
    moments = [round(seconds * RATE) - 1 for seconds, _ in decoded_frames(output)]
    # A frame before one that was dropped may stay one moment more or less.
    assert all(
        abs(found - asked) <= (fill != "frame") for found, asked in zip(moments, due, strict=True)
    )


def test_frames_that_are_not_coded_are_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "held.avi"
    write_packed(path, frames=5)
    assert len(probe(path).packets) == 5  # of eight packets, two of them empty frames


@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4", "ffvhuff"])
def test_moments_without_a_packet_are_no_damage(tmp_path: Path, codec: str) -> None:
    path, output = tmp_path / "drops.avi", tmp_path / "out.mkv"
    shown = [n for n in range(40) if n % 4 != 3]
    _write_with_holes(path, codec, shown)
    report = _stylized(path, output)
    assert (report.status, report.frames_out) == ("done", len(shown))
    times = [seconds for seconds, _ in decoded_frames(output)]
    gaps = [round((b - a) * RATE) for a, b in pairwise(times)]
    assert gaps == np.diff(shown).tolist()


@pytest.mark.parametrize("headers", [b"", b"\0\0\1\x20", b"\0\0\1\x20\x07\0\0\0\0\0", bytes(8)])
def test_frames_behind_headers_that_tell_nothing_are_kept(headers: bytes) -> None:
    packet = av.Packet(headers + b"\0\0\1\xb6" + bytes(40))
    assert [bytes(each) for each in FrameUnpacker(headers).take(packet)] == [bytes(packet)]


def test_an_avi_that_is_cut_short_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "drops.avi"
    _write_with_holes(path, "mjpeg", [n for n in range(40) if n % 4 != 3])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert not probe(path).is_whole


def test_empty_chunks_at_the_end_are_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "held.avi"
    _write_with_holes(path, "mjpeg", [0, 1, 2, 9])
    data = bytearray(path.read_bytes())
    last = data.rfind(b"00dc", 0, data.rfind(b"idx1"))  # the packet at 9 becomes an empty one
    size = int.from_bytes(data[last + 4 : last + 8], "little")
    data[last + 4 : last + 8] = bytes(4)
    data[last + 8 : last + 16] = b"JUNK" + (size + size % 2 - 8).to_bytes(4, "little")
    entry = data.rfind(b"00dc")
    data[entry + 12 : entry + 16] = bytes(4)
    path.write_bytes(data)
    source = probe(path)
    assert len(source.packets) == 3
    assert source.is_whole


def _write_with_holes(path: Path, codec: str, shown: list[int]) -> None:
    with av.open(str(path), "w") as container:
        video = cast("av.VideoStream", container.add_stream(codec, rate=RATE))
        video.width, video.height = WIDTH, HEIGHT
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in shown:
            frame = av.VideoFrame.from_ndarray(moving_picture(number), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


def test_packed_frames_that_went_into_matroska_keep_their_times(tmp_path: Path) -> None:
    packed, copied, output = (tmp_path / name for name in ("in.avi", "in.mkv", "out.mkv"))
    write_packed(packed)
    with av.open(str(packed)) as source, av.open(str(copied), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    assert _stylized(copied, output).status == "done"
    assert _nearest_numbers(output) == list(range(49))
    assert [s for s, _ in decoded_frames(output)] == sorted(s for s, _ in decoded_frames(copied))
