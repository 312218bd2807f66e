"""Which packets of a copied stream stay in a part, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
import pytest
from av.stream import Stream

from pipeline.assembly.copied_packets import CopiedPackets
from pipeline.assembly.copied_streams import plan_copies
from pipeline.assembly.cut_streams import CutData, CutFilm, CutStream, CutSubtitles
from pipeline.films.span import Span
from pipeline.source.media_file import open_source
from pipeline.source.source_video import Cut, probe
from pipeline.source.trimming import trimmed
from tests.kit.media import make_clip

_CUT = Cut(Fraction(2), Fraction(5))


@dataclass
class _Stream:
    """A stream that no file is behind: its packets count in milliseconds."""

    type: str
    index: int = 1
    name: str = "test"
    time_base: Fraction = Fraction(1, 1000)


def _packet(pts: int, duration: int = 0, *, is_keyframe: bool = False, dts: int = 0) -> Any:
    packet: Any = av.Packet(4)
    packet.time_base, packet.pts, packet.dts = Fraction(1, 1000), pts, dts or pts
    packet.duration, packet.is_keyframe = duration, is_keyframe
    return packet


def _through(kind: type[CutStream], packets: Sequence[Any]) -> tuple[list[tuple[int, int]], Any]:
    cut = kind(cast("Stream", _Stream("test")), _CUT)
    kept: list[Any] = [each for packet in packets for each in cut.packets_for(packet)]
    kept += cut.rest()
    return [(packet.pts, packet.duration) for packet in kept], cut


def test_subtitles_are_clipped_to_the_part() -> None:
    cues = [(0, 1000), (1000, 1000), (1500, 1000), (3000, 500), (4500, 1000), (5000, 1000)]
    found, _ = _through(CutSubtitles, [_packet(*cue) for cue in cues])
    assert found == [(0, 500), (1000, 500), (2500, 500)]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([500, 1500, 1500, 3000], [0, 0, 1000]),
        ([1500, 2000, 3000], [0, 1000]),
        ([1500], [0]),
        ([2500, 6000], [500]),
    ],
)
def test_a_subtitle_without_an_end_is_shown_until_the_next_one(
    times: list[int], expected: list[int]
) -> None:
    found, _ = _through(CutSubtitles, [_packet(time) for time in times])
    assert [pts for pts, _ in found] == expected


def test_data_stays_where_its_moment_is_in_the_part() -> None:
    found, _ = _through(CutData, [_packet(time) for time in (0, 1999, 2000, 4999, 5000)])
    assert [pts for pts, _ in found] == [0, 2999]


def test_another_film_begins_with_its_first_keyframe_in_the_part() -> None:
    packets = [
        *(_packet(0, 40, is_keyframe=True), _packet(1960, 40), _packet(2000, 40)),
        *(_packet(2400, 40, is_keyframe=True, dts=2360), _packet(2360, 40), _packet(2440, 40)),
        _packet(5040, 40, dts=4920),  # the next one is made from it
        *(_packet(4960, 40), _packet(5080, 40)),
    ]
    found, cut = _through(CutFilm, packets)
    assert [pts for pts, _ in found] == [400, 440, 3040, 2960]
    assert cut.words() == [
        "stream 1 (test, test) begins 0.40 s after the start, with its first keyframe there"
    ]
    found, cut = _through(CutFilm, packets[:3])
    assert found == []
    assert cut.words() == ["stream 1 (test, test) has no keyframe in this part: left out"]


def _copied(path: Path, output: Path, *times: Fraction) -> tuple[list[Fraction], list[str]]:
    source = trimmed(probe(path), Span(*times))
    copies = plan_copies(source, output)
    with open_source(path) as container:
        packets = CopiedPackets(container, source, copies)
        found = [packet.pts * packet.time_base for packet in packets if packet.pts is not None]
        return found, packets.problems


def test_sound_begins_with_the_packet_before_the_first_that_is_heard(
    clip: Path, tmp_path: Path
) -> None:
    found, words = _copied(clip, tmp_path / "out.mp4", Fraction(1, 2), Fraction(1))
    packet = Fraction(1024, 48_000)
    assert -2 * packet < found[0] <= -packet
    assert 0 <= Fraction(1, 2) - found[-1] < packet
    assert all(b - a == packet for a, b in pairwise(found))
    (line,) = words
    over = found[-1] + packet - Fraction(1, 2)
    assert line == (
        "stream 1 (audio, aac): cut at its packets; players skip "
        f"{float(-1000 * found[0]):.3g} ms before the start and {float(1000 * over):.3g} ms "
        "after the end"
    )


def test_sound_that_is_over_before_the_part_is_told(tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    make_clip(path, frames=24)
    longer = tmp_path / "longer.mkv"
    with av.open(str(path)) as original, av.open(str(longer), "w") as result:
        streams = [result.add_stream_from_template(s, opaque=True) for s in original.streams]
        for packet in original.demux():
            is_late_sound = packet.stream_index == 1 and (packet.pts or 0) > 300
            if packet.size and not is_late_sound:
                packet.stream = streams[packet.stream_index]
                result.mux(packet)
    found, words = _copied(longer, tmp_path / "out.mkv", Fraction(1, 2))
    assert found == []
    assert words == ["stream 1 (audio, aac) has no sound in this part"]


def test_what_lies_far_behind_the_part_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    make_clip(path, frames=24 * 30, options={"g": "48", "preset": "ultrafast"})
    whole, part = probe(path), probe(path, seconds=Fraction(1))
    assert len(part.packets) < len(whole.packets) / 2
    assert part.is_whole
    assert part.warnings == ()
    source = trimmed(part, Span(Fraction(0), Fraction(1)))
    copies = plan_copies(source, tmp_path / "out.mkv")
    with open_source(path) as container:
        list(CopiedPackets(container, source, copies))
        last = next(container.demux(audio=0))
        assert last.pts is not None
        assert last.pts * last.time_base < 10
