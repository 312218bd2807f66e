"""The proof must fail whenever something was lost: each loss is made by hand here."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.assembly.copied_streams import plan_copies
from pipeline.assembly.stream_contents import Times
from pipeline.assembly.verification import Verified, verify
from pipeline.source.source_video import probe
from tests.kit.media import stream_packets

Edit = Callable[[Any, int], Any]
Prepare = Callable[[Any], None]


def _verify(source_path: Path, output: Path) -> Verified:
    source = probe(source_path)
    copies = plan_copies(source, output)
    return verify(source, source.packets.shown_pts.tolist(), copies, output)


def _nothing(result: Any) -> None:
    pass


def _remux(source: Path, output: Path, edit: Edit, prepare: Prepare = _nothing) -> None:
    """Copy all packets through ``edit(packet, number in its stream)``; None drops the packet.

    ``prepare`` may change the output before its header is written.
    """
    with av.open(str(source)) as original, av.open(str(output), "w") as result:
        streams = [
            result.add_stream_from_template(stream, opaque=True)
            for stream in original.streams
            if stream.type != "attachment"
        ]
        prepare(result)
        numbers = [0] * len(streams)
        for packet in original.demux():
            if not packet.size:
                continue
            index = packet.stream_index
            kept = edit(packet, numbers[index])
            numbers[index] += 1
            if kept is not None:
                kept.stream = streams[index]
                result.mux(kept)


def _kind(packet: Any) -> str:
    return str(packet.stream.type)


def test_a_faithful_copy_is_verified(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    _remux(clip, output, lambda packet, _: packet)
    assert _verify(clip, output).everything


def test_milliseconds_of_mkv_are_near_enough(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    _remux(clip, output, lambda packet, _: packet)
    assert _verify(clip, output).everything


def test_a_missing_frame_is_noticed(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    _remux(clip, output, lambda p, n: None if _kind(p) == "video" and n == 47 else p)
    verified = _verify(clip, output)
    assert not verified.frame_count
    assert verified.copied_streams


def test_a_frame_at_another_time_is_noticed(clip: Path, tmp_path: Path) -> None:
    def late(packet: Any, number: int) -> Any:
        if _kind(packet) == "video" and number == 46:
            packet.pts += 1
        return packet

    output = tmp_path / "out.mp4"
    _remux(clip, output, late)
    verified = _verify(clip, output)
    assert verified.frame_count
    assert not verified.pts


def test_sound_that_starts_later_is_noticed(clip: Path, tmp_path: Path) -> None:
    def late(packet: Any, number: int) -> Any:
        if _kind(packet) == "audio":
            packet.pts += 480  # 10 ms
            packet.dts += 480
        return packet

    output = tmp_path / "out.mp4"
    _remux(clip, output, late)
    verified = _verify(clip, output)
    assert verified.pts
    assert not verified.copied_streams


def test_a_missing_sound_packet_is_noticed(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    _remux(clip, output, lambda p, n: None if _kind(p) == "audio" and n == 20 else p)
    assert not _verify(clip, output).copied_streams


def test_a_changed_sound_packet_is_noticed(clip: Path, tmp_path: Path) -> None:
    def changed(packet: Any, number: int) -> Any:
        if _kind(packet) == "audio" and number == 20:
            data = bytearray(bytes(packet))
            data[-1] ^= 1
            packet.update(bytes(data))
        return packet

    output = tmp_path / "out.mp4"
    _remux(clip, output, changed)
    assert not _verify(clip, output).copied_streams


@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_an_output_cut_short_is_noticed(clip: Path, tmp_path: Path, kept: float) -> None:
    output = tmp_path / "out.mkv"
    _remux(clip, output, lambda packet, _: packet)
    output.write_bytes(output.read_bytes()[: int(output.stat().st_size * kept)])
    assert not _verify(clip, output).everything


def test_sound_that_loses_only_its_adts_headers_is_the_same(clip: Path, tmp_path: Path) -> None:
    stream, output = tmp_path / "in.ts", tmp_path / "out.mkv"
    _remux(clip, stream, lambda packet, _: packet)  # MPEG-TS: every AAC packet gets a header
    _remux(stream, output, lambda packet, _: packet)
    assert _verify(stream, output).copied_streams


def _same(packet: Any, _: int) -> Any:
    return packet


def _attach(data: bytes) -> Prepare:
    return lambda result: result.add_attachment("font.ttf", "font/ttf", data)


def _turn(degrees: int) -> Prepare:
    return lambda result: result.streams.video[0].set_display_rotation(degrees)


def _divide(*milliseconds: int) -> Prepare:
    tick = Fraction(1, 1000)
    chapters = [
        {"id": 1 + n, "start": t, "end": t + 10, "time_base": tick, "metadata": {"title": "a"}}
        for n, t in enumerate(milliseconds)
    ]
    return lambda result: result.set_chapters(chapters)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (_attach(b"a font"), _attach(b"A font")),
        (_attach(b"a font"), _nothing),
        (_turn(90), _turn(-90)),
        (_turn(90), _turn(0)),
        (_nothing, _turn(180)),
        (_divide(0, 500, 900), _divide(0, 500)),
        (_divide(0, 500), _divide(0, 510)),
        (_divide(0, 500), _nothing),
    ],
)
def test_what_is_beside_the_streams_is_compared_too(
    clip: Path, tmp_path: Path, before: Prepare, after: Prepare
) -> None:
    source, good, bad = tmp_path / "in.mkv", tmp_path / "good.mkv", tmp_path / "bad.mkv"
    _remux(clip, source, _same, before)
    _remux(source, good, _same, before)
    _remux(source, bad, _same, after)
    assert _verify(source, good).everything
    assert not _verify(source, bad).copied_streams


def test_what_a_container_cannot_hold_is_not_asked_of_it(clip: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mp4"
    _remux(clip, source, _same, _attach(b"a font"))
    _remux(source, output, _same)
    assert _verify(source, output).everything


def test_times_before_zero_are_later_in_matroska_and_it_says_by_how_much(
    clip: Path, tmp_path: Path
) -> None:
    early, mp4, mkv = tmp_path / "early.mp4", tmp_path / "out.mp4", tmp_path / "out.mkv"

    def earlier(packet: Any, _: int) -> Any:
        if _kind(packet) == "audio":
            packet.pts -= 4800  # 0.1 s
            packet.dts -= 4800
        return packet

    _remux(clip, early, earlier)
    first = min(float(time) for time, _ in stream_packets(early, "audio"))
    assert first < -0.09
    _remux(early, mp4, _same)
    _remux(early, mkv, _same)
    assert _verify(early, mp4) == Verified(True, True, True, 0.0)
    verified = _verify(early, mkv)
    assert verified.everything
    assert verified.later_by_seconds == pytest.approx(-first)


def test_a_shift_of_the_picture_alone_is_noticed(clip: Path, tmp_path: Path) -> None:
    def late(packet: Any, _: int) -> Any:
        if _kind(packet) == "video":
            packet.pts += 512
            packet.dts += 512
        return packet

    output = tmp_path / "out.mkv"
    _remux(clip, output, late)
    assert not _verify(clip, output).pts


def test_packets_that_the_muxer_refused_are_the_only_ones_that_may_lack(
    clip: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    _remux(clip, output, lambda p, n: None if _kind(p) == "audio" and n in (20, 21) else p)
    source = probe(clip)
    copies, pts = plan_copies(source, output), source.packets.shown_pts.tolist()
    both = {(1, 20), (1, 21)}
    assert verify(source, pts, copies, output, refused=both).everything
    for refused in (set(), {(1, 20)}, {(1, 20), (1, 22)}, both | {(1, 30)}):
        assert not verify(source, pts, copies, output, refused=refused).copied_streams


def test_times_are_compared_exactly_however_large_they_are() -> None:
    tick = Fraction(1, 10**9)
    ours = Times(array("q", [2**62, 2**62 + 10**6]), tick)
    later = Times(array("q", [2**62, 2**62 + 10**6 + 1]), tick)
    assert ours.agree(ours, later_by=Fraction(0))
    assert not ours.agree(later, later_by=Fraction(0))
    half = Fraction(1, 2000)
    coarse = Times(array("q", [0, 1, 2]), Fraction(1, 1000))
    assert Times(array("q", [0, 3, 4]), half).agree(coarse, later_by=Fraction(0))
    assert not Times(array("q", [0, 4, 4]), half).agree(coarse, later_by=Fraction(0))
