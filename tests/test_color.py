"""YUV conversion against swscale and against the standards' own numbers."""

from __future__ import annotations

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from nst_core.color import (
    Matrix,
    Yuv420,
    YuvEncoding,
    keep_rgb_colors,
    luma_of,
    rgb_to_yuv420,
    yuv420_to_rgb,
)
from pipeline.frames import yuv_of_frame
from tests.media import moving_picture

ENCODINGS = [
    YuvEncoding(matrix, full) for matrix in ("bt601", "bt709", "bt2020") for full in (False, True)
]
_COLORSPACES = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709, "bt2020": Colorspace.BT2020}


def _rgb(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize(
    ("matrix", "rgb", "yuv"),
    [
        # Limited-range code values of saturated colours, from the standards' equations.
        ("bt601", (1, 0, 0), (81, 90, 240)),
        ("bt601", (0, 1, 0), (145, 54, 34)),
        ("bt709", (1, 0, 0), (63, 102, 240)),
        ("bt709", (0, 1, 0), (173, 42, 26)),
        ("bt709", (0, 0, 1), (32, 240, 118)),
        ("bt709", (1, 1, 1), (235, 128, 128)),
        ("bt709", (0, 0, 0), (16, 128, 128)),
    ],
)
def test_saturated_colours_have_the_standards_numbers(
    matrix: Matrix, rgb: tuple[int, int, int], yuv: tuple[int, int, int]
) -> None:
    image = torch.tensor(rgb).float().view(1, 3, 1, 1).expand(1, 3, 4, 4)
    frames = rgb_to_yuv420(image, YuvEncoding(matrix))
    found = (frames.luma[0, 0, 0].item(), *frames.chroma[0, :, 0, 0].tolist())
    assert found == yuv


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_smooth_frames_survive_there_and_back(encoding: YuvEncoding) -> None:
    y, x = np.mgrid[0:48, 0:64] / 64.0
    image = torch.from_numpy(np.stack((x, y, 1 - x * y))[None]).float() * 0.8 + 0.1
    back = yuv420_to_rgb(rgb_to_yuv420(image, encoding), encoding)
    # 8 bits a sample and halved chroma: within two steps of 255 inside the frame.
    assert (back - image)[..., 2:-2, 2:-2].abs().max() < 2.5 / 255


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_decoding_agrees_with_swscale(encoding: YuvEncoding) -> None:
    picture = moving_picture(3)
    frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
    color_range = ColorRange.JPEG if encoding.full_range else ColorRange.MPEG
    expected = frame.reformat(
        format="rgb24",
        src_colorspace=_COLORSPACES[encoding.matrix],
        src_color_range=color_range,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.BILINEAR
        | Interpolation.ACCURATE_RND
        | Interpolation.FULL_CHR_H_INT
        | Interpolation.FULL_CHR_H_INP,
    ).to_ndarray()
    ours = yuv420_to_rgb(yuv_of_frame(frame), encoding)
    difference = (ours - _rgb(expected)).abs()[..., 2:-2, 2:-2] * 255
    # swscale rounds in integers and sites chroma a quarter pixel off at hard edges.
    assert difference.mean() < 1.5
    assert difference.median() < 1.5


@pytest.mark.parametrize("size", [(5, 7), (6, 7), (5, 8), (1, 1), (2, 2)])
def test_odd_sizes_keep_their_size(size: tuple[int, int]) -> None:
    encoding = YuvEncoding("bt709")
    image = torch.rand(2, 3, *size)
    frames = rgb_to_yuv420(image, encoding)
    assert frames.chroma.shape[-2:] == ((size[0] + 1) // 2, (size[1] + 1) // 2)
    assert yuv420_to_rgb(frames, encoding).shape == image.shape


def test_chroma_is_sited_at_the_left() -> None:
    # A chroma step between columns 3 and 4 of 8: co-sited samples lie at columns 0, 2, 4, 6.
    chroma = torch.full((1, 2, 4, 4), 128, dtype=torch.uint8)
    chroma[..., 2:] = 148
    frames = Yuv420(torch.full((1, 8, 8), 128, dtype=torch.uint8), chroma)
    red = yuv420_to_rgb(frames, YuvEncoding("bt709", full_range=True))[0, 0, 4]
    steps = (red - red[0]) / (red[-1] - red[0])
    torch.testing.assert_close(steps, torch.tensor([0, 0, 0, 0.5, 1, 1, 1, 1]), atol=1e-4, rtol=0)


def test_chroma_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="chroma"):
        Yuv420(torch.zeros(1, 8, 8, dtype=torch.uint8), torch.zeros(1, 2, 3, 4, dtype=torch.uint8))


def test_keeping_colours_takes_only_luma_from_the_stylized_picture() -> None:
    source = torch.rand(1, 3, 6, 6) * 0.4 + 0.3
    stylized = source.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1) + 0.05
    kept = keep_rgb_colors(stylized, source)
    torch.testing.assert_close(luma_of(kept), luma_of(stylized), atol=1e-5, rtol=0)
    torch.testing.assert_close(kept - luma_of(kept), source - luma_of(source), atol=1e-5, rtol=0)
