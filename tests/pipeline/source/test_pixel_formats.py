"""What pixel formats hold, and what an output codec gets."""

from __future__ import annotations

import av
import pytest

from pipeline.source.pixel_formats import Codec, PlaneLayout, fit_layout, layout_of


@pytest.mark.parametrize(
    ("pixel_format", "planar"),
    [
        ("yuv420p", "yuv420p"),
        ("yuvj422p", "yuv422p"),
        ("nv12", "yuv420p"),
        ("p010le", "yuv420p10le"),
        ("uyvy422", "yuv422p"),
        ("yuv410p", "yuv444p"),
        ("yuv444p16be", "yuv444p16le"),
        ("yuva420p9be", "yuva420p9le"),
        ("gray10le", "yuv420p10le"),
        ("ya8", "yuva420p"),
        ("rgb24", "gbrp"),
        ("bgr0", "gbrp"),
        ("bgra", "gbrap"),
        ("pal8", "gbrap"),
        ("rgba64le", "gbrap16le"),
    ],
)
def test_every_format_has_planes_that_hold_it(pixel_format: str, planar: str) -> None:
    assert layout_of(pixel_format).pixel_format == planar
    av.VideoFrame(16, 16, planar)  # FFmpeg has it


SDR = PlaneLayout(8, "420")
DEEP_422 = PlaneLayout(10, "422")


@pytest.mark.parametrize(
    ("codec", "source", "same_codec", "expected"),
    [
        ("h264", SDR, False, "yuv420p"),
        ("h264", DEEP_422, False, "yuv420p"),
        ("h264", DEEP_422, True, "yuv422p10le"),
        ("h264", PlaneLayout(8, "444", rgb=True, alpha=True), False, "yuv420p"),
        ("hevc", DEEP_422, False, "yuv420p10le"),
        ("hevc", PlaneLayout(12, "444"), True, "yuv444p12le"),
        ("hevc", PlaneLayout(16, "420"), False, "yuv420p10le"),
        ("av1", PlaneLayout(10, "444"), True, "yuv420p10le"),
        ("vp9", PlaneLayout(10, "420"), True, "yuv420p"),
        ("vp9", PlaneLayout(8, "444"), True, "yuv444p"),
        ("vp9", PlaneLayout(8, "444", alpha=True), False, "yuva420p"),
        ("ffv1", PlaneLayout(16, "444", rgb=True, alpha=True), False, "gbrap16le"),
        ("prores", SDR, False, "yuv422p10le"),
        ("prores", PlaneLayout(12, "444", alpha=True), True, "yuva444p10le"),
        ("gif", SDR, False, "gbrap"),
    ],
)
def test_outputs_keep_what_their_codec_and_its_players_take(
    codec: Codec, source: PlaneLayout, same_codec: bool, expected: str
) -> None:
    assert fit_layout(codec, source, same_codec=same_codec).pixel_format == expected
