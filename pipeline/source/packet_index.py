"""The index of a stream's packets: numbers only, with a time for every frame."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.format import Flags
from av.video.stream import VideoStream
from numpy.typing import NDArray

from nst_core.errors import MediaError
from nst_core.wording import counted
from pipeline.source.display_order import Showing, decode_by_places
from pipeline.source.media_file import open_source, reason, video_packets
from pipeline.source.packed_frames import FrameUnpacker
from pipeline.source.timestamps import (
    NO_TIME,
    ClockReset,
    Ticks,
    apply_resets,
    are_plain,
    decoding_times,
    find_resets,
    ordered_times,
    separate_hidden,
    without_strays,
)

_HEAD = 100
"""Packets that are decoded to see whether the file's times go with the order of showing."""
_MOST_TIMES_TOLD = 5
_MORE_SECONDS = 10
"""Beyond the seconds asked for: what is read decides where these end, too."""
_CODECS_WITHOUT_MARKS = ("h261", "h263")


@dataclass(frozen=True, repr=False)
class PacketIndex:
    """Numbers of every packet of the main stream, in decoding order; no picture data."""

    pts: Ticks
    """Every frame to show has one of its own; the file's, unless a warning says otherwise."""
    duration: Ticks
    is_keyframe: NDArray[np.bool_]
    is_shown: NDArray[np.bool_]
    """False where an edit list or the codec marks the frame as not to be shown."""
    dts: Ticks | None = None
    """None: those of the file hold. Otherwise they go with PTS that are not the file's."""
    size: int = 0
    """Bytes of all packets."""

    def __len__(self) -> int:
        return len(self.pts)

    def __repr__(self) -> str:
        return f"PacketIndex({len(self)} packets, {int(self.is_keyframe.sum())} keyframes)"

    @property
    def shown_pts(self) -> Ticks:
        """PTS of the frames to show, in the order of showing."""
        return np.sort(self.pts[self.is_shown])


@dataclass(frozen=True)
class IndexedStream:
    """An index, and what came to light while it was made."""

    packets: PacketIndex
    resets: tuple[ClockReset, ...]
    warnings: tuple[str, ...]
    is_whole: bool
    """False where the demuxer stopped with an error."""
    has_late_streams: bool = False
    """Whether the file has streams beside it that begin only later, and that nobody can read."""
    is_start: bool = False
    """Whether there are more packets, behind the time up to which they were asked for."""


@dataclass(frozen=True)
class _Scan:
    """Packets as the file has them."""

    pts: Ticks
    dts: Ticks
    duration: Ticks
    is_keyframe: NDArray[np.bool_]
    is_shown: NDArray[np.bool_]
    time_base: Fraction
    reorders: bool
    """Whether the decoder may show frames in another order than they come in."""
    may_jump: bool
    """Whether the container is one whose clock may be set anew."""
    warnings: tuple[str, ...]
    is_whole: bool
    """False where the demuxer stopped with an error."""
    has_late_streams: bool
    is_start: bool
    size: int = 0
    """Bytes of all packets."""
    was_packed: bool = False
    """Whether packets of several frames were taken apart: see packed_frames."""


def index_packets(
    path: Path,
    stream_index: int,
    *,
    rate: Fraction,
    interlaced: bool = False,
    seconds: Fraction | None = None,
) -> IndexedStream:
    """Index a stream in one pass; a second one decodes where times are missing or contradictory.

    ``rate`` (frames a second) stands in for times that are not there; ``interlaced`` says that the
    first frame is. ``seconds`` from the first frame on are enough; some more come. Raises
    MediaError for a stream without packets, or whose order cannot be found.
    """
    scan = _scan(path, stream_index, seconds)
    if not len(scan.pts):
        raise MediaError(f"{path}: no packets in its video stream; the file is damaged")
    warnings = [*scan.warnings]
    step = 1 / (rate * scan.time_base)
    scan, resets = _continued(scan, step=step)
    if resets:
        warnings.append(_words_for_resets(scan, resets))
    is_in_doubt = _is_in_doubt(path, stream_index, scan, interlaced=interlaced)
    showing = _showing(path, stream_index, scan, whole=is_in_doubt)
    if showing and not showing.has_fields:
        scan, words = _without_undecodable_start(scan, showing)
        warnings += words
    if is_in_doubt and showing:
        before, scan = scan, _ordered(scan, showing, step=step)
        warnings += [] if scan.was_packed else _words_for_times(before, scan, rate)
    pts = separate_hidden(scan.pts, scan.is_shown)
    index = PacketIndex(
        pts=pts,
        duration=scan.duration,
        is_keyframe=scan.is_keyframe,
        is_shown=scan.is_shown,
        dts=decoding_times(pts) if resets or is_in_doubt else None,
        size=scan.size,
    )
    return IndexedStream(
        index, resets, tuple(warnings), scan.is_whole, scan.has_late_streams, scan.is_start
    )


def _scan(path: Path, stream_index: int, seconds: Fraction | None) -> _Scan:
    pts, dts, duration = array("q"), array("q"), array("q")
    is_keyframe, is_shown = bytearray(), bytearray()
    warnings: list[str] = []
    late: list[str] = []
    is_whole, is_start = True, False
    last: Fraction | None = None
    size = 0
    with open_source(path) as container:
        stream = cast("VideoStream", container.streams[stream_index])
        may_jump = Flags.ts_discont in Flags(container.format.flags)
        codec = stream.codec_context.name
        unpacker = FrameUnpacker(stream.codec_context.extradata)
        try:
            packets = video_packets(container, stream_index, late_streams=late, unpacker=unpacker)
            for packet in packets:
                pts.append(NO_TIME if packet.pts is None else packet.pts)
                dts.append(NO_TIME if packet.dts is None else packet.dts)
                duration.append(packet.duration or 0)
                size += packet.size
                is_keyframe.append(packet.is_keyframe)
                is_shown.append(not packet.is_discard and not _is_invisible(packet, codec))
                if seconds is None or may_jump or not is_shown[-1] or packet.dts is None:
                    continue
                time = packet.dts * packet.time_base
                last = time + seconds + _MORE_SECONDS if last is None else last
                if time > last:
                    is_start = True
                    break
        except av.FFmpegError as failure:
            is_whole = False
            warnings.append(f"the file could be read only in part ({reason(failure)})")
        return _Scan(
            pts=np.array(pts, dtype=np.int64),
            dts=np.array(dts, dtype=np.int64),
            duration=np.array(duration, dtype=np.int64),
            is_keyframe=_believable(np.array(is_keyframe, dtype=np.bool_), codec),
            is_shown=np.array(is_shown, dtype=np.bool_),
            time_base=stream.time_base or Fraction(1, 90_000),
            reorders=stream.codec_context.has_b_frames,
            may_jump=may_jump,
            warnings=tuple(warnings),
            is_whole=is_whole,
            has_late_streams=bool(late),
            is_start=is_start,
            size=size,
            was_packed=unpacker.found_packed,
        )


def _believable(is_keyframe: NDArray[np.bool_], codec: str) -> NDArray[np.bool_]:
    """Leave out what is none: of AVI, FFmpeg calls every frame of some codecs a keyframe."""
    if codec in _CODECS_WITHOUT_MARKS and is_keyframe.all():
        is_keyframe[1:] = False
    return is_keyframe


def _continued(scan: _Scan, *, step: Fraction) -> tuple[_Scan, tuple[ClockReset, ...]]:
    """Take strays away, and continue the times where the file's clock is set anew.

    Hidden packets do not count: with each of its parts, an edit list lets their times fall back.
    """
    shown_dts = np.where(scan.is_shown, scan.dts, NO_TIME)
    pts, dts = without_strays(scan.pts, shown_dts, time_base=scan.time_base)
    resets = find_resets(
        pts, dts, scan.duration, time_base=scan.time_base, step=step, may_jump=scan.may_jump
    )
    if resets:
        pts, dts = (apply_resets(times, resets) for times in (pts, dts))
    return replace(scan, pts=pts, dts=dts), resets


def _is_invisible(packet: av.Packet[Any], codec: str) -> bool:
    """Whether it is a VP8 frame for others to refer to, which nobody sees."""
    return codec == "vp8" and not memoryview(cast("Any", packet))[0] & 0x10


def _is_in_doubt(path: Path, stream_index: int, scan: _Scan, *, interlaced: bool) -> bool:
    """Whether the file's times may not tell the order of showing.

    AVI numbers the packets of reordered H.264 as they come; fields have a packet each.
    """
    if scan.was_packed or not are_plain(scan.pts, scan.dts, scan.is_shown):
        return True
    comes_as_shown = bool(np.all(np.diff(scan.pts) > 0))
    if not interlaced and not (scan.reorders and comes_as_shown):
        return False
    head = decode_by_places(path, stream_index, first=_HEAD)
    return head.has_fields or bool(np.any(np.diff(scan.pts[head.places]) <= 0))


def _showing(path: Path, stream_index: int, scan: _Scan, *, whole: bool) -> Showing | None:
    """Decode the whole stream, or only a start that may lack what it refers to.

    A recording may begin anywhere: frames before its first keyframe, in either order, may give no
    picture. Raises MediaError where all depends on the order of showing, and nothing comes out.
    """
    if whole:
        showing = decode_by_places(
            path, stream_index, first=len(scan.pts) if scan.is_start else None
        )
        if not len(showing.places):
            raise MediaError(
                f"{path}: its times do not order its frames, and none of them can be decoded; "
                "the file is damaged"
            )
        return showing
    keyframe = _first_keyframe(scan)
    before = np.flatnonzero(scan.is_shown & (scan.pts < scan.pts[keyframe]))
    last = max(keyframe, int(before[-1])) if len(before) else keyframe
    return decode_by_places(path, stream_index, first=last + 1) if last else None


def _without_undecodable_start(scan: _Scan, showing: Showing) -> tuple[_Scan, list[str]]:
    """Hide frames that refer to what comes before the file: no player shows them."""
    keyframe = _first_keyframe(scan)
    came = np.zeros(len(scan.pts), dtype=np.bool_)
    came[showing.places] = True
    places = np.arange(len(scan.pts))
    followers = np.flatnonzero(came & (places > keyframe))
    end = int(followers[0]) if len(followers) else showing.packets
    hidden = scan.is_shown & ~came & ((places < keyframe) | ((places > keyframe) & (places < end)))
    is_damaged = showing.last_error is not None and keyframe <= showing.last_error < end
    if not np.any(hidden) or is_damaged:
        return scan, []
    left_out = counted(int(hidden.sum()), "frames")
    words = f"{left_out} left out: at its start, made from what is not in it"
    return replace(scan, is_shown=scan.is_shown & ~hidden), [words]


def _first_keyframe(scan: _Scan) -> int:
    return int(np.argmax(scan.is_keyframe))  # 0 where there is none


def _ordered(scan: _Scan, showing: Showing, *, step: Fraction) -> _Scan:
    """Give each frame a time of its own, in the order in which a decoder shows them."""
    second = np.zeros(len(scan.pts), dtype=np.bool_)
    if showing.has_fields:
        second = scan.is_shown & ~np.isin(np.arange(len(second)), showing.places)
        second[0] = False
    is_shown = scan.is_shown & ~second
    order = showing.order_of(is_shown)
    pts, duration = scan.pts.copy(), scan.duration.copy()
    pts[order] = ordered_times(scan.pts[order], scan.dts[order], step=step)
    # A field's time beside its frame's, and no keyframe: it goes where the other field goes.
    fields = np.flatnonzero(second)
    closest = int(np.min(np.diff(np.sort(pts[order])), initial=2**62))
    pts[fields] = pts[fields - 1] - 1 if closest > 1 else NO_TIME
    duration[fields - 1] += duration[fields]
    return replace(
        scan,
        pts=pts,
        duration=duration,
        is_shown=is_shown,
        is_keyframe=scan.is_keyframe & ~second,
    )


def _words_for_resets(scan: _Scan, resets: tuple[ClockReset, ...]) -> str:
    starts = [int(scan.pts[reset.first_packet]) for reset in resets]
    seconds = [f"{float(start * scan.time_base):.2f} s" for start in starts[:_MOST_TIMES_TOLD]]
    more = f" and {len(starts) - len(seconds)} times more" if len(starts) > len(seconds) else ""
    return f"its clock is set anew at {', '.join(seconds)}{more}: sound and picture are continued"


def _words_for_times(before: _Scan, after: _Scan, rate: Fraction) -> list[str]:
    lacking = int(np.sum(after.is_shown & (before.pts == NO_TIME)))
    if lacking == int(after.is_shown.sum()):
        had_dts = bool(np.all(before.dts != NO_TIME))
        source = "their order of decoding" if had_dts else f"{float(rate):.6g} frames a second"
        return [f"its frames have no times: they get them from {source}"]
    if lacking:
        return [f"{lacking} of its frames have no times: they get them from those beside them"]
    moved = after.is_shown & (before.pts != after.pts)
    if not np.any(moved):
        return []
    most = float(np.max(np.abs(after.pts - before.pts)[moved]) * before.time_base)
    return [
        f"{int(moved.sum())} of its frames have the time of another, or one out of order: moved by "
        f"up to {most:.3g} s"
    ]
