"""Sound keeps its bytes, and times that are in order keep theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import pipeline.assembly.copied_packets
from pipeline.assembly.copied_packets import CopiedPackets, _Clocks, _Lane
from pipeline.assembly.copied_streams import plan_copies
from pipeline.source.media_file import demux, open_source
from pipeline.source.source_video import probe
from pipeline.source.timestamps import ClockReset


def _packet(dts: int, *, duration: int = 20) -> av.Packet[Any]:
    packet = av.Packet(4)
    packet.time_base = Fraction(1, 1000)
    packet.pts = packet.dts = dts
    packet.duration = duration
    return packet


def _through_lane(times: list[int], *, waits: bool = True, step: int = 1) -> tuple[list[int], int]:
    lane = _Lane(waits=waits, step=step)
    packets = [packet for dts in times for packet in lane.take(_packet(dts))]
    packets += lane.rest()
    assert all(packet.pts == packet.dts for packet in packets)
    return [packet.dts for packet in packets if packet.dts is not None], lane.moved


def test_times_in_order_stay_as_they_are() -> None:
    times = list(range(-20, 600, 20))
    assert _through_lane(times) == (times, 0)


@pytest.mark.parametrize("strays", [1, 3])
def test_times_that_are_far_ahead_alone_are_put_between_their_neighbours(strays: int) -> None:
    times = list(range(0, 1000, 20))
    expected = [*times]
    times[20 : 20 + strays] = [9_000_000 + number for number in range(strays)]
    found, moved = _through_lane(times)
    assert moved == strays
    assert found[:20] + found[20 + strays :] == expected[:20] + expected[20 + strays :]
    assert (np.diff(found) > 0).all()


def test_what_goes_back_follows_the_one_before() -> None:
    found, moved = _through_lane([0, 20, 40, 15, 60, 80], waits=False)
    assert found == [0, 20, 40, 41, 60, 80]
    assert moved == 1


def test_equal_times_are_kept_where_the_container_holds_them() -> None:
    assert _through_lane([0, 20, 20, 40], waits=False, step=0) == ([0, 20, 20, 40], 0)
    assert _through_lane([0, 20, 20, 40], waits=False, step=1) == ([0, 20, 21, 40], 1)


def test_sound_without_durations_gets_them_from_its_times() -> None:
    """Without one, FFmpeg takes a last packet of an mp4 for one beyond the end."""
    lane = _Lane(waits=True, step=1)
    packets = [p for dts in (0, 20, 45) for p in lane.take(_packet(dts, duration=0))]
    packets += lane.rest()
    assert [packet.duration for packet in packets] == [20, 25, 25]


def _clocks(clip: Path, *resets: ClockReset) -> _Clocks:
    """Return the clocks of a picture whose 48 frames are 512 ticks of 1/12288 s apart."""
    return _Clocks(replace(probe(clip), clock_resets=resets))


def test_sound_changes_clocks_where_its_own_time_falls_back(clip: Path) -> None:
    clocks = _clocks(clip, ClockReset(24, 12288))  # a second later from the 24th picture on
    found = []
    for number in range(48):
        clocks.see_picture()
        # Sound is 5 pictures behind the picture in the file, and begins anew on its own.
        heard = number - 5
        if heard >= 0:
            packet = _packet(round(1000 * (heard if heard < 24 else heard - 24) / 24))
            clocks.continue_times(packet)
            found.append(packet.dts or 0)
    np.testing.assert_allclose(np.diff(found), 1000 / 24, atol=1)


def test_sound_that_only_begins_after_a_reset_takes_the_clock_of_the_picture_beside_it(
    clip: Path,
) -> None:
    clocks = _clocks(clip, ClockReset(24, 100 * 12288))
    source = probe(clip)
    late = source.packets.pts + np.where(np.arange(48) >= 24, 99 * 12288, 0)
    clocks._pts = late
    for _ in range(30):
        clocks.see_picture()
    packet = _packet(200)
    clocks.continue_times(packet)
    assert packet.dts == 100_200


def test_what_can_be_read_of_a_damaged_file_is_copied(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = probe(clip)
    copies = plan_copies(source, tmp_path / "out.mkv")

    def breaks_off(*arguments: Any) -> Iterator[av.Packet[Any]]:
        for number, packet in enumerate(demux(*arguments)):
            if number == 30:
                raise av.InvalidDataError(1094995529, "Invalid data found")
            yield packet

    monkeypatch.setattr(pipeline.assembly.copied_packets, "demux", breaks_off)
    with open_source(clip) as container:
        packets = CopiedPackets(container, source, copies)
        assert len(list(packets)) == 30
    assert not packets.is_whole
    assert (
        packets.problems[0] == "its other streams could be read only in part (Invalid data found)"
    )
