from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from nst_core.errors import MediaError
from pipeline.packet_reader import PacketReader
from pipeline.segments import plan_segments
from pipeline.source_video import probe
from tests.media import make_clip


def test_a_clip_is_described_and_indexed(clip: Path) -> None:
    source = probe(clip)
    assert (source.info.codec, source.info.width, source.info.height) == ("h264", 96, 64)
    assert source.info.rate == 24
    assert len(source.packets) == 48
    gaps = np.diff(source.packets.shown_pts).tolist()
    assert [gap * source.info.time_base for gap in gaps] == [Fraction(1, 24)] * 47
    assert source.packets.is_keyframe.sum() == 4
    assert source.warnings == ()


def test_rotation_for_the_player_is_found(tmp_path: Path) -> None:
    path = tmp_path / "turned.mp4"
    matrix = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_matrix(matrix)
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    assert probe(path).display_matrix == tuple(matrix)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.mp4", b"", "empty"),
        ("text.mp4", b"this is a text, not a film\n" * 40, "not a readable video"),
        ("noise.mkv", bytes(range(256)) * 64, "not a readable video"),
    ],
)
def test_what_is_no_video_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MediaError, match=words) as caught:
        probe(path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        probe(tmp_path / "nowhere.mp4")
    with pytest.raises(MediaError, match="a folder"):
        probe(tmp_path)


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match="no video stream"):
        probe(path)


def test_timestamps_that_are_missing_are_refused_for_now(tmp_path: Path) -> None:
    path = tmp_path / "raw.h264"
    make_clip(path, sound=False)
    with pytest.raises(MediaError, match="timestamps"):
        probe(path)


def test_packets_are_read_in_any_order_as_they_lie_in_the_file(clip: Path) -> None:
    source = probe(clip)
    with av.open(str(clip)) as container:
        original = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    segments = plan_segments(source.packets, time_base=source.info.time_base, seconds=0.4)
    assert len(segments) >= 3
    with PacketReader(source) as reader:
        for segment in [*segments, segments[0], segments[2], segments[1]]:
            packets = reader.read(segment)
            wanted = original[segment.first_packet : segment.end_packet]
            assert [packet.data for packet in packets] == wanted
            pts = source.packets.pts[segment.first_packet : segment.end_packet]
            assert [packet.pts for packet in packets] == pts.tolist()


def test_a_file_that_shrinks_while_it_is_read_is_noticed(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "shrinking.mkv"
    make_clip(path)
    source = probe(path)
    segments = plan_segments(source.packets, time_base=source.info.time_base, seconds=60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with PacketReader(source) as reader, pytest.raises(MediaError, match="changed"):
        reader.read(segments[0])
