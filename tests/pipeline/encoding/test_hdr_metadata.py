"""HDR10's metadata from FFmpeg's structures to the encoders' options."""

from __future__ import annotations

import struct

from pipeline.encoding.hdr_metadata import read_hdr_metadata

MASTERING = struct.pack(
    "<22i",
    *(34000, 50000, 16000, 50000),  # red
    *(13250, 50000, 34500, 50000),
    *(7500, 50000, 3000, 50000),
    *(15635, 50000, 16450, 50000),  # white
    *(1, 10000, 10000000, 10000, 1, 1),
)
LIGHT = struct.pack("<2I", 1000, 400)


def test_both_structures_become_options_of_x265_and_svt_av1() -> None:
    metadata = read_hdr_metadata(MASTERING, LIGHT)
    assert metadata is not None
    assert metadata.peak == 1000
    assert metadata.x265_parameters() == (
        "hdr10=1:master-display=G(13250,34500)B(7500,3000)R(34000,16000)"
        "WP(15635,16450)L(10000000,1):max-cll=1000,400"
    )
    assert metadata.svt_av1_parameters() == (
        "mastering-display=G(0.26500,0.69000)B(0.15000,0.06000)R(0.68000,0.32000)"
        "WP(0.31270,0.32900)L(1000.0000,0.0001):content-light=1000,400"
    )


def test_one_without_the_other_is_kept() -> None:
    only_light = read_hdr_metadata(None, LIGHT)
    assert only_light is not None
    assert only_light.x265_parameters() == "hdr10=1:max-cll=1000,400"
    only_display = read_hdr_metadata(MASTERING, None)
    assert only_display is not None
    assert only_display.peak == 1000
    assert "max-cll" not in only_display.x265_parameters()


def test_what_is_incomplete_or_damaged_counts_as_absent() -> None:
    without_luminance = MASTERING[:-4] + struct.pack("<i", 0)
    divided_by_zero = struct.pack("<2i", 34000, 0) + MASTERING[8:]
    for damaged in (b"", MASTERING[:40], without_luminance, divided_by_zero):
        assert read_hdr_metadata(damaged, None) is None
    assert read_hdr_metadata(None, LIGHT[:3]) is None
