"""The order of showing, found by decoding: for files whose times do not tell it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from pipeline.source.media_file import open_source, video_packets


@dataclass(frozen=True)
class Showing:
    """What a decoder makes of packets that are numbered by their places in the stream."""

    places: NDArray[np.int64]
    """Places of the packets whose frames came out, in the order of showing."""
    packets: int
    is_interlaced: bool
    last_error: int | None
    """Place of the last packet that the decoder could not use."""

    @property
    def has_fields(self) -> bool:
        """Whether packets are fields: two make a frame, and the second gives none of its own."""
        halved = 4 * len(self.places) < 3 * self.packets
        return self.is_interlaced and self.last_error is None and halved

    def order_of(self, is_shown: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Places of all frames to show, in the order of showing.

        One that did not come out stands before the first that follows it in the stream.
        """
        came = self.places[is_shown[self.places]]
        missing = np.setdiff1d(np.flatnonzero(is_shown), came)
        furthest = np.maximum.accumulate(came) if len(came) else came
        return np.insert(came, np.searchsorted(furthest, missing), missing)


def decode_by_places(path: Path, stream_index: int, *, first: int | None = None) -> Showing:
    """Number the packets by their places, decode them, and read the numbers off the frames.

    ``first`` packets are enough, or all are taken. Raises MediaError where the file does not open.
    """
    places = array("q")
    packets = 0
    is_interlaced, last_error = False, None
    with open_source(path) as container:
        stream = cast("VideoStream", container.streams[stream_index])
        # Frame threads tell of errors some packets later: for a start, the place matters.
        stream.thread_type = "AUTO" if first is None else "SLICE"
        readable = islice(_readable(video_packets(container, stream_index)), first)
        for packet in chain(readable, (None,)):
            if packet is not None:
                packet.pts, packet.dts = packets, None
                packets += 1
            try:
                for frame in stream.decode(packet):
                    is_interlaced |= frame.interlaced_frame
                    if frame.pts is not None:
                        places.append(frame.pts)
            except av.FFmpegError:
                last_error = packets - 1
    return Showing(_without_repeats(places), packets, is_interlaced, last_error)


def _readable(packets: Iterator[av.Packet[Any]]) -> Iterator[av.Packet[Any]]:
    try:
        yield from packets
    except av.FFmpegError:
        return  # the scan of the packets has told


def _without_repeats(places: array[int]) -> NDArray[np.int64]:
    """A decoder that lost its place may give a frame twice: the first one counts."""
    found = np.array(places, dtype=np.int64)
    _, first = np.unique(found, return_index=True)
    return found[np.sort(first)]
