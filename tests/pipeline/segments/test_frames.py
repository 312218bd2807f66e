"""Frames from the decoder to the encoder, whatever their pixel format."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from nst_core.checkpoints.library import find_style
from nst_core.stylizer import Stylizer
from pipeline.encoding.encoders import choose_encoder
from pipeline.encoding.output_frame import output_encoding, plan_output, source_encoding
from pipeline.films.settings import FilmSettings
from pipeline.segments.frames import frame_to_encode, source_planes
from tests.kit.media import moving_picture, stream_info

FORMATS = [
    *("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "nv12", "uyvy422", "yuv411p"),
    *("yuv420p10le", "p010le", "yuv422p10le", "yuv444p12le", "yuv420p16le"),
    *("gbrp", "rgb24", "bgr0", "gbrp10le", "rgb48le"),
    *("rgba", "bgra", "yuva420p", "yuva444p10le", "gray", "gray10le"),
]


def _frame(pixel_format: str, width: int = 95, height: int = 63) -> av.VideoFrame:
    picture = moving_picture(2, width, height) // 3 + 80  # no colour that YUV has and RGB has not
    frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pixel_format)
    frame.pts = 0
    return frame


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_every_pixel_format_comes_through_to_a_lossless_output(pixel_format: str) -> None:
    source = _frame(pixel_format)
    full = pixel_format.startswith("yuvj")
    stream = stream_info(
        width=95, height=63, pixel_format=pixel_format, color=(2 if full else 1, 2, 2, 2)
    )
    output = plan_output(
        stream, choose_encoder(Path("out.mkv"), stream, FilmSettings(codec="ffv1"))
    )
    planes = source_planes(source, stream, output.taken_size)
    done = Stylizer(find_style("identity")).stylize_yuv(
        planes, source_encoding(stream), output_encoding(stream, output)
    )
    frame = frame_to_encode(done, output)
    assert frame.format.name == output.encoder.layout.pixel_format
    assert (frame.width, frame.height) == (95, 63)
    unit = 2 ** (stream.layout.depth - 8)
    # swscale would change the range of these two; their planes are as they should be.
    as_it_is = pixel_format.startswith(("gray", "yuvj"))
    before = source if as_it_is else source.reformat(format=stream.layout.pixel_format)
    after = frame.reformat(format=stream.layout.pixel_format)
    halved = stream.layout.subsampling != "444" or pixel_format == "yuv411p"
    for number, (a, b) in enumerate(zip(before.planes, after.planes, strict=False)):
        difference = np.abs(_numbers(a, unit) - _numbers(b, unit))
        if halved and number in (1, 2):  # interpolated and averaged: edges of colour are softened
            assert difference.mean() < 1.5 * unit
        else:
            assert difference.max() <= max(1, unit // 16)


def _numbers(plane: av.video.plane.VideoPlane, unit: int) -> np.ndarray:
    samples = np.frombuffer(plane, np.uint8 if unit == 1 else np.uint16)  # type: ignore[call-overload]
    lines = samples.reshape(plane.buffer_size // plane.line_size, -1)
    numbers: np.ndarray = lines[: plane.height, : plane.width].astype(int)
    return numbers


def test_planes_are_resized_without_a_change_of_colour() -> None:
    stream = stream_info(width=96, height=64, pixel_format="yuv420p10le")
    grey = av.VideoFrame(96, 64, "yuv420p10le")
    for plane, value in zip(grey.planes, (300, 500, 600), strict=True):
        np.frombuffer(plane, np.uint16)[:] = value  # type: ignore[call-overload]
    planes = source_planes(grey, stream, (48, 32))
    assert planes.luma.shape == (1, 32, 48)
    assert (planes.luma.int() - 300).abs().max() <= 1
    assert (planes.chroma[:, 0].int() - 500).abs().max() <= 1
    assert (planes.chroma[:, 1].int() - 600).abs().max() <= 1


def test_a_frame_that_changed_its_size_is_brought_to_the_streams() -> None:
    stream = stream_info(width=96, height=64)
    planes = source_planes(_frame("yuv444p", 48, 30), stream, (96, 64))
    assert planes.luma.shape == (1, 64, 96)
    assert planes.chroma.shape == (1, 2, 32, 48)


def test_padding_repeats_the_last_row_and_column() -> None:
    stream = stream_info(width=95, height=63)
    output = plan_output(stream, choose_encoder(Path("out.mp4"), stream))
    planes = source_planes(_frame("yuv420p"), stream, (95, 63))
    frame = frame_to_encode(planes, output)
    luma = _numbers(frame.planes[0], 1)
    assert luma.shape == (64, 96)
    np.testing.assert_array_equal(luma[:63, :95], planes.luma[0].numpy())
    np.testing.assert_array_equal(luma[:, 95], luma[:, 94])
    np.testing.assert_array_equal(luma[63], luma[62])


def test_an_output_with_alpha_of_a_source_without_is_opaque() -> None:
    stream = stream_info(width=8, height=8, pixel_format="rgb24")
    output = plan_output(stream, choose_encoder(Path("out.gif"), stream))
    frame = source_planes(_frame("rgb24", 8, 8), stream, (8, 8))
    assert frame.alpha is None
    assert (_numbers(frame_to_encode(frame, output).planes[3], 1) == 255).all()


def test_alpha_reaches_the_encoder_as_it_was() -> None:
    stream = stream_info(width=8, height=8, pixel_format="yuva420p")
    output = plan_output(stream, choose_encoder(Path("out.webm"), stream))
    planes = source_planes(_frame("yuva420p", 8, 8), stream, (8, 8))
    assert planes.alpha is not None
    planes.alpha[:] = torch.arange(64, dtype=torch.uint8).view(1, 8, 8)
    frame = frame_to_encode(planes, output)
    np.testing.assert_array_equal(_numbers(frame.planes[3], 1).ravel(), np.arange(64))
