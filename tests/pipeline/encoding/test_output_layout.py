"""What an output codec gets of the source's depth, chroma and alpha."""

from __future__ import annotations

import pytest

from pipeline.encoding.output_layout import Codec, fit_layout
from pipeline.source.pixel_formats import PlaneLayout

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
