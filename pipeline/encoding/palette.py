"""Frames with a palette, as GIF has them: one palette for a group of frames."""

from __future__ import annotations

import av
from av.filter import Graph

_LARGEST_GROUP = 64_000_000
"""Bytes of the frames that share a palette: they are all held until it is known."""
_PALETTE = "stats_mode=full"
_DITHER = "dither=sierra2_4a:diff_mode=rectangle"


class PaletteQuantizer:
    """Turns bgra frames into pal8 ones, group by group.

    A palette for a group, rather than for each frame, keeps still areas still.
    """

    def __init__(self) -> None:
        self._group: list[av.VideoFrame] = []
        self._bytes = 0

    def take(self, frame: av.VideoFrame) -> list[av.VideoFrame]:
        """Take the next frame; give back the group that it completes, if it does."""
        self._group.append(frame)
        self._bytes += sum(plane.buffer_size for plane in frame.planes)
        return self.rest() if self._bytes >= _LARGEST_GROUP else []

    def rest(self) -> list[av.VideoFrame]:
        """Give back all that is held, with its palette."""
        group, self._group, self._bytes = self._group, [], 0
        return _quantized(group) if group else []


def _quantized(frames: list[av.VideoFrame]) -> list[av.VideoFrame]:
    first = frames[0]
    assert first.time_base is not None
    graph = Graph()
    source = graph.add_buffer(
        width=first.width,
        height=first.height,
        format=first.format,
        time_base=first.time_base,
    )
    split, sink = graph.add("split"), graph.add("buffersink")
    palette, use = graph.add("palettegen", _PALETTE), graph.add("paletteuse", _DITHER)
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    for frame in frames:
        source.push(frame)
    source.push(None)
    result = [sink.pull() for _ in frames]
    for quantized, frame in zip(result, frames, strict=True):
        assert isinstance(quantized, av.VideoFrame)
        quantized.pts, quantized.time_base = frame.pts, frame.time_base
    return [frame for frame in result if isinstance(frame, av.VideoFrame)]
