"""Size and colour tags of an output's frames, and what will differ from the source."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nst_core.color.tone_mapping import SDR_WHITE, Primaries, ToneMapping
from nst_core.color.yuv_encoding import Matrix, Siting, YuvEncoding
from pipeline.encoding.encoders import EncoderSettings
from pipeline.encoding.hdr_metadata import read_hdr_metadata
from pipeline.films.settings import DEFAULTS, FilmSettings
from pipeline.source.pixel_formats import chroma_in_words
from pipeline.source.source_video import ColorTags, VideoStreamInfo

_LIMITED, _FULL = 1, 2
_RGB, _BT709, _UNSPECIFIED, _SMPTE170M = 0, 1, 2, 6
_SDR = ColorTags(_LIMITED, _BT709, _BT709, _BT709)
_MATRICES: dict[int, Matrix] = {
    0: "rgb",
    1: "bt709",
    4: "fcc",
    5: "bt601",
    6: "bt601",
    7: "smpte240m",
    9: "bt2020",
}
_PRIMARIES: dict[int, Primaries] = {1: "bt709", 9: "bt2020", 12: "p3"}
_TAKES_ODD_SIZES = frozenset(
    {"vp9", "ffv1", "gif", "png", "tiff", "exr", "dpx", "mjpeg", "rawvideo"}
)
_WITH_HDR_METADATA = frozenset({"libx265", "libsvtav1"})


@dataclass(frozen=True)
class OutputFrame:
    """Size, encoder and colours of the frames to write."""

    width: int
    """Width of the encoded picture in pixels: even where the encoder needs it."""
    height: int
    shown_width: int
    """Width of the stylized picture in pixels; columns beyond it repeat its last one."""
    shown_height: int
    encoder: EncoderSettings
    color: ColorTags
    """What the output is tagged with."""
    tone_mapping: ToneMapping | None = None
    """How a high dynamic range is brought down before the network sees it."""
    scale: int = 1
    """How many times wider and higher the stylized picture is than what the network takes."""

    @property
    def taken_size(self) -> tuple[int, int]:
        """Width and height of the frames that the network takes."""
        return self.shown_width // self.scale, self.shown_height // self.scale


def plan_output(
    stream: VideoStreamInfo,
    encoder: EncoderSettings,
    settings: FilmSettings = DEFAULTS,
    *,
    scale: int = 1,
) -> OutputFrame:
    """Decide size and colours of the frames to write for a source.

    What the network takes comes out ``scale`` times larger.
    """
    width, height, max_side = stream.width, stream.height, settings.max_side
    if max_side is not None and max(width, height) > max_side:
        factor = max_side / max(width, height)
        width, height = (max(2, round(side * factor)) for side in (width, height))
    width, height = width * scale, height * scale
    even_columns = encoder.codec not in _TAKES_ODD_SIZES and encoder.layout.subsampling != "444"
    even_rows = even_columns and encoder.layout.subsampling == "420"
    mapping = tone_mapping_of(stream) if settings.tonemap and stream.transfer else None
    return OutputFrame(
        width=width + (width & even_columns),
        height=height + (height & even_rows),
        shown_width=width,
        shown_height=height,
        encoder=encoder,
        color=_SDR if mapping else _tags(stream, encoder, shown_height=height),
        tone_mapping=mapping,
        scale=scale,
    )


def source_encoding(stream: VideoStreamInfo) -> YuvEncoding:
    """How the numbers in the source's planes mean colours.

    Untagged is BT.709 in high definition, else BT.601; so is a matrix that is not known here.
    """
    layout = stream.layout
    usual: Matrix = "bt709" if stream.high_definition else "bt601"
    matrix: Matrix = "rgb" if layout.rgb else _MATRICES.get(stream.color.matrix, usual)
    if matrix == "rgb" and layout.subsampling != "444":
        matrix = usual
    return YuvEncoding(matrix, stream.full_range, layout.depth, layout.subsampling, stream.siting)


def output_encoding(stream: VideoStreamInfo, output: OutputFrame) -> YuvEncoding:
    """The same of the planes that the encoder is given."""
    layout = output.encoder.layout
    source = source_encoding(stream)
    if layout.rgb:
        return YuvEncoding("rgb", True, layout.depth, "444")
    matrix = source.matrix
    if output.tone_mapping or matrix == "rgb" or output.encoder.codec == "mjpeg":
        matrix = _MATRICES[output.color.matrix]
    full_range = output.color.range == _FULL
    # Players take what is not said for left, and of the encoders here x265 alone can say it.
    is_top_left = stream.siting == "topleft" and output.encoder.tells_top_left
    siting: Siting = "topleft" if is_top_left else "left"
    return YuvEncoding(matrix, full_range, layout.depth, layout.subsampling, siting)


def differences(stream: VideoStreamInfo, output: OutputFrame) -> list[str]:
    """What will differ from the source beyond the style, in words."""
    lines = []
    source, layout, codec = stream.layout, output.encoder.layout, output.encoder.codec
    if layout.depth < source.depth and not output.tone_mapping:
        stored_as = "floating-point" if source.is_float else f"{source.depth}-bit"
        lines.append(
            f"its {stored_as} frames are written with {layout.depth} bits a sample: "
            f"{codec} here has no more"
        )
    if loses_chroma(stream, output) and not stream.colorless:
        stored, written = map(chroma_in_words, (stream.pixel_format, layout.pixel_format))
        lines.append(
            f"its {stored} frames are written as {written} by {codec}, with "
            "less colour; --codec ffv1 or prores keeps it"
        )
    if stream.transparent and not layout.alpha:
        lines.append(
            f"its transparency is left out: {codec} has none; --codec ffv1, prores or vp9 keeps it"
        )
    if (output.width, output.height) != (output.shown_width, output.shown_height):
        lines.append(
            f"its frames of {output.shown_width}x{output.shown_height} are padded to "
            f"{output.width}x{output.height}: {codec} needs even sizes"
        )
    has_hdr_metadata = stream.transfer and (stream.mastering_display or stream.content_light)
    if (
        has_hdr_metadata
        and not output.tone_mapping
        and (output.encoder.encoder not in _WITH_HDR_METADATA)
    ):
        lines.append(f"its HDR10 metadata is left out: {output.encoder.encoder} writes none")
    if not source.rgb and stream.color.matrix not in (*_MATRICES, _UNSPECIFIED):
        lines.append(
            f"its colour matrix (number {stream.color.matrix} of H.273) is not known here: it is "
            f"taken for {source_encoding(stream).matrix}"
        )
    if stream.dynamic_hdr:
        lines.append(
            "its dynamic HDR metadata (HDR10+, Dolby Vision) is left out: it tells of pictures "
            "that the style replaces"
        )
    if stream.closed_captions:
        lines.append(
            "its closed captions (CEA-608, 708) are left out: they lie within the picture's packets"
        )
    if stream.has_fields:
        lines.append(
            "its frames are interlaced; each is stylized as one picture, both fields, and the "
            "output is marked progressive"
        )
    return lines


def loses_chroma(stream: VideoStreamInfo, output: OutputFrame) -> bool:
    """Whether colours are written with fewer samples than the source has."""
    return int(output.encoder.layout.subsampling) < int(stream.layout.subsampling)


def tone_mapping_of(stream: VideoStreamInfo) -> ToneMapping:
    """Return what brings a stream of high dynamic range, which it must be, down to BT.709."""
    assert stream.transfer is not None
    hdr = read_hdr_metadata(stream.mastering_display, stream.content_light)
    peak = (hdr.peak if hdr else None) or ToneMapping.peak
    primaries = _PRIMARIES.get(stream.color.primaries, ToneMapping.primaries)
    return ToneMapping(stream.transfer, min(10_000.0, max(SDR_WHITE, peak)), primaries)


def _tags(stream: VideoStreamInfo, encoder: EncoderSettings, *, shown_height: int) -> ColorTags:
    """The source's own; the matrix is told where players would guess another than is meant."""
    color = stream.color
    if stream.layout.is_float:  # what is written is encoded for displays, as in any picture
        color = replace(color, transfer=_UNSPECIFIED)
    if encoder.codec == "mjpeg":
        return replace(color, range=_FULL, matrix=_SMPTE170M)
    color_range = _FULL if stream.full_range else max(_LIMITED, color.range)
    if encoder.layout.rgb:
        return replace(color, range=_FULL, matrix=_RGB)
    if stream.layout.rgb or color.matrix == _RGB:
        high = replace(stream, height=shown_height).high_definition
        return replace(color, range=_LIMITED, matrix=_BT709 if high else _SMPTE170M)
    shown = replace(stream, height=shown_height)
    if color.matrix == _UNSPECIFIED and shown.high_definition != stream.high_definition:
        color = replace(color, matrix=_BT709 if stream.high_definition else _SMPTE170M)
    return replace(color, range=color_range)
