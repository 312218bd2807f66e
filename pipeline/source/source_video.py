"""A source video, described: its main stream, and the index of that stream's packets."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from nst_core.color.tone_mapping import Transfer
from nst_core.color.yuv_encoding import Siting
from nst_core.errors import MediaError
from nst_core.wording import counted
from pipeline.numbered.names import NumberedPictures
from pipeline.source.encryption import encryption
from pipeline.source.first_frame import (
    display_matrix,
    first_frame,
    is_colorless,
    shows_through,
    side_data,
)
from pipeline.source.late_streams import has_late_pids
from pipeline.source.media_file import (
    check_regular,
    declared_seconds,
    demux,
    film_streams,
    has_whole_riff,
    main_video_stream,
    open_source,
)
from pipeline.source.packet_index import PacketIndex, index_packets
from pipeline.source.pixel_formats import PlaneLayout, layout_of
from pipeline.source.timestamps import NO_TIME, ClockReset

_DECLARED_TOO_MANY = 1
"""Some writers of AVI count one frame more than there is."""
ENDS_EARLIER_SECONDS = 0.5
_TALL_ENOUGH_FOR_709 = 720
"""Untagged video of at least this height is BT.709 by custom, below it BT.601."""
_HDR_TRANSFERS: dict[int, Transfer] = {16: "pq", 18: "hlg"}
_DYNAMIC_HDR = ("DYNAMIC_HDR_PLUS", "DOVI_METADATA", "DOVI_RPU_BUFFER")
_BT2020_MATRIX = 9
_CODECS_WITH_CENTERED_CHROMA = frozenset({"mjpeg", "mpeg1video"})
_CODECS_WITH_IDLE_ALPHA = frozenset({"gif", "apng", "png"})
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""The decoders that read the alpha beside a packet, by the names of those that do not."""


@dataclass(frozen=True)
class ColorTags:
    """The four colour numbers of a stream, in the code points of ITU-T H.273."""

    range: int
    primaries: int
    transfer: int
    matrix: int


@dataclass(frozen=True)
class VideoStreamInfo:
    """What a decoder far from the file needs to know of the stream."""

    codec: str
    extradata: bytes | None
    codec_tag: str
    bits_per_coded_sample: int
    width: int
    height: int
    pixel_format: str
    time_base: Fraction
    """Seconds of one tick; every PTS counts in it."""
    rate: Fraction
    """Frames a second, on average: the encoder's rate control wants one."""
    sample_aspect_ratio: Fraction | None
    color: ColorTags
    mastering_display: bytes | None = None
    """FFmpeg's AVMasteringDisplayMetadata, as it lies in memory; a bare decoder never sees it."""
    content_light: bytes | None = None
    """FFmpeg's AVContentLightMetadata, likewise."""
    spherical: bytes | None = None
    """FFmpeg's AVSphericalMapping, likewise."""
    stereo: bytes | None = None
    """FFmpeg's AVStereo3D, likewise."""
    dynamic_hdr: bool = False
    """Whether the first frame has metadata of its own: HDR10+ or Dolby Vision."""
    closed_captions: bool = False
    """Whether the first frame has captions of CEA-608 or 708 in its packet."""
    interlaced: bool = False
    """Whether the first frame is."""
    field_order: int = 0
    """FFmpeg's AVFieldOrder, the container's too: 0 not told, 1 progressive, else of two fields."""
    has_alpha_packets: bool = False
    """Whether packets bring a second picture beside the first: its alpha, of VP8 and VP9."""
    coded_aspect: Fraction | None = None
    """Width of a pixel by its height as the first frames have it, whatever the container says."""
    colorless: bool = False
    """Whether the first frame is grey, though stored with colours."""
    transparent: bool = False
    """Whether its alpha is there for a use: see _is_transparent."""
    numbered: bool = False
    """Whether its packets are files of pictures: none is to be made up for damage."""
    came_as: str = ""
    """Codec that its frames had before they were decoded, where packets are raw frames."""

    @property
    def full_range(self) -> bool:
        """Whether 0..255 rather than 16..235 spans black to white."""
        return self.color.range == 2 or self.pixel_format.startswith("yuvj")

    @property
    def has_fields(self) -> bool:
        """Whether its frames are of two fields, by themselves or by their container."""
        return self.interlaced or self.field_order > 1

    @property
    def high_definition(self) -> bool:
        """Whether an untagged stream of this size counts as BT.709."""
        return self.height >= _TALL_ENOUGH_FOR_709

    @property
    def layout(self) -> PlaneLayout:
        """How its frames are stored."""
        return layout_of(self.pixel_format)

    @property
    def transfer(self) -> Transfer | None:
        """The transfer function of a high dynamic range; None: a standard one."""
        return _HDR_TRANSFERS.get(self.color.transfer)

    @property
    def siting(self) -> Siting:
        """Where chroma samples lie, by the custom of codec and colours: decoders do not tell it."""
        if (self.came_as or self.codec) in _CODECS_WITH_CENTERED_CHROMA:
            return "center"
        return "topleft" if self.transfer and self.color.matrix == _BT2020_MATRIX else "left"


@dataclass(frozen=True)
class Cut:
    """The part of a file that is taken, in seconds of the file's clock, continued over resets."""

    start: Fraction
    """Zero of the times of the part."""
    end: Fraction | None
    """Exclusive; None: nothing is cut off at the end."""
    film_start: Fraction = Fraction(0)
    """Where the film begins."""

    @property
    def seconds(self) -> Fraction | None:
        """Length of the part; None: up to the end."""
        return None if self.end is None else self.end - self.start


@dataclass(frozen=True)
class SourceVideo:
    """A video file, probed and indexed."""

    path: Path
    stream_index: int
    info: VideoStreamInfo
    packets: PacketIndex
    display_matrix: tuple[int, ...] | None
    """Nine numbers in 16.16 and 2.30 fixed point: rotation and mirroring for the player."""
    warnings: tuple[str, ...]
    is_whole: bool = True
    """False where the file ends before the frames that it declares."""
    clock_resets: tuple[ClockReset, ...] = ()
    """Where the times of the file start again; those of ``packets`` are continued."""
    has_late_streams: bool = False
    """Whether the file has streams that begin only later, and that nobody can read."""
    cut: Cut | None = None
    """The part of the file that this is, by whose start the times of ``packets`` count; None: all
    of it."""
    pictures: NumberedPictures | None = None
    """The files that ``packets`` are, where the film is numbered pictures, no file."""

    @property
    def bytes_of_a_picture(self) -> float:
        """Size of one of its numbered pictures, in the mean; 0: it is a file."""
        return self.packets.size / len(self.packets) if self.pictures else 0.0

    @property
    def last_duration(self) -> int:
        """Ticks for which the last frame is shown."""
        packets = self.packets
        pts = np.where(packets.is_shown, packets.pts, NO_TIME) if self.cut else packets.pts
        return int(packets.duration[np.argmax(pts)])


def probe(path: Path, *, seconds: Fraction | None = None) -> SourceVideo:
    """Describe and index a video: one pass over its packets, one frame decoded.

    More is decoded where times do not tell the order of showing. Where its first ``seconds`` are
    enough, what comes behind may be left out. Raises MediaError where there is
    no video to decode, or its frames cannot be ordered.
    """
    check_regular(path)
    if path.exists() and path.stat().st_size == 0:
        raise MediaError(f"{path}: the file is empty")
    if how := encryption(path):
        raise MediaError(f"{path}: the film is encrypted ({how}); decrypt it first")
    with open_source(path) as container:
        stream = main_video_stream(container, path)
        info = describe(stream, path)
        index, frames = stream.index, stream.frames
        others = _words_for_choice(stream, film_streams(container))
        declared = 0.0 if frames else declared_seconds(container, stream)
        decoder = info.codec if info.has_alpha_packets else None
        is_late = has_late_pids(path, container)
        frame = first_frame(container, stream, decoder=decoder)
        coded_aspect = stream.codec_context.sample_aspect_ratio
    if frame is not None:
        info = replace(with_first_frame(info, frame), coded_aspect=coded_aspect)
    indexed = index_packets(
        path, index, rate=info.rate, interlaced=info.interlaced, seconds=seconds
    )
    end = float(int(np.max(indexed.packets.pts + indexed.packets.duration)) * info.time_base)
    lacking: tuple[str, ...] = ()
    if frames > len(indexed.packets) + _DECLARED_TOO_MANY and not indexed.is_start:
        lacking = _lacking_frames(path, index, frames)
    elif declared > end + ENDS_EARLIER_SECONDS and not indexed.is_start:
        lacking = (f"the file declares {declared:.2f} s of picture and holds {end:.2f} s",)
    return SourceVideo(
        path=path,
        stream_index=index,
        info=info,
        packets=indexed.packets,
        display_matrix=None if frame is None else display_matrix(frame),
        warnings=(*others, *indexed.warnings, *lacking),
        is_whole=indexed.is_whole and not lacking,
        clock_resets=indexed.resets,
        has_late_streams=indexed.has_late_streams or is_late,
    )


def _words_for_choice(chosen: VideoStream, streams: list[VideoStream]) -> tuple[str, ...]:
    if len(streams) == 1:
        return ()
    stream, *others = (
        f"{each.index} ({each.codec_context.name}, {each.width}x{each.height})"
        for each in sorted(streams, key=lambda stream: stream is not chosen)
    )
    are = "is" if len(others) == 1 else "are"
    return (
        f"of its {len(streams)} video streams number {stream} is stylized; "
        f"{', '.join(others)} {are} not",
    )


def _lacking_frames(path: Path, stream_index: int, declared: int) -> tuple[str, ...]:
    """Say how many frames lack that the file declares, those counted that an edit list cuts off.

    AVI declares moments, and may have nothing at some: there the frame before stays.
    """
    count = moments = 0
    with open_source(path, with_all_cut=True) as container, suppress(av.FFmpegError):
        stream = container.streams[stream_index]
        is_avi = container.format.name == "avi"
        for packet in demux(container, [stream]):
            count += 1
            moments = count if not is_avi or packet.dts is None else packet.dts + 1
    if declared <= max(count, moments) + _DECLARED_TOO_MANY or (is_avi and has_whole_riff(path)):
        return ()
    return (f"the file declares {counted(declared, 'frames')} and holds {count}",)


def describe(stream: VideoStream, path: Path) -> VideoStreamInfo:
    """Return what the headers say of a stream. Raises MediaError for one without pictures."""
    context = stream.codec_context
    if context.name == "webp" and not context.width:
        raise MediaError(
            f"{path}: an animated WebP, which cannot be decoded here; save it as an animated "
            "PNG or GIF and name that"
        )
    if not context.width or not context.height or not context.pix_fmt:
        raise MediaError(f"{path}: no picture size in its video stream; the file is damaged")
    if stream.time_base is None:
        raise MediaError(f"{path}: no time base in its video stream; the file is damaged")
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    has_alpha = tags.get("alpha_mode") == "1" and context.name in _ALPHA_DECODERS
    return VideoStreamInfo(
        codec=_ALPHA_DECODERS[context.name] if has_alpha else context.codec.name,
        extradata=context.extradata,
        codec_tag=context.codec_tag,
        bits_per_coded_sample=context.bits_per_coded_sample,
        width=context.width,
        height=context.height,
        pixel_format=context.pix_fmt,
        time_base=stream.time_base,
        rate=stream.guessed_rate or stream.average_rate or Fraction(25),
        sample_aspect_ratio=stream.sample_aspect_ratio,
        field_order=context.field_order,
        color=ColorTags(
            int(context.color_range),
            int(context.color_primaries),
            int(context.color_trc),
            int(context.colorspace),
        ),
        has_alpha_packets=has_alpha,
    )


def _is_transparent(codec: str, frame: av.VideoFrame) -> bool:
    """GIF, PNG and palettes have alpha whether it is used or not; in others it was asked for."""
    if not layout_of(frame.format.name).alpha:
        return False
    is_idle = codec in _CODECS_WITH_IDLE_ALPHA or frame.format.has_palette
    return not is_idle or shows_through(frame)


def with_first_frame(info: VideoStreamInfo, frame: av.VideoFrame) -> VideoStreamInfo:
    """What the decoder gives counts, not what the container says."""
    return replace(
        info,
        width=frame.width,
        height=frame.height,
        pixel_format=frame.format.name,
        colorless=is_colorless(frame),
        transparent=_is_transparent(info.codec, frame),
        mastering_display=side_data(frame, "MASTERING_DISPLAY_METADATA"),
        content_light=side_data(frame, "CONTENT_LIGHT_LEVEL"),
        spherical=side_data(frame, "SPHERICAL"),
        stereo=side_data(frame, "STEREO3D"),
        dynamic_hdr=any(side_data(frame, name) is not None for name in _DYNAMIC_HDR),
        closed_captions=side_data(frame, "A53_CC") is not None,
        interlaced=bool(frame.interlaced_frame),
    )
