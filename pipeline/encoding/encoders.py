"""Which encoder writes which container, and with what settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from nst_core.errors import InputError
from nst_core.wording import quoted
from pipeline.encoding.hdr_metadata import HdrMetadata, read_hdr_metadata
from pipeline.encoding.output_layout import Codec, fit_layout
from pipeline.films.settings import DEFAULTS, CodecChoice, EncoderKind, FilmSettings
from pipeline.numbered.names import numbering_of
from pipeline.source.pixel_formats import PlaneLayout
from pipeline.source.source_video import VideoStreamInfo


@dataclass(frozen=True)
class Container:
    """A file format that videos are written in."""

    format: str
    """FFmpeg's name of the muxer."""
    codecs: tuple[Codec, ...]
    """What it may hold; the first is the default."""


CONTAINERS: dict[str, Container] = {
    ".mp4": Container("mp4", ("h264", "hevc", "av1", "vp9")),
    ".m4v": Container("mp4", ("h264", "hevc")),
    ".mov": Container("mov", ("h264", "hevc", "prores")),
    ".mkv": Container("matroska", ("h264", "hevc", "av1", "vp9", "ffv1", "prores")),
    ".webm": Container("webm", ("vp9", "av1")),
    ".gif": Container("gif", ("gif",)),
}
PIPE_CONTAINERS: dict[str, Container] = {
    ".y4m": Container("yuv4mpegpipe", ("rawvideo",)),
    ".nut": Container("nut", ("rawvideo", "ffv1")),
}
"""What streams are written in, by the ending of the name that stands for one: ``-.y4m``."""
NUMBERED = "image2"
"""FFmpeg's name for pictures in files of their own: as many files as there are frames."""
_PICTURE_CODECS: dict[str, Codec] = {
    ".png": "png",
    **dict.fromkeys((".tif", ".tiff"), "tiff"),
    ".exr": "exr",
    ".dpx": "dpx",
    **dict.fromkeys((".jpg", ".jpeg"), "mjpeg"),
}


@dataclass(frozen=True)
class EncoderSettings:
    """One encoder, fully chosen: the same for every segment of a video."""

    codec: Codec
    encoder: str
    """FFmpeg's name."""
    layout: PlaneLayout
    """Layout of the frames that the encoder is given."""
    pixel_format: str
    """The same as FFmpeg names it for this encoder."""
    piece_format: str
    """FFmpeg's muxer for the piece of one segment: one that keeps the codec's packets."""
    options: tuple[tuple[str, str], ...]

    @property
    def in_words(self) -> str:
        """For the user: ``libx264, preset veryfast, crf 17``."""
        return ", ".join([self.encoder, *(f"{name} {value}" for name, value in self.options)])

    @property
    def tells_top_left(self) -> bool:
        """Whether its stream says that chroma lies at the top left."""
        return any(_TOP_LEFT in value for _, value in self.options)


_TOP_LEFT = "chromaloc=2"
_DEFAULT_CRF: dict[Codec, int] = {"h264": 17, "hevc": 20, "av1": 28, "vp9": 28}
_LARGEST_CRF: dict[Codec, int] = {"h264": 51, "hevc": 51, "av1": 63, "vp9": 63}
_DEFAULT_PRESET: dict[Codec, str] = {"h264": "veryfast", "hevc": "fast", "av1": "8"}
"""x264 shares its core with the network. Of stylized 640x360, ``veryfast`` at 17 takes 5.2 ms a
frame, ``fast`` at 18 takes 12.0; for 2.5 % more bytes, with 0.4 dB less of PSNR (measured)."""
_X264_FOR_STYLIZED = ":me=dia:subme=1"
"""Brush strokes move less evenly than what they paint: a coarser search for motion takes 1.6 of
4.9 ms off a frame of 640x360, for 3 % more bytes at the same PSNR. In what is not stylized it would
be 17 % (measured on four stylized clips and a plain one)."""
_X26X_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
_PRESETS: dict[Codec, tuple[str, ...]] = {
    "h264": _X26X_PRESETS,
    "hevc": _X26X_PRESETS,
    "av1": tuple(str(number) for number in range(14)),
    "vp9": tuple(str(number) for number in range(9)),  # libvpx calls it cpu-used
    **dict.fromkeys(("ffv1", "rawvideo"), ()),
    "prores": tuple(str(number) for number in range(6)),  # the profile: proxy to 4444 XQ
    **dict.fromkeys(("gif", "png", "tiff", "exr", "dpx", "mjpeg"), ()),
}
_JPEG_SCALE, _LAMBDA = 2, 118
"""Steps of quantisation, 1 to 31, and FFmpeg's unit of them: about a quality of 95."""
_NVENC_PRESETS = tuple(f"p{number}" for number in range(1, 8))
_ENCODERS: dict[Codec, str] = {
    "h264": "libx264",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "ffv1": "ffv1",
    "prores": "prores_ks",
    **{codec: codec for codec in ("png", "tiff", "exr", "dpx", "mjpeg", "rawvideo")},
    "gif": "png",  # its pieces: frames with their palette, made a GIF when they are spliced
}
NVENC_CODECS: tuple[CodecChoice, ...] = ("h264", "hevc", "av1")
"""What graphics cards encode, those that can."""
_NVENC: dict[Codec, str] = {codec: f"{codec}_nvenc" for codec in NVENC_CODECS}
_PACKED: dict[str, str] = {"gbrp": "bgr0", "gbrap": "bgra"}
"""What ffv1 takes instead of 8-bit planes of RGB."""
_PACKED_PICTURES: dict[str, str] = {
    "gbrp": "rgb24",
    "gbrap": "rgba",
    "gbrp16le": "rgb48",
    "gbrap16le": "rgba64",
}
"""What pictures' encoders take instead, those of 16 bits in one order of bytes."""
_BYTE_ORDER: dict[Codec, str] = {"png": "be", "tiff": "le", "dpx": "be"}
_NVENC_FORMATS = {"yuv420p10le": "p010le", "yuv444p10le": "yuv444p16le"}
_WITH_ALPHA_BESIDE_VP9 = frozenset({"matroska", "webm"})
_SOURCE_CODECS: dict[str, Codec] = {"libvpx-vp9": "vp9", "libdav1d": "av1", "libaom-av1": "av1"}
"""Decoders that are not named after their codec."""


def container_for(path: Path) -> Container:
    """Choose the container that the output's name asks for. Raises InputError."""
    suffix = path.suffix.lower()
    if suffix in _PICTURE_CODECS:
        if numbering_of(path):
            return Container(NUMBERED, (_PICTURE_CODECS[suffix],))
        raise InputError(
            f"output {path}: one picture, and a film has many; number them, as "
            f"{quoted(path.with_name(f'{path.stem}.%05d{path.suffix}'))}"
        )
    container = (PIPE_CONTAINERS if path.stem == "-" else CONTAINERS).get(suffix)
    if container is None:
        raise InputError(
            f"output {path}: the ending {path.suffix or '(none)'} names no video format written "
            f"here; use one of {', '.join(CONTAINERS)}, or number pictures: NAME.%05d.png"
        )
    return container


def choose_encoder(
    path: Path,
    stream: VideoStreamInfo,
    settings: FilmSettings = DEFAULTS,
    *,
    stylized: bool = False,
) -> EncoderSettings:
    """Choose what encodes an output of ``stream``, as ``settings`` ask for.

    The default codec is the container's first that holds the source's depth and transparency.
    ``stylized`` frames are a network's own: their default preset of H.264 is fitted to that.
    Raises InputError for what does not go together, such as HDR in 8 bits.
    """
    container = container_for(path)
    crf, preset, kind, tone_map = settings.crf, settings.preset, settings.encoder, settings.tonemap
    chosen = settings.codec or _default_codec(container, stream, tone_map=tone_map)
    if chosen not in container.codecs:
        raise InputError(
            f"--codec {chosen}: {path.suffix} holds {', '.join(container.codecs)}; "
            "choose one of them, or name the output .mkv"
        )
    if kind == "nvenc" and chosen not in _NVENC:
        raise InputError(f"--encoder nvenc: it has {', '.join(_NVENC)}, not {chosen}")
    layout = _layout(container, chosen, stream, tone_map=tone_map)
    if stream.transfer and not tone_map and layout.depth == 8 < stream.layout.depth:
        raise InputError(
            f"{path.name}: the source has high dynamic range ({stream.transfer}), which the 8 bits "
            f"of {chosen} cannot hold; use --tonemap, or --codec hevc, av1, prores or ffv1"
        )
    if stream.transfer and not tone_map and layout.is_float:
        raise InputError(
            f"{path.name}: the source has high dynamic range ({stream.transfer}), and {chosen} "
            "holds linear light; use --tonemap, or number pictures of 16 bits: .png, .tif"
        )
    hdr = None
    if stream.transfer and not tone_map:
        hdr = read_hdr_metadata(stream.mastering_display, stream.content_light)
    if kind == "nvenc":
        options = _nvenc_options(chosen, crf, preset)
    else:
        options = _options(chosen, crf, preset) | _options_of_layout(chosen, layout, preset)
        if chosen == "exr" and "f32" in stream.pixel_format:
            options["format"] = "float"
        if stylized and preset is None and "x264-params" in options:
            options["x264-params"] += _X264_FOR_STYLIZED
        options = _with_hdr(options, hdr)
        if stream.siting == "topleft" and not tone_map and "x265-params" in options:
            options["x265-params"] += f":{_TOP_LEFT}"
    return EncoderSettings(
        codec=chosen,
        encoder=_NVENC[chosen] if kind == "nvenc" else _ENCODERS[chosen],
        layout=layout,
        pixel_format=_pixel_format(chosen, layout, kind),
        piece_format=_piece_format(chosen, layout),
        options=tuple(options.items()),
    )


def _default_codec(container: Container, stream: VideoStreamInfo, *, tone_map: bool) -> Codec:
    """The container's first codec, or the first that loses least of range, alpha and depth."""
    source = _source_layout(stream, tone_map=tone_map)

    def losses(codec: Codec) -> tuple[bool, bool, bool]:
        layout = _layout(container, codec, stream, tone_map=tone_map)
        is_shallow = source.depth > 8 and layout.depth == 8
        is_opaque = stream.transparent and not layout.alpha
        return bool(stream.transfer) and is_shallow, is_opaque, is_shallow

    return min(container.codecs, key=losses)


def _source_layout(stream: VideoStreamInfo, *, tone_map: bool) -> PlaneLayout:
    return replace(stream.layout, depth=8) if tone_map and stream.transfer else stream.layout


def _layout(
    container: Container, codec: Codec, stream: VideoStreamInfo, *, tone_map: bool
) -> PlaneLayout:
    source = _source_layout(stream, tone_map=tone_map)
    if codec == "vp9" and container.format not in _WITH_ALPHA_BESIDE_VP9:
        source = replace(source, alpha=False)
    if container is PIPE_CONTAINERS[".y4m"]:  # planes of YUV, and nothing else
        source = replace(source, alpha=False, rgb=False)
    same = _SOURCE_CODECS.get(stream.codec, stream.codec) == codec
    return fit_layout(codec, source, same_codec=same)


def _pixel_format(codec: Codec, layout: PlaneLayout, kind: EncoderKind) -> str:
    if codec == "gif":
        return "pal8"
    if kind == "nvenc":
        return _NVENC_FORMATS.get(layout.pixel_format, layout.pixel_format)
    if codec == "rawvideo":
        packed = _PACKED_PICTURES.get(layout.pixel_format, layout.pixel_format)
        return packed + "le" if packed in ("rgb48", "rgba64") else packed
    if codec in _BYTE_ORDER:
        packed = _PACKED_PICTURES.get(layout.pixel_format, layout.pixel_format)
        return packed + _BYTE_ORDER[codec] if packed in ("rgb48", "rgba64") else packed
    return _PACKED.get(layout.pixel_format, layout.pixel_format)


def _piece_format(codec: Codec, layout: PlaneLayout) -> str:
    if codec == "vp9" and layout.alpha:
        return "matroska"  # alpha travels beside the packets, which few formats keep
    return "mov" if codec in ("prores", "tiff", "exr") else "nut"


def _options(codec: Codec, crf: int | None, preset: str | None) -> dict[str, str]:
    """Closed GOPs, one thread (the bytes must not depend on the machine), equal headers."""
    if preset is not None and preset not in _PRESETS[codec]:
        allowed = ", ".join(_PRESETS[codec]) or "none: leave it out"
        raise InputError(f"--preset {preset}: for {codec} there is {allowed}")
    quality = _quality(codec, crf)
    speed = preset or _DEFAULT_PRESET.get(codec, "")
    match codec:
        case "h264":
            return {"preset": speed, "crf": quality, "x264-params": "stitchable=1:open-gop=0"}
        case "hevc":
            parameters = "log-level=none:open-gop=0:pools=none:frame-threads=1"
            return {"preset": speed, "crf": quality, "x265-params": parameters}
        case "av1":
            return {"preset": speed, "crf": quality, "svtav1-params": "lp=1"}
        case "vp9":
            options = {"crf": quality, "b": "0", "deadline": "good", "cpu-used": speed or "4"}
            return options | {"row-mt": "0", "lag-in-frames": "16"}
        case "ffv1":
            return {"level": "3", "g": "1"}
        case "prores":
            return {"profile": speed or "3"}
        case "png":
            return {"pred": "mixed", "compression_level": "1"}
        case "tiff":
            return {"compression_algo": "raw"}
        case "mjpeg":
            return {"flags": "+qscale", "global_quality": str(_JPEG_SCALE * _LAMBDA)}
        case "exr":
            return {"compression": "zip1", "format": "half"}
        case "dpx" | "gif" | "rawvideo":
            return {}


def _quality(codec: Codec, crf: int | None) -> str:
    if crf is None:
        return str(_DEFAULT_CRF.get(codec, 0))
    if codec not in _LARGEST_CRF:
        raise InputError(f"--crf {crf}: {codec} has no rate factor; leave it out")
    if not 0 <= crf <= _LARGEST_CRF[codec]:
        raise InputError(
            f"--crf {crf}: {codec} takes 0 (best) to {_LARGEST_CRF[codec]}; "
            f"try {_DEFAULT_CRF[codec]}"
        )
    return str(crf)


def _options_of_layout(codec: Codec, layout: PlaneLayout, preset: str | None) -> dict[str, str]:
    if codec == "vp9" and layout.alpha:
        return {"auto-alt-ref": "0"}  # libvpx: no alternate references with transparency
    if codec == "prores" and layout.subsampling == "444" and preset is None:
        return {"profile": "4"}
    return {}


def _with_hdr(options: dict[str, str], hdr: HdrMetadata | None) -> dict[str, str]:
    """Tell the encoder HDR10's metadata."""
    if hdr is None:
        return options
    added = {
        "x265-params": hdr.x265_parameters(),
        "svtav1-params": hdr.svt_av1_parameters(),
    }
    return {
        key: f"{value}:{added[key]}" if key in added else value for key, value in options.items()
    }


def _nvenc_options(codec: Codec, crf: int | None, preset: str | None) -> dict[str, str]:
    """NVENC with constant quality, whole GOPs and headers of their own."""
    if preset is not None and preset not in _NVENC_PRESETS:
        raise InputError(f"--preset {preset}: NVENC has {', '.join(_NVENC_PRESETS)}")
    options = {"preset": preset or "p5", "rc": "vbr", "b": "0", "cq": _quality(codec, crf)}
    return options | {"strict_gop": "1", "forced-idr": "1"}
