"""Films of any length: a short clip's packets, written again and again, none encoded twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from jobs.demo.clip import HEIGHT, RATE, WIDTH, draw_frame


def make_second(path: Path) -> None:
    """Encode the first second of the demo's clip, without sound: one closed group of pictures."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.options = {"crf": "18", "preset": "veryfast"}
        video.codec_context.thread_count = 1
        for number in range(RATE):
            container.mux(video.encode(av.VideoFrame.from_image(draw_frame(number / RATE))))
        container.mux(video.encode(None))


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
