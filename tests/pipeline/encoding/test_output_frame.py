"""Size, colours and announced differences of the frames to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.encoding.encoders import choose_encoder
from pipeline.encoding.output_frame import (
    OutputFrame,
    differences,
    output_encoding,
    plan_output,
    source_encoding,
)
from pipeline.films.settings import FilmSettings
from pipeline.source.source_video import VideoStreamInfo
from tests.kit.media import stream_info
from tests.pipeline.encoding.test_encoders import HDR10, TITLES


def _plan(
    stream: VideoStreamInfo, output: str, codec: Any = None, *, scale: int = 1, **options: Any
) -> OutputFrame:
    settings = FilmSettings(codec=codec, **options)
    return plan_output(
        stream, choose_encoder(Path(output), stream, settings), settings, scale=scale
    )


@pytest.mark.parametrize(
    ("output", "codec", "pixel_format", "size"),
    [
        ("out.mp4", None, "yuv420p", (96, 64)),
        ("out.mp4", None, "yuv444p", (95, 63)),  # H.264 of H.264 keeps 4:4:4
        ("out.mp4", None, "yuv422p", (96, 63)),
        ("out.mkv", "hevc", "yuv444p", (96, 64)),
        ("out.webm", None, "yuv420p", (95, 63)),
        ("out.mkv", "ffv1", "yuv420p", (95, 63)),
        ("out.mov", "prores", "yuv420p", (96, 63)),
        ("out.gif", None, "yuv420p", (95, 63)),
    ],
)
def test_odd_sizes_are_kept_where_the_codec_can(
    output: str, codec: str | None, pixel_format: str, size: tuple[int, int]
) -> None:
    stream = stream_info(width=95, height=63, pixel_format=pixel_format)
    frame = _plan(stream, output, codec)
    assert (frame.width, frame.height) == size
    assert (frame.shown_width, frame.shown_height) == (95, 63)
    padded = size != (95, 63)
    assert any("padded" in line for line in differences(stream, frame)) == padded


def test_max_side_shrinks_and_scale_enlarges() -> None:
    frame = _plan(stream_info(width=400, height=200), "out.mp4", max_side=100, scale=4)
    assert (frame.shown_width, frame.shown_height) == (400, 200)
    assert frame.taken_size == (100, 50)


@pytest.mark.parametrize(
    ("stream", "matrix", "full_range", "siting"),
    [
        ({"height": 719}, "bt601", False, "left"),
        ({"height": 720}, "bt709", False, "left"),
        ({"height": 720, "color": (1, 6, 6, 6)}, "bt601", False, "left"),
        ({"color": (2, 1, 1, 1)}, "bt709", True, "left"),
        ({"codec": "mjpeg", "pixel_format": "yuvj420p"}, "bt601", True, "center"),
        ({"codec": "h264", "pixel_format": "yuvj420p"}, "bt601", True, "left"),
        (HDR10, "bt2020", False, "topleft"),
        ({"pixel_format": "gbrp", "color": (2, 1, 1, 0)}, "rgb", True, "left"),
        ({"pixel_format": "pal8"}, "rgb", False, "left"),
    ],
)
def test_numbers_mean_what_the_tags_or_custom_say(
    stream: dict[str, Any], matrix: str, full_range: bool, siting: str
) -> None:
    encoding = source_encoding(stream_info(**stream))
    assert (encoding.matrix, encoding.full_range, encoding.siting) == (matrix, full_range, siting)


def test_an_output_of_the_same_kind_has_the_encoding_of_its_source() -> None:
    for options in ({}, {"color": (2, 1, 1, 1)}, {"height": 720}, HDR10):
        stream = stream_info(**options)
        frame = _plan(stream, "out.mp4")
        assert output_encoding(stream, frame) == source_encoding(stream)
        assert frame.color.transfer == stream.color.transfer


def test_rgb_becomes_tagged_yuv_or_stays_rgb() -> None:
    stream = stream_info(codec="png", pixel_format="rgb24", height=720)
    yuv = _plan(stream, "out.mp4")
    assert (yuv.color.matrix, yuv.color.range) == (1, 1)
    assert output_encoding(stream, yuv).matrix == "bt709"
    assert not output_encoding(stream, yuv).full_range
    rgb = _plan(stream, "out.mkv", "ffv1")
    assert rgb.color.matrix == 0
    assert output_encoding(stream, rgb).matrix == "rgb"


@pytest.mark.parametrize(
    ("stream", "output", "codec", "siting"),
    [
        ({"codec": "mjpeg", "pixel_format": "yuvj420p"}, "out.mp4", None, "left"),
        (HDR10, "out.mp4", None, "topleft"),
        (HDR10, "out.mkv", "av1", "left"),  # it cannot be told which
    ],
)
def test_chroma_lies_where_players_of_the_output_take_it_for(
    stream: dict[str, Any], output: str, codec: Any, siting: str
) -> None:
    info = stream_info(**stream)
    frame = _plan(info, output, codec)
    assert output_encoding(info, frame).siting == siting
    options = dict(frame.encoder.options)
    assert ("chromaloc=2" in options.get("x265-params", "")) == (siting == "topleft")


def test_tone_mapping_starts_from_the_sources_primaries() -> None:
    for number, name in ((9, "bt2020"), (12, "p3"), (1, "bt709"), (2, "bt2020")):
        stream = stream_info(**{**HDR10, "color": (1, number, 16, 9)})
        mapping = _plan(stream, "out.mp4", tonemap=True).tone_mapping
        assert mapping is not None
        assert mapping.primaries == name


def test_tone_mapping_ends_in_bt709() -> None:
    stream = stream_info(**HDR10)
    frame = _plan(stream, "out.mp4", tonemap=True)
    assert frame.tone_mapping is not None
    assert frame.tone_mapping.peak == 1000
    assert (frame.color.primaries, frame.color.transfer, frame.color.matrix) == (1, 1, 1)
    encoding = output_encoding(stream, frame)
    assert (encoding.matrix, encoding.depth, encoding.siting) == ("bt709", 8, "left")


def test_a_standard_range_is_never_tone_mapped() -> None:
    assert _plan(stream_info(), "out.mp4", tonemap=True).tone_mapping is None


@pytest.mark.parametrize(
    ("stream", "output", "codec", "words"),
    [
        ({"codec": "hevc", "pixel_format": "yuv420p10le"}, "out.mp4", "h264", ["10-bit"]),
        (TITLES, "out.mp4", None, ["RGB", "transparency"]),
        ({"codec": "gif", "pixel_format": "bgra"}, "out.mp4", None, ["RGB"]),  # opaque
        ({"codec": "dvvideo", "pixel_format": "yuv411p"}, "out.mp4", None, ["4:1:1 frames"]),
        ({"codec": "mjpeg", "pixel_format": "gray"}, "out.mp4", None, []),
        ({"color": (1, 1, 1, 8)}, "out.mp4", None, ["matrix (number 8"]),
        ({"codec": "prores", "pixel_format": "yuv422p10le"}, "out.mp4", None, ["4:2:2"]),
        ({"interlaced": True}, "out.mp4", None, ["marked progressive"]),
        ({"field_order": 2}, "out.mp4", None, ["marked progressive"]),
        ({"field_order": 1}, "out.mp4", None, []),
        ({"dynamic_hdr": True, "closed_captions": True}, "out.mp4", None, ["dynamic", "captions"]),
        (HDR10, "out.mkv", "ffv1", ["HDR10 metadata"]),
        (HDR10, "out.mkv", "hevc", []),
        ({}, "out.mp4", None, []),
        (TITLES, "out.mkv", "ffv1", []),
    ],
)
def test_what_differs_beyond_the_style_is_announced(
    stream: dict[str, Any], output: str, codec: Any, words: list[str]
) -> None:
    info = stream_info(**stream)
    lines = differences(info, _plan(info, output, codec))
    assert len(lines) == len(words)
    for line, word in zip(lines, words, strict=True):
        assert word in line
