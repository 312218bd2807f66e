"""Packets as they lie in the file, with the times of the index."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from nst_core.errors import MediaError
from pipeline.encoding.palette import PaletteQuantizer
from pipeline.segments.packet_reader import PacketReader, put_beside
from pipeline.segments.plan import plan_segments
from pipeline.source.source_video import probe
from tests.kit.media import make_clip, moving_picture


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


def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "shrinking.mkv"
    make_clip(path)
    source = probe(path)
    segments = plan_segments(source.packets, time_base=source.info.time_base, seconds=60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with PacketReader(source) as reader, pytest.raises(MediaError, match="changed"):
        reader.read(segments[0])


def test_times_of_the_file_are_handed_on_where_they_are_good(clip: Path) -> None:
    source = probe(clip)
    (segment,) = plan_segments(source.packets, time_base=source.info.time_base, seconds=60)
    with av.open(str(clip)) as container:
        original = [(p.pts, p.dts) for p in container.demux(video=0) if p.size]
    with PacketReader(source) as reader:
        assert [(packet.pts, packet.dts) for packet in reader.read(segment)] == original


def test_times_that_are_made_up_go_with_one_another(tmp_path: Path) -> None:
    path = tmp_path / "raw.h264"
    make_clip(path, sound=False)
    source = probe(path)
    (segment,) = plan_segments(source.packets, time_base=source.info.time_base, seconds=60)
    with PacketReader(source) as reader:
        packets = reader.read(segment)
    dts = [packet.dts for packet in packets]
    assert None not in dts
    assert (np.diff(np.array(dts, dtype=np.int64)) > 0).all()
    assert all(packet.dts <= packet.pts for packet in packets if packet.dts is not None)


def _clip_with_alpha(path: Path, codec: str) -> None:
    """A picture whose left half grows opaque: alpha 0, 10, 20 ..."""
    with av.open(str(path), "w") as container:
        stream = cast("av.VideoStream", container.add_stream(codec, rate=24))
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuva420p"
        stream.codec_context.options = {"auto-alt-ref": "0", "lag-in-frames": "0"}
        stream.metadata["alpha_mode"] = "1"
        for number in range(24):
            picture = np.full((64, 96, 4), 255, np.uint8)
            picture[..., :3] = moving_picture(number)
            picture[:, :48, 3] = 10 * number
            frame = av.VideoFrame.from_ndarray(picture, "rgba").reformat(format="yuva420p")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(("codec", "decoder"), [("libvpx", "libvpx"), ("libvpx-vp9", "libvpx-vp9")])
def test_alpha_beside_the_packets_reaches_a_bare_decoder(
    tmp_path: Path, codec: str, decoder: str
) -> None:
    path = tmp_path / "alpha.webm"
    _clip_with_alpha(path, codec)
    source = probe(path)
    assert source.info.has_alpha_packets
    assert (source.info.codec, source.info.pixel_format) == (decoder, "yuva420p")
    (segment,) = plan_segments(source.packets, time_base=source.info.time_base, seconds=60)
    context = cast("av.VideoCodecContext", av.VideoCodecContext.create(decoder, "r"))
    alphas = []
    with PacketReader(source) as reader:
        for encoded in reader.read(segment):
            ((kind, alpha),) = encoded.beside
            assert kind == "matroska_block_additional"
            packet = av.Packet(len(encoded.data))
            packet.update(encoded.data)
            put_beside(packet, kind, alpha)
            for frame in context.decode(packet):
                assert frame.format.name == "yuva420p"
                alphas.append(bytes(cast("Any", frame.planes[3]))[10])
    assert len(alphas) == 24
    np.testing.assert_allclose(alphas, 10 * np.arange(24), atol=3)


def test_alpha_is_left_out_where_the_stream_has_none(clip: Path) -> None:
    source = probe(clip)
    assert not source.info.has_alpha_packets
    (segment,) = plan_segments(source.packets, time_base=source.info.time_base, seconds=60)
    with PacketReader(source) as reader:
        assert {packet.beside for packet in reader.read(segment)} == {()}
    info = replace(source.info, has_alpha_packets=True)  # announced, and then not there
    with PacketReader(replace(source, info=info)) as reader:
        assert {packet.beside for packet in reader.read(segment)} == {()}


def _clip_with_two_headers(path: Path) -> None:
    """H.264 in FLV whose encoder starts anew with other parameters: a second sequence header."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.options = {"g": "12", "bf": "0"}
        for number in range(24):
            frame = av.VideoFrame.from_ndarray(moving_picture(number), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        other = av.CodecContext.create("libx264", "w")
        other.width, other.height, other.pix_fmt = 96, 64, "yuv420p"
        other.time_base, other.framerate = Fraction(1, 24), Fraction(24)
        other.options = {"g": "12", "bf": "0", "profile": "baseline", "x264-params": "ref=4"}
        other.flags |= 1 << 22  # global headers
        packets = []
        for number in range(24, 48):
            frame = av.VideoFrame.from_ndarray(moving_picture(number), "rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            packets += other.encode(frame)
        packets += other.encode(None)
        assert other.extradata is not None
        put_beside(packets[0], "new_extradata", other.extradata)
        for packet in packets:
            packet.stream = stream
            container.mux(packet)


def test_headers_that_change_in_the_middle_reach_every_segment_behind_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "two.flv"
    _clip_with_two_headers(path)
    source = probe(path)
    segments = plan_segments(source.packets, time_base=source.info.time_base, seconds=0.5)
    with PacketReader(source) as reader:
        first, *others, last = (reader.read(segment) for segment in segments)
        assert len(others) == 2
        again = reader.read(segments[-1])
    assert first[0].beside == ()
    assert [kind for kind, _ in last[0].beside] == ["new_extradata"]
    assert again == last
    context = av.CodecContext.create("h264", "r")
    context.extradata = source.info.extradata
    frames = []
    for encoded in last:
        packet = av.Packet(len(encoded.data))
        packet.update(encoded.data)
        for kind, data in encoded.beside:
            put_beside(packet, kind, data)
        frames += context.decode(packet)
    frames += context.decode(None)
    assert len(frames) == len(segments[-1].owned_pts)


def test_a_palette_beside_the_first_packet_reaches_every_segment(tmp_path: Path) -> None:
    path = tmp_path / "indexed.avi"
    palettes = PaletteQuantizer()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "pal8"
        for number in range(24):
            frame = av.VideoFrame.from_ndarray(moving_picture(number), "rgb24")
            frame = frame.reformat(format="bgra")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            palettes.take(frame)
        for indexed in palettes.rest():
            container.mux(stream.encode(indexed))
        container.mux(stream.encode(None))
    source = probe(path)
    assert source.info.pixel_format == "pal8"
    segments = plan_segments(source.packets, time_base=source.info.time_base, seconds=0.5)
    with PacketReader(source) as reader:
        beside = [reader.read(segment)[0].beside for segment in segments]
    assert len(beside) == 2
    assert [[kind for kind, _ in found] for found in beside] == [["palette"]] * 2
    assert len(dict(beside[0])["palette"]) == 1024
