"""Headers of EXRs, and files that are cut short."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.numbered.exr import is_cut_short, read_header, words_for_lost
from tests.kit.exr import exr_bytes

_PLANES = {name: np.full((5, 4), 0.5, np.float16) for name in ("R", "G", "B", "Z")}


def test_header_is_read() -> None:
    header = read_header(exr_bytes(_PLANES, {"owner": ("string", b"me")}))
    assert header is not None
    assert header.channels == ("B", "G", "R", "Z")
    assert header.attributes["owner"] == ("string", b"me")
    assert header.blocks == 5


@pytest.mark.parametrize("end", [-1, -40, 420])
def test_a_file_without_its_end_is_cut_short(end: int) -> None:
    whole = exr_bytes(_PLANES)
    assert not is_cut_short(whole)
    assert is_cut_short(whole[:end])


def test_a_block_that_was_never_written_is_missed() -> None:
    whole = bytearray(exr_bytes(_PLANES))
    header = read_header(bytes(whole))
    assert header is not None
    whole[header.end : header.end + 8] = bytes(8)
    assert is_cut_short(bytes(whole))


def test_what_is_left_out_is_told() -> None:
    wide = ("box2i", np.array([-1, 0, 3, 4], "<i4").tobytes())
    assert words_for_lost(exr_bytes(_PLANES)) == ["its channels Z are left out"]
    colors = {name: _PLANES[name] for name in "RGB"}
    assert words_for_lost(exr_bytes(colors)) == []
    for red, is_told in ((0.64, False), (0.713, True)):
        points = np.array([red, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329], "<f4").tobytes()
        lines = words_for_lost(exr_bytes(colors, {"chromaticities": ("chromaticities", points)}))
        assert any("chromaticities" in line for line in lines) == is_told
    assert words_for_lost(exr_bytes(colors, {"dataWindow": wide})) == [
        "its pixels outside of the display window are left out"
    ]


def test_what_is_no_exr_is_left_to_the_decoder() -> None:
    assert read_header(b"\x89PNG") is None
    assert not is_cut_short(b"v/1\x01\x02\0\0\0chan")
