from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest

from nst_core.errors import MediaError
from pipeline.segments.packet_reader import PacketReader
from pipeline.segments.plan import plan_segments
from pipeline.source.source_video import SourceVideo, probe
from tests.kit.h264_fields import field_coded_frame
from tests.kit.media import make_clip


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


def _decoded_pts(path: Path) -> list[int | None]:
    with av.open(str(path)) as container:
        return [frame.pts for frame in container.decode(video=0)]


def _retimed(source: Path, output: Path, times: Callable[[int, int, int], tuple[int, int]]) -> None:
    """Copy the picture; ``times(number, pts, dts)`` gives the new ones."""
    with av.open(str(source)) as original, av.open(str(output), "w") as result:
        stream = result.add_stream_from_template(original.streams.video[0], opaque=True)
        packets = [packet for packet in original.demux(video=0) if packet.size]
        for number, packet in enumerate(packets):
            assert packet.pts is not None
            assert packet.dts is not None
            packet.pts, packet.dts = times(number, packet.pts, packet.dts)
            packet.stream = stream
            result.mux(packet)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("raw.h264", "libx264", None),
        ("raw.hevc", "libx265", {"x265-params": "log-level=none:keyint=12:bframes=3"}),
    ],
)
def test_frames_without_times_are_shown_at_the_streams_rate(
    tmp_path: Path, name: str, codec: str, options: dict[str, str] | None
) -> None:
    path = tmp_path / name
    make_clip(path, codec=codec, options=options, sound=False)
    source = probe(path)
    frame = 1 / (24 * source.info.time_base)
    assert source.packets.shown_pts.tolist() == [number * frame for number in range(48)]
    assert source.warnings == ("its frames have no times: they get them from 24 frames a second",)
    # B-frames: not in the order of the file, and each where the decoder shows it.
    assert (np.diff(source.packets.pts) < 0).any()
    assert _decoded_in_segments(source) == source.packets.shown_pts.tolist()


def _decoded_in_segments(source: SourceVideo) -> list[int | None]:
    """PTS of the frames that a bare decoder gives for each segment alone."""
    found: list[int | None] = []
    segments = plan_segments(source.packets, time_base=source.info.time_base, seconds=0.5)
    assert len(segments) > 1
    with PacketReader(source) as reader:
        for segment in segments:
            decoder = cast(
                "av.VideoCodecContext", av.VideoCodecContext.create(source.info.codec, "r")
            )
            decoder.extradata = source.info.extradata
            frames = []
            for encoded in reader.read(segment):
                packet = av.Packet(len(encoded.data))
                packet.update(encoded.data)
                packet.pts, packet.dts = encoded.pts, encoded.dts
                frames += decoder.decode(packet)
            frames += decoder.decode(None)
            found += [frame.pts for frame in frames if frame.pts in segment.owned_pts]
    return found


def test_avi_which_numbers_reordered_packets_as_they_come_is_put_in_order(tmp_path: Path) -> None:
    path = tmp_path / "reordered.avi"
    make_clip(path, sound=False)
    shown = _decoded_pts(path)
    assert shown != sorted(shown, key=lambda pts: pts or 0)  # what FFmpeg makes of it
    source = probe(path)
    assert source.packets.shown_pts.tolist() == list(range(1, 49))
    assert _decoded_in_segments(source) == list(range(1, 49))
    assert "out of order" in source.warnings[0]


def test_times_that_come_twice_are_moved_apart_by_the_least(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "twice.mkv"
    _retimed(clip, path, lambda number, pts, dts: (pts // 1024 * 1024, dts))  # frames in pairs
    source = probe(path)
    milliseconds = [round(pair * 1024 / 12.288) + twin for pair in range(24) for twin in (0, 1)]
    assert source.packets.shown_pts.tolist() == milliseconds
    assert "of another" in source.warnings[0]
    assert _decoded_in_segments(source) == milliseconds


def test_where_the_clock_of_a_file_falls_back_its_times_go_on(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "joined.ts"
    part = tmp_path / "part.ts"
    _retimed(clip, part, lambda number, pts, dts: (pts, dts))
    path.write_bytes(part.read_bytes() * 2)
    source = probe(path)
    shown = source.packets.shown_pts
    assert len(shown) == 96
    assert np.diff(shown).tolist() == [3750] * 95
    (reset,) = source.clock_resets
    assert (reset.first_packet, reset.offset) == (48, 48 * 3750)
    assert "set anew at 2." in source.warnings[0]
    assert len(source.warnings) == 1


def test_two_fields_are_one_frame(tmp_path: Path) -> None:
    raw, path = tmp_path / "fields.h264", tmp_path / "fields.ts"
    raw.write_bytes(b"".join(field_coded_frame(number) for number in range(30)))
    with av.open(str(raw)) as original, av.open(str(path), "w") as result:
        stream = result.add_stream_from_template(original.streams.video[0], opaque=True)
        for number in range(30):
            data = field_coded_frame(number)
            packet = av.Packet(len(data))
            packet.update(data)
            packet.time_base, packet.pts, packet.dts = Fraction(1, 25), number, number
            packet.stream = stream
            result.mux(packet)
    source = probe(path)
    assert len(source.packets) == 60
    assert source.packets.shown_pts.tolist() == _decoded_pts(path)
    assert _decoded_in_segments(source) == _decoded_pts(path)
    assert source.info.interlaced
    assert source.warnings == ()
    assert source.last_duration == 3600
    assert len(probe(raw).packets.shown_pts) == 30


def test_a_recording_that_begins_anywhere_shows_what_can_be_decoded(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.ts", tmp_path / "cut.ts"
    make_clip(whole, sound=False)
    data = whole.read_bytes()
    path.write_bytes(data[len(data) // 4 // 188 * 188 :])
    source = probe(path)
    assert not source.packets.is_shown[0]
    assert source.packets.shown_pts.tolist() == _decoded_pts(path)
    assert "at its start" in source.warnings[0]
    assert source.is_whole


def test_an_invisible_frame_of_vp8_is_not_shown(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.webm", tmp_path / "invisible.webm"
    make_clip(plain, codec="libvpx", sound=False)
    with av.open(str(plain)) as original, av.open(str(path), "w") as result:
        stream = result.add_stream_from_template(original.streams.video[0], opaque=True)
        packets = [packet for packet in original.demux(video=0) if packet.size]
        for number, packet in enumerate(packets):
            data = bytearray(bytes(packet))
            if number == 20:
                data[0] &= ~0x10
            packet.update(bytes(data))
            packet.stream = stream
            result.mux(packet)
    source = probe(path)
    assert len(source.packets) == 48
    assert source.packets.shown_pts.tolist() == _decoded_pts(path)
    assert len(source.packets.shown_pts) == 47


def test_matroska_that_breaks_off_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "short.mkv"
    make_clip(path)
    assert probe(path).is_whole
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = probe(path)
    assert not source.is_whole
    assert "declares 2." in source.warnings[0]


def test_frames_that_an_edit_list_cuts_off_at_the_end_do_not_lack(
    clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "trimmed.mp4"
    data = bytearray(clip.read_bytes())
    place = data.find(b"elst")  # of the picture
    (milliseconds,) = struct.unpack_from(">I", data, place + 12)
    struct.pack_into(">I", data, place + 12, milliseconds // 2)
    path.write_bytes(data)
    source = probe(path)
    assert source.packets.shown_pts.tolist() == _decoded_pts(path)
    assert len(source.packets.shown_pts) == 24
    assert source.is_whole
    assert source.warnings == ()


def test_parts_of_an_edit_list_follow_one_another(clip: Path, tmp_path: Path) -> None:
    """The second part begins within a GOP: what is before it there is decoded and hidden."""
    path = tmp_path / "edited.mp4"
    data = bytearray(clip.read_bytes())
    track = data.find(b"trak") - 4
    boxes = [data.find(b"moov") - 4, track, data.find(b"edts") - 4, data.find(b"elst") - 4]
    for box in boxes:
        struct.pack_into(">I", data, box, struct.unpack_from(">I", data, box)[0] + 12)
    edits = boxes[-1] + 12
    struct.pack_into(">I", data, edits, 2)
    (_, start, rate) = struct.unpack_from(">IiI", data, edits + 4)
    struct.pack_into(">IiI", data, edits + 4, 1000, start, rate)  # a second of 24 frames
    data[edits + 16 : edits + 16] = struct.pack(">IiI", 500, start + 30 * 512, rate)
    path.write_bytes(data)
    source = probe(path)
    assert source.packets.shown_pts.tolist() == _decoded_pts(path)
    assert len(source.packets.shown_pts) == 36
    hidden = source.packets.pts[~source.packets.is_shown]
    assert len(hidden) > 12
    assert not np.isin(hidden, source.packets.shown_pts).any()
    assert _decoded_in_segments(source) == _decoded_pts(path)
    assert source.warnings == ()
    assert source.is_whole


def test_hdr_metadata_of_the_container_is_read(data: Path) -> None:
    for name in ("07_hdr10.mp4", "07b_hdr10.mkv"):
        info = probe(data / "hostile" / name).info
        assert info.mastering_display is not None
        assert info.content_light is not None
        assert np.frombuffer(info.content_light, np.uint32)[:2].tolist() == [1000, 400]
        brightest = np.frombuffer(info.mastering_display, np.int32)[18:20]
        assert Fraction(*brightest.tolist()) == 1000


def test_interlaced_and_plain_frames_are_told_apart(data: Path) -> None:
    assert probe(data / "hostile" / "12h_interlaced.mp4").info.interlaced
    assert not probe(data / "hostile" / "01_h264_bframes_aac.mp4").info.interlaced


def test_animated_webp_is_refused_with_a_way_out(data: Path) -> None:
    with pytest.raises(MediaError, match=r"animated WebP.*PNG or GIF"):
        probe(data / "hostile" / "13c_anim.webp")


_OTHER_TIMES = {"12f_raw.h264", "21_reschange.ts", "22_tsdiscont.ts"}
_DAMAGED = {
    "17_corrupt_mid.mp4": 1,
    "17b_corrupt_key.mp4": 1,
    "17c_corrupt_hevc.mp4": 15,
    "17d_corrupt_vp9.webm": 1,
}


def test_every_hostile_file_is_refused_or_has_the_times_of_a_sequential_decode(data: Path) -> None:
    refused = []
    for path in sorted((data / "hostile").iterdir()):
        try:
            shown = probe(path).packets.shown_pts.tolist()
        except MediaError:
            refused.append(path.name[:3])
            continue
        frames = _sequential_pts(path)
        assert len(shown) == len(frames) + _DAMAGED.get(path.name, 0), path.name
        assert path.name in _OTHER_TIMES or set(frames) <= set(shown), path.name
    assert refused == ["13c", "14b", "15_", "15b", "16_", "16b"]


def _sequential_pts(path: Path) -> list[int | None]:
    found: list[int | None] = []
    with av.open(str(path), metadata_errors="surrogateescape") as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            with suppress(av.FFmpegError):
                found += [frame.pts for frame in stream.decode(packet)]
    return found


def test_decoders_can_be_closed_while_they_work_and_complain(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.mp4"
    content = bytearray(clip.read_bytes())
    content[2000:9000:97] = bytes(len(range(2000, 9000, 97)))
    path.write_bytes(content)
    script = (
        "import sys, pathlib, contextlib, av\n"
        "from pipeline.source.media_file import open_source\n"
        "for _ in range(60):\n"
        "    with open_source(pathlib.Path(sys.argv[1])) as container:\n"
        "        stream = container.streams.video[0]\n"
        "        stream.thread_type, stream.thread_count = 'FRAME', 8\n"
        "        with contextlib.suppress(av.FFmpegError):\n"
        "            next(container.decode(stream))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], timeout=600, capture_output=True, check=True
    )
    assert done.stderr == b""


@pytest.mark.parametrize("name", ["pipe.mkv", "/dev/zero"])
def test_what_may_have_no_end_is_refused_before_it_is_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mkv")
    with pytest.raises(MediaError, match="a pipe or device"):
        probe(tmp_path / name)
