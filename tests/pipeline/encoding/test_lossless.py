"""Frames that are packed come out as they were, whatever their format and size."""

from __future__ import annotations

import av
import numpy as np
import pytest

from pipeline.encoding.lossless import FramePacker, FrameUnpacker

_FORMATS = [
    *(f"yuv{of}p{deep}" for of in (420, 422, 444) for deep in ("", "10le", "12le", "16le")),
    *(f"yuva{of}p{deep}" for of in (420, 422, 444) for deep in ("", "9le", "10le", "16le")),
    *(f"{of}{deep}" for of in ("gbrp", "gbrap") for deep in ("", "10le", "12le", "16le", "f32le")),
    *("yuv420p9le", "yuv444p14le", "gbrp14le"),
]
"""What frames come in, on their way to encoders: planar, little-endian."""


@pytest.mark.parametrize("size", [(96, 64), (95, 63), (2, 2), (1, 1)], ids=str)
@pytest.mark.parametrize("pixel_format", _FORMATS)
def test_frames_come_out_bit_by_bit(pixel_format: str, size: tuple[int, int]) -> None:
    packer = FramePacker(*size, pixel_format)
    unpacker = FrameUnpacker(packer.format)
    for seed in range(3):
        frame = _noise(size, pixel_format, seed)
        out = unpacker.frame(packer.packed(frame))
        assert (out.width, out.height, out.format.name) == (*size, pixel_format)
        for plane, unpacked in zip(_planes(frame), _planes(out), strict=True):
            np.testing.assert_array_equal(unpacked, plane)


def test_they_say_nothing_that_an_encoder_would_heed() -> None:
    packer = FramePacker(96, 64, "yuv420p")
    made = _noise((96, 64), "yuv420p", 0)
    out = FrameUnpacker(packer.format).frame(packer.packed(made))
    for name in ("pict_type", "color_range", "colorspace", "interlaced_frame", "time_base"):
        assert getattr(out, name) == getattr(av.VideoFrame(96, 64, "yuv420p"), name)
    assert out.pts is None


def test_pictures_take_less_than_half_of_their_bytes() -> None:
    across, down = np.meshgrid(np.arange(320), np.arange(192))
    smooth = (127 + 60 * np.sin(across / 40) + 60 * np.cos(down / 30)).astype(np.uint8)
    for pixel_format in ("yuv420p", "yuv420p10le"):
        frame = av.VideoFrame.from_ndarray(smooth, "gray").reformat(format=pixel_format)
        packed = FramePacker(320, 192, pixel_format).packed(frame)
        assert len(packed) < 0.5 * sum(plane.nbytes for plane in _planes(frame))


def _noise(size: tuple[int, int], pixel_format: str, seed: int) -> av.VideoFrame:
    random = np.random.default_rng(seed)
    frame = av.VideoFrame(*size, pixel_format)
    component = frame.format.components[0]
    for plane in _planes(frame):
        if component.bits == 32:
            plane[:] = random.normal(size=plane.shape).astype(np.float32).view(np.uint32)
        else:
            plane[:] = random.integers(0, 1 << component.bits, plane.shape)
    return frame


def _planes(frame: av.VideoFrame) -> list[np.ndarray]:
    bits = frame.format.components[0].bits
    kind = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    return [
        np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
        .reshape(-1, plane.line_size)[: plane.height]
        .view(kind)[:, : plane.width]
        for plane in frame.planes
    ]
