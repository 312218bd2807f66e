"""Whatever a source has beside its picture goes along, and good or damaged, the output is whole."""

from __future__ import annotations

import struct
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from av.stream import AttachmentStream

from nst_core.errors import MediaError
from pipeline.assembly.copied_streams import plan_copies
from pipeline.assembly.reassembly import reassemble
from pipeline.encoding.encoders import container_for
from pipeline.source.source_video import probe
from tests.kit.media import make_clip, stream_packets
from tests.kit.pieces import reassembled, small_frame

TURN = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)


def _remux(source: Path, output: Path, **changes: Any) -> None:
    """Copy all packets; ``changes``: matrix, chapters, attachment, cover, languages."""
    with av.open(str(source)) as original, av.open(str(output), "w") as result:
        streams = [result.add_stream_from_template(s, opaque=True) for s in original.streams]
        if "matrix" in changes:
            cast("av.VideoStream", streams[0]).set_display_matrix(list(changes["matrix"]))
        if "attachment" in changes:
            result.add_attachment("font.ttf", "font/ttf", changes["attachment"])
        if "cover" in changes:
            result.add_attachment("cover.jpg", "image/jpeg", changes["cover"])
        if "language" in changes:
            streams[1].metadata["language"] = changes["language"]
        if "chapters" in changes:
            result.set_chapters(changes["chapters"])
        for packet in original.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                result.mux(packet)


def _transport_stream(clip: Path, folder: Path, name: str = "part.ts") -> Path:
    path = folder / name
    _remux(clip, path)
    return path


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
def test_the_pieces_and_the_sound_make_a_whole_file(clip: Path, tmp_path: Path, name: str) -> None:
    _, report, verified = reassembled(clip, tmp_path / name)
    assert verified.everything
    assert (report.warnings, report.is_whole, report.refused) == ((), True, frozenset())


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_sound_goes_on_with_the_picture_where_the_clock_is_set_anew(
    clip: Path, tmp_path: Path, name: str
) -> None:
    part = _transport_stream(clip, tmp_path)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() * 2)
    source, report, verified = reassembled(joined, tmp_path / name)
    assert verified.everything
    assert report.is_whole
    offset = source.clock_resets[0].offset * source.info.time_base
    times = [float(time) for time, _ in stream_packets(tmp_path / name, "audio")]
    once = [float(time) for time, _ in stream_packets(part, "audio")]
    expected = [*once, *(time + float(offset) for time in once)]
    assert len(times) == len(expected)
    # The sound of a part is a little longer than its picture: its last packet has to make room.
    end = len(once) - 1
    assert expected[end] > expected[end + 1]
    assert times[end - 1] < times[end] < times[end + 1]
    del times[end], expected[end]
    np.testing.assert_allclose(times, expected, atol=6e-4)
    assert report.warnings == ("stream 1: 1 packet moved, whose times were out of order",)


def test_damaged_sound_that_the_muxer_refuses_is_left_out_and_told(
    clip: Path, tmp_path: Path
) -> None:
    path = _transport_stream(clip, tmp_path)
    _damage_adts_header(path)
    output = tmp_path / "out.mp4"
    source, report, verified = reassembled(path, output)
    assert report.refused
    assert not report.is_whole
    assert "damaged packets" in report.warnings[-1]
    assert verified.everything
    before, after = len(stream_packets(path, "audio")), len(stream_packets(output, "audio"))
    assert after == before - len(report.refused)
    assert source.is_whole


def _damage_adts_header(path: Path) -> None:
    """Break the sampling rate of one AAC packet in the middle of an MPEG-TS."""
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    header = packets[20][:7]
    data = bytearray(path.read_bytes())
    place = data.find(header)
    assert place > 0
    data[place + 2] |= 0x3C
    path.write_bytes(data)


def test_sound_that_breaks_off_is_copied_as_far_as_it_can_be_read(
    clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "in.mp4"
    data = bytearray(clip.read_bytes())
    sizes = data.rfind(b"stsz")  # of the sound, which is the second track
    struct.pack_into(">I", data, sizes + 16 + 4 * 40, 0x7FFFFFFF)
    path.write_bytes(data)
    output = tmp_path / "out.mkv"
    _, report, verified = reassembled(path, output)
    assert not report.is_whole
    assert "stream 1 declares 2.0" in report.warnings[0]
    assert verified.everything
    assert 0 < len(stream_packets(output, "audio")) < len(stream_packets(clip, "audio"))


def test_a_pause_before_a_keyframe_near_the_end_loses_no_frame(tmp_path: Path, clip: Path) -> None:
    """FFmpeg takes a keyframe whose DTS is long before the next for the last of an mp4."""
    path = tmp_path / "pause.mkv"
    with av.open(str(clip)) as original, av.open(str(path), "w") as result:
        stream = result.add_stream_from_template(original.streams.video[0], opaque=True)
        for packet in original.demux(video=0):
            if packet.size:
                assert packet.pts is not None
                assert packet.dts is not None
                late = 5 * 12288 if packet.pts >= 36 * 512 else 0
                packet.pts, packet.dts = packet.pts + late, packet.dts + late
                packet.stream = stream
                result.mux(packet)
    _, _, verified = reassembled(path, tmp_path / "out.mp4")
    assert verified.everything


def test_a_gif_has_no_sound_and_begins_at_zero(clip: Path, tmp_path: Path) -> None:
    path, output = _transport_stream(clip, tmp_path), tmp_path / "out.gif"
    source, report, verified = reassembled(path, output)
    (warning,) = plan_copies(source, output).warnings
    assert "stream 1 (audio, aac)" in warning
    assert verified.everything
    assert report.warnings == ()
    first = source.packets.shown_pts[0] * source.info.time_base
    assert verified.later_by_seconds == pytest.approx(-float(first))
    with av.open(str(output)) as container:
        times = [frame.pts for frame in container.decode(video=0)]
    assert times == [floor(Fraction(100 * number, 24) + Fraction(1, 2)) for number in range(48)]


def test_a_gif_refuses_frames_that_no_player_shows_in_time(tmp_path: Path) -> None:
    path = tmp_path / "fast.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=100)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match=r"0\.01 s apart.*\.mp4"):
        plan_copies(probe(path), tmp_path / "out.gif")


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
def test_rotation_and_chapters_are_kept(clip: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "in.mkv"
    millisecond = Fraction(1, 1000)
    # The last three are: one without a title, one without an end, and one out of order.
    bounds = [(300, 500, "one"), (900, 1200, ""), (1200, -(2**63), "three"), (500, 900, "two")]
    chapters = [
        {"id": n, "start": a, "end": b, "time_base": millisecond, "metadata": {"title": t}}
        for n, (a, b, t) in enumerate(bounds)
    ]
    chapters[2]["end"] = 1300
    _remux(clip, path, matrix=TURN, chapters=chapters[:3])
    source, _, verified = reassembled(path, tmp_path / name)
    assert source.display_matrix == TURN
    assert verified.everything
    with av.open(str(tmp_path / name)) as container:
        found = [chapter["metadata"].get("title", "") for chapter in container.chapters()]
        assert found == ["one", "", "three"]
        starts = [float(c["start"] * c["time_base"]) for c in container.chapters()]  # type: ignore[operator]
    assert starts == [0.3 if name == "out.mkv" else 0, 0.9, 1.2]


def test_attachments_and_the_cover_are_kept_in_matroska(clip: Path, tmp_path: Path) -> None:
    path, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    cover = _jpeg()
    _remux(clip, path, attachment=b"a font", cover=cover)
    source, _, verified = reassembled(path, output)
    assert verified.everything
    assert plan_copies(source, output).warnings == ()
    with av.open(str(output)) as container:
        assert [s.data for s in container.streams if isinstance(s, AttachmentStream)] == [b"a font"]
        (picture,) = [s for s in container.streams.video if int(s.disposition) & 0x400]
        assert next(bytes(p) for p in container.demux(picture) if p.size) == cover


def _jpeg() -> bytes:
    context: Any = av.CodecContext.create("mjpeg", "w")
    context.width = context.height = 16
    context.pix_fmt, context.time_base = "yuvj420p", Fraction(1, 25)
    return b"".join(bytes(p) for p in context.encode(av.VideoFrame(16, 16, "yuvj420p")))


def test_quicktime_gets_languages_by_the_codes_it_knows(clip: Path, tmp_path: Path) -> None:
    path, output = tmp_path / "in.mkv", tmp_path / "out.mov"
    _remux(clip, path, language="deu")
    reassembled(path, output)
    with av.open(str(output)) as container:
        assert container.streams.audio[0].metadata["language"] == "ger"


def test_the_timecode_goes_along_and_nothing_is_said_of_its_track(
    data: Path, tmp_path: Path
) -> None:
    path = data / "hostile" / "29_tmcd.mov"
    for name in ("out.mov", "out.mp4", "out.mkv"):
        source, _, verified = reassembled(path, tmp_path / name)
        assert verified.everything
        assert plan_copies(source, tmp_path / name).warnings == ()
        with av.open(str(tmp_path / name)) as container:
            tags = {k.lower(): v for k, v in container.streams.video[0].metadata.items()}
        assert tags["timecode"] == "01:00:00:00"


def test_sound_that_does_not_fit_is_refused_before_any_work(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(MediaError, match=r"aac audio does not fit into \.webm.*\.mkv"):
        plan_copies(probe(clip), tmp_path / "out.webm")


def test_nothing_decoded_is_refused(clip: Path, tmp_path: Path) -> None:
    source, output = probe(clip), tmp_path / "out.mp4"
    copies, container = plan_copies(source, output), container_for(output)
    with pytest.raises(MediaError, match="not one frame"):
        reassemble(
            source, [], output, copies, container=container, frame=small_frame(source, output)
        )


def test_a_clip_without_sound_is_whole_too(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    make_clip(path, sound=False)
    assert reassembled(path, tmp_path / "out.webm")[2].everything


@pytest.mark.parametrize("name", ["out.mp4", "out.mov"])
def test_a_start_between_two_ticks_of_the_movie_is_kept(
    clip: Path, tmp_path: Path, name: str
) -> None:
    """1027 of 12288: 7521.97 of the 90000 that mp4 usually gets."""
    path = tmp_path / "in.nut"
    with av.open(str(clip)) as original, av.open(str(path), "w") as result:
        stream = result.add_stream_from_template(original.streams.video[0], opaque=True)
        for packet in original.demux(video=0):
            if packet.size:
                assert packet.pts is not None
                assert packet.dts is not None
                packet.pts, packet.dts = packet.pts + 1027, packet.dts + 1027
                packet.stream = stream
                result.mux(packet)
    source, _, verified = reassembled(path, tmp_path / name)
    assert source.packets.shown_pts[0] * source.info.time_base == Fraction(1027, 12_288)
    assert verified.everything


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_name_of_a_track_is_kept(suffix: str, clip: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "named.mp4", tmp_path / f"out{suffix}"
    with av.open(str(clip)) as film, av.open(str(source), "w") as named:
        streams = {s.index: named.add_stream_from_template(s, opaque=True) for s in film.streams}
        streams[film.streams.audio[0].index].metadata["title"] = "Commentary"
        for packet in film.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                named.mux(packet)
    reassembled(source, output)
    with av.open(str(output)) as result:
        tags = result.streams.audio[0].metadata
        assert tags.get("name" if suffix == ".mp4" else "title", tags.get("name")) == "Commentary"
