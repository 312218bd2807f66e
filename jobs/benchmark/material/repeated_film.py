"""Films of any length: a short clip's packets, written again and again, none encoded twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av


def repeat(clip: Path, film: Path, times: int) -> None:
    """Write ``clip``'s picture and sound ``times`` times; each stream goes on where it ended."""
    with av.open(str(clip)) as original, av.open(str(film), "w") as result:
        inputs: list[Any] = [*original.streams.video[:1], *original.streams.audio[:1]]
        streams = {stream.index: result.add_stream_from_template(stream) for stream in inputs}
        packets: list[Any] = [packet for packet in original.demux(inputs) if packet.size]
        lengths = dict.fromkeys(streams, 0)
        for packet in packets:
            lengths[packet.stream.index] += packet.duration
        for number in range(times):
            for packet in packets:
                index = packet.stream.index
                again = _later(packet, number * lengths[index])
                again.stream = streams[index]
                result.mux(again)


def _later(packet: Any, ticks: int) -> Any:
    # A copy each time: a muxer takes what it is given for its own.
    again: Any = av.Packet(bytes(packet))
    again.pts, again.dts = packet.pts + ticks, packet.dts + ticks
    again.duration, again.time_base = packet.duration, packet.time_base
    again.is_keyframe = packet.is_keyframe
    return again
