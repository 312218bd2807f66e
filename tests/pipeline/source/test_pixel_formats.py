"""What pixel formats hold."""

from __future__ import annotations

import av
import pytest

from pipeline.source.pixel_formats import layout_of


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
