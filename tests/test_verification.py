"""The proof must fail whenever something was lost: each loss is made by hand here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.reassembly import plan_copies
from pipeline.source_video import probe
from pipeline.verification import Verified, verify

Edit = Callable[[Any, int], Any]


def _verify(source_path: Path, output: Path) -> Verified:
    source = probe(source_path)
    copies = plan_copies(source, output)
    return verify(source, source.packets.shown_pts.tolist(), copies, output)


def _remux(source: Path, output: Path, edit: Edit) -> None:
    """Copy all packets through ``edit(packet, number in its stream)``; None drops the packet."""
    with av.open(str(source)) as original, av.open(str(output), "w") as result:
        streams = [result.add_stream_from_template(s, opaque=True) for s in original.streams]
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
