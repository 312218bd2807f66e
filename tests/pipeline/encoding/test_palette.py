"""Frames with a palette."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

import pipeline.encoding.palette
from pipeline.encoding.palette import PaletteQuantizer
from tests.kit.media import moving_picture, psnr


def _bgra(number: int, *, hole: bool = False) -> av.VideoFrame:
    picture = moving_picture(number, 64, 48)
    alpha = np.full((48, 64, 1), 255, np.uint8)
    if hole:
        alpha[:8, :8] = 0
    frame = av.VideoFrame.from_ndarray(np.concatenate((picture, alpha), axis=-1), "rgba")
    frame = frame.reformat(format="bgra")
    frame.pts, frame.time_base = 10 * number, Fraction(1, 240)
    return frame


def test_frames_keep_their_times_and_nearly_their_colours() -> None:
    quantizer = PaletteQuantizer()
    frames = [_bgra(number) for number in range(5)]
    assert [quantizer.take(frame) for frame in frames] == [[]] * 5
    done = quantizer.rest()
    assert [frame.format.name for frame in done] == ["pal8"] * 5
    assert [frame.pts for frame in done] == [0, 10, 20, 30, 40]
    for before, after in zip(frames, done, strict=True):
        rgb = after.reformat(format="rgb24").to_ndarray()
        assert psnr(rgb, before.reformat(format="rgb24").to_ndarray()) > 28
    assert quantizer.rest() == []


def test_transparent_pixels_stay_transparent() -> None:
    quantizer = PaletteQuantizer()
    quantizer.take(_bgra(1, hole=True))
    (frame,) = quantizer.rest()
    alpha = frame.reformat(format="rgba").to_ndarray()[..., 3]
    assert (alpha[:8, :8] == 0).all()
    assert (alpha[8:] == 255).all()


def test_a_group_ends_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.encoding.palette, "_LARGEST_GROUP", 3 * 64 * 48 * 4)
    quantizer = PaletteQuantizer()
    counts = [len(quantizer.take(_bgra(number))) for number in range(7)]
    assert counts == [0, 0, 3, 0, 0, 3, 0]
    assert len(quantizer.rest()) == 1
