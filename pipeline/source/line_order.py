"""The order in which a frame's lines lie in memory: AMV's decoder leaves them upside down."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import av
import av.filter


def lines_from_above(frame: av.VideoFrame) -> av.VideoFrame:
    """Return the frame, or a copy of it, whose lines lie one after the other from the top."""
    if all(plane.line_size > 0 for plane in frame.planes):
        return frame
    graph = av.filter.Graph()
    time_base = frame.time_base or Fraction(1)
    nodes = [
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=time_base
        ),
        graph.add("transpose", "clock"),  # there and back: what copies to the bit
        graph.add("transpose", "cclock"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*nodes).configure()
    graph.push(frame)
    return cast("av.VideoFrame", graph.pull())
