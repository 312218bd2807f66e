"""YUV conversion against swscale and against the standards' own numbers."""

from __future__ import annotations

import itertools
from typing import Any, cast, get_args

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from nst_core.color.yuv import (
    YuvFrames,
    convert_alpha,
    join_frames,
    plane_dtype,
    rgb_to_yuv,
    split_frames,
    yuv_to_rgb,
)
from nst_core.color.yuv_encoding import Matrix, Siting, Subsampling, YuvEncoding
from tests.kit.media import moving_picture

ENCODINGS = [
    YuvEncoding(matrix, full) for matrix in ("bt601", "bt709", "bt2020") for full in (False, True)
]
_COLORSPACES = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709, "bt2020": Colorspace.BT2020}


def _planes(frame: av.VideoFrame) -> YuvFrames:
    luma, cb, cr = (
        torch.from_numpy(
            np.frombuffer(cast("Any", plane), np.uint8).reshape(-1, plane.line_size).copy()
        )[: plane.height, : plane.width]
        for plane in frame.planes
    )
    return YuvFrames(luma[None], torch.stack((cb, cr))[None])


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
    frames = rgb_to_yuv(image, YuvEncoding(matrix))
    found = (frames.luma[0, 0, 0].item(), *frames.chroma[0, :, 0, 0].tolist())
    assert found == yuv


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_smooth_frames_survive_there_and_back(encoding: YuvEncoding) -> None:
    y, x = np.mgrid[0:48, 0:64] / 64.0
    image = torch.from_numpy(np.stack((x, y, 1 - x * y))[None]).float() * 0.8 + 0.1
    back = yuv_to_rgb(rgb_to_yuv(image, encoding), encoding)
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
    ours = yuv_to_rgb(_planes(frame), encoding)
    difference = (ours - _rgb(expected)).abs()[..., 2:-2, 2:-2] * 255
    # swscale rounds in integers and sites chroma a quarter pixel off at hard edges.
    assert difference.mean() < 1.5
    assert difference.median() < 1.5


@pytest.mark.parametrize("size", [(5, 7), (6, 7), (5, 8), (1, 1), (2, 2)])
def test_odd_sizes_keep_their_size(size: tuple[int, int]) -> None:
    encoding = YuvEncoding("bt709")
    image = torch.rand(2, 3, *size)
    frames = rgb_to_yuv(image, encoding)
    assert frames.chroma.shape[-2:] == ((size[0] + 1) // 2, (size[1] + 1) // 2)
    assert yuv_to_rgb(frames, encoding).shape == image.shape


def test_chroma_is_sited_at_the_left() -> None:
    # A chroma step between columns 3 and 4 of 8: co-sited samples lie at columns 0, 2, 4, 6.
    chroma = torch.full((1, 2, 4, 4), 128, dtype=torch.uint8)
    chroma[..., 2:] = 148
    frames = YuvFrames(torch.full((1, 8, 8), 128, dtype=torch.uint8), chroma)
    red = yuv_to_rgb(frames, YuvEncoding("bt709", full_range=True))[0, 0, 4]
    steps = (red - red[0]) / (red[-1] - red[0])
    torch.testing.assert_close(steps, torch.tensor([0, 0, 0, 0.5, 1, 1, 1, 1]), atol=1e-4, rtol=0)


def test_chroma_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="chroma"):
        YuvFrames(
            torch.zeros(1, 8, 8, dtype=torch.uint8), torch.zeros(1, 2, 3, 4, dtype=torch.uint8)
        )


MATRICES: tuple[Matrix, ...] = ("bt601", "bt2020", "smpte240m")
ALL_ENCODINGS = [
    YuvEncoding(matrix, full, depth, subsampling, siting)
    for matrix, full, depth, subsampling, siting in itertools.product(
        MATRICES,
        (False, True),
        (8, 10, 12, 16),
        get_args(Subsampling),
        get_args(Siting),
    )
]


@pytest.mark.parametrize("encoding", ALL_ENCODINGS, ids=str)
def test_every_depth_and_layout_survives_there_and_back(encoding: YuvEncoding) -> None:
    # A plane of colour has no detail that halved chroma could lose.
    y, x = np.mgrid[0:20, 0:28] / 28.0
    image = torch.from_numpy(np.stack((0.3 + 0.4 * x, 0.6 - 0.3 * y, 0.5 + 0 * x))[None]).float()
    frames = rgb_to_yuv(image, encoding)
    assert frames.luma.dtype == plane_dtype(encoding)
    size = {"420": (10, 14), "422": (20, 14), "444": (20, 28)}[encoding.subsampling]
    assert tuple(frames.chroma.shape[-2:]) == size
    back = yuv_to_rgb(frames, encoding)
    step = 2.5 / 2 ** min(encoding.depth, 14)  # float32 itself has 24 bits
    assert (back - image)[..., 2:-2, 2:-2].abs().max() < step


def _codes(image: torch.Tensor, encoding: YuvEncoding) -> tuple[np.ndarray, np.ndarray]:
    """H.273's equations in float64, pixel by pixel (no subsampling)."""
    kr, kb = {"bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}[encoding.matrix]
    red, green, blue = image[0].double().numpy()
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = 0.5 * (blue - luma) / (1 - kb), 0.5 * (red - luma) / (1 - kr)
    n = encoding.depth
    if encoding.full_range:
        y, c = (2**n - 1) * luma, (2**n - 1) * np.stack((cb, cr)) + 2 ** (n - 1)
    else:
        y = 2 ** (n - 8) * (219 * luma + 16)
        c = 2 ** (n - 8) * (224 * np.stack((cb, cr)) + 128)
    return np.clip(np.round(y), 0, 2**n - 1), np.clip(np.round(c), 0, 2**n - 1)


@pytest.mark.parametrize("matrix", ["bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("depth", [8, 10, 12])
def test_codes_are_those_of_the_standard(matrix: Matrix, full_range: bool, depth: int) -> None:
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    encoding = YuvEncoding(matrix, full_range, depth, "444")
    frames = rgb_to_yuv(image, encoding)
    luma, chroma = _codes(image, encoding)
    # float32 may fall on the other side of a half.
    assert np.abs(frames.luma[0].numpy() - luma).max() <= 1
    assert np.mean(frames.luma[0].numpy() != luma) < 0.01
    assert np.abs(frames.chroma[0].numpy().astype(int) - chroma).max() <= 1
    assert np.mean(frames.chroma[0].numpy() != chroma) < 0.01


@pytest.mark.parametrize("depth", [8, 10, 16])
def test_rgb_planes_come_back_as_they_were(depth: int) -> None:
    encoding = YuvEncoding("rgb", True, depth, "444")
    codes = torch.randint(0, 2**depth, (2, 3, 5, 7), generator=torch.Generator().manual_seed(2))
    planes = codes.to(plane_dtype(encoding))
    frames = YuvFrames(planes[:, 0], planes[:, 1:])
    rgb = yuv_to_rgb(frames, encoding)
    torch.testing.assert_close(rgb[:, 1], codes[:, 0] / (2**depth - 1))  # green comes first
    back = rgb_to_yuv(rgb, encoding)
    assert torch.equal(back.luma.int(), frames.luma.int())
    assert torch.equal(back.chroma.int(), frames.chroma.int())


@pytest.mark.parametrize("siting", ["center", "topleft"])
def test_chroma_of_a_slope_lies_where_its_siting_says(siting: Siting) -> None:
    # On a slope, a sample's value tells its place: 8 codes a column, 4 codes a row.
    y, x = np.mgrid[0:16, 0:16].astype(np.float32)
    red = torch.from_numpy((100 + 8 * x + 4 * y) / 512)[None]
    image = torch.stack((red, torch.zeros_like(red), torch.zeros_like(red)), dim=1)
    full = rgb_to_yuv(image, YuvEncoding("bt709", True, 16, "444"))
    half = rgb_to_yuv(image, YuvEncoding("bt709", True, 16, "420", siting))
    expected = full.chroma[0, 1].float()
    offset = 0 if siting == "topleft" else 0.5
    slope_x, slope_y = expected[0, 1] - expected[0, 0], expected[1, 0] - expected[0, 0]
    place = expected[2::2, 2::2] + offset * (slope_x + slope_y)
    torch.testing.assert_close(half.chroma[0, 1, 1:, 1:].float(), place, atol=2, rtol=0)


def test_alpha_changes_its_depth_and_keeps_its_ends() -> None:
    alpha = torch.tensor([[[0, 1, 128, 255]]], dtype=torch.uint8)
    deep = convert_alpha(alpha, YuvEncoding("rgb", depth=8), YuvEncoding("rgb", depth=10))
    assert deep.int().tolist() == [[[0, 4, 514, 1023]]]
    assert torch.equal(
        convert_alpha(deep, YuvEncoding("rgb", depth=10), YuvEncoding("rgb", depth=8)), alpha
    )


def test_joined_frames_are_split_again() -> None:
    encoding = YuvEncoding("bt709")
    frames = [rgb_to_yuv(torch.rand(1, 3, 4, 6), encoding) for _ in range(3)]
    frames = [YuvFrames(f.luma, f.chroma, torch.full_like(f.luma, 9)) for f in frames]
    for one, again in zip(frames, split_frames(join_frames(frames)), strict=True):
        assert torch.equal(one.luma, again.luma)
        assert torch.equal(one.chroma, again.chroma)
        assert again.alpha is not None
        assert again.alpha.shape == (1, 4, 6)
