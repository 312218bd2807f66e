"""Colours through the whole program: file in, file out, compared plane by plane.

The conversions here are written out in NumPy from the standards (ITU-R BT.601, BT.709, BT.2020)
and share nothing with the program's.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.checkpoint import load_generator
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.engines.choice import make_engine
from pipeline.films.settings import CodecChoice

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""Luma, and Cb and Cr of half the size."""

_FRAMES = 6
_LUMA_BAR, _CHROMA_BAR = 1.0, 3.0
"""Mean errors in levels of 8 bits that the program promises."""


@dataclass(frozen=True)
class Colors:
    """A matrix and range, with the numbers of ITU-T H.273 that files say them by."""

    name: str
    primaries: int
    transfer: int
    matrix: int
    kr: float
    kb: float
    full_range: bool = False

    @property
    def tags(self) -> tuple[int, int, int, int]:
        return 2 if self.full_range else 1, self.primaries, self.transfer, self.matrix


_BT601 = Colors("601", 6, 6, 6, 0.299, 0.114)
_BT709 = Colors("709", 1, 1, 1, 0.2126, 0.0722)
_BT2020 = Colors("2020", 9, 14, 9, 0.2627, 0.0593)
_ALL = [
    Colors(**{**vars(colors), "full_range": full, "name": f"{colors.name}-{word}"})
    for colors in (_BT601, _BT709, _BT2020)
    for full, word in ((False, "limited"), (True, "full"))
]


@pytest.mark.parametrize("codec", ["ffv1", "h264"])
@pytest.mark.parametrize("colors", _ALL, ids=lambda colors: colors.name)
def test_identity_keeps_colors_and_their_tags(
    tmp_path: Path, colors: Colors, codec: CodecChoice
) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    pictures = [_picture(number, 128, 96) for number in range(_FRAMES)]
    written = [_planes_of(picture, colors) for picture in pictures]
    _write(source, written, colors)
    _stylize(source, output, codec=codec, crf=0 if codec == "h264" else None)
    tags, found = _read(output)
    assert tags == colors.tags
    assert len(found) == _FRAMES
    luma, chroma = _mean_errors(written, found)
    assert luma <= _LUMA_BAR
    assert chroma <= _CHROMA_BAR


def test_colors_are_told_apart_here() -> None:
    """The tests above and below could not fail if all matrices gave nearly the same."""
    picture = _picture(0, 128, 96)
    planes = _planes_of(picture, _ALL[0])
    for other in _ALL[1:]:
        luma, chroma = _mean_errors([planes], [_planes_of(picture, other)])
        assert luma > 2 * _LUMA_BAR or chroma > 2 * _CHROMA_BAR, other.name


@pytest.mark.parametrize(
    ("height", "right", "wrong"), [(720, _BT709, _BT601), (360, _BT601, _BT709)]
)
def test_untagged_video_is_taken_for_709_from_720_lines_on(
    tmp_path: Path, style: Style, height: int, right: Colors, wrong: Colors
) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    written = [_planes_of(_picture(number, 64, height), right) for number in range(2)]
    _write(source, written, None)
    _stylize(source, output, codec="ffv1", style=str(style.path))
    tags, found = _read(output)
    assert tags[3] in (2, right.matrix)
    (luma, chroma), by_the_wrong = (
        _mean_errors(_stylized(written, colors, style), found) for colors in (right, wrong)
    )
    assert luma <= _LUMA_BAR
    assert chroma <= _CHROMA_BAR
    assert by_the_wrong[0] > 2 * _LUMA_BAR
    assert by_the_wrong[1] > 2 * chroma


@pytest.mark.parametrize("colors", _ALL, ids=lambda colors: colors.name)
def test_the_ffmpeg_tool_sees_the_same_colors(tmp_path: Path, colors: Colors) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs the ffmpeg tool on the PATH")
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    written = [_planes_of(_picture(number, 128, 96), colors) for number in range(_FRAMES)]
    _write(source, written, colors)
    _stylize(source, output, codec="h264", crf=0)
    luma, chroma = _mean_errors(_by_tool(source, 128, 96), _by_tool(output, 128, 96))
    assert luma <= _LUMA_BAR
    assert chroma <= _CHROMA_BAR


def _picture(number: int, width: int, height: int) -> NDArray[np.float64]:
    """RGB in [0, 1]: bars of saturated colours, a grey and two colour gradients that move."""
    y, x = np.mgrid[0:height, 0:width]
    across = ((x + 3 * number) % width) / (width - 1)
    down = y / (height - 1)
    gradients = np.stack((across, down, 1 - across), axis=-1)
    bars = np.stack([(x * 8 // width) >> bit & 1 for bit in range(3)], axis=-1) * 0.9 + 0.05
    grey = np.repeat(across[..., None], 3, axis=-1)
    third = height // 3
    picture = np.where((y < third)[..., None], bars, gradients)
    result: NDArray[np.float64] = np.where((y >= 2 * third)[..., None], grey, picture)
    return result


def _planes_of(picture: NDArray[np.float64], colors: Colors) -> Planes:
    """RGB in [0, 1] to 8-bit planes; chroma lies left, halfway between two rows."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    luma = colors.kr * red + (1 - colors.kr - colors.kb) * green + colors.kb * blue
    chroma = ((blue - luma) / (2 * (1 - colors.kb)), (red - luma) / (2 * (1 - colors.kr)))
    if colors.full_range:
        codes = [255 * luma, *(255 * _halved(part) + 128 for part in chroma)]
    else:
        codes = [219 * luma + 16, *(224 * _halved(part) + 128 for part in chroma)]
    y, cb, cr = (np.clip(np.rint(code), 0, 255).astype(np.uint8) for code in codes)
    return y, cb, cr


def _halved(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = (plane[::2] + plane[1::2]) / 2
    padded = np.pad(rows, ((0, 0), (1, 0)), mode="edge")
    result: NDArray[np.float64] = (padded[:, :-1:2] + 2 * rows[:, ::2] + rows[:, 1::2]) / 4
    return result


def _rgb_of(planes: Planes, colors: Colors) -> NDArray[np.float64]:
    """8-bit planes to RGB in [0, 1], chroma interpolated linearly to where luma is."""
    y, cb, cr = (plane.astype(np.float64) for plane in planes)
    if colors.full_range:
        luma, steps = y / 255, 255
    else:
        luma, steps = (y - 16) / 219, 224
    blue_difference, red_difference = (_doubled((plane - 128) / steps) for plane in (cb, cr))
    red = luma + 2 * (1 - colors.kr) * red_difference
    blue = luma + 2 * (1 - colors.kb) * blue_difference
    green = (luma - colors.kr * red - colors.kb * blue) / (1 - colors.kr - colors.kb)
    return np.clip(np.stack((red, green, blue), axis=-1), 0, 1)


def _doubled(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = plane.shape
    down = (np.arange(2 * rows) - 0.5) / 2
    across = np.arange(2 * columns) / 2
    tall = np.stack([np.interp(down, np.arange(rows), column) for column in plane.T], axis=1)
    return np.stack([np.interp(across, np.arange(columns), row) for row in tall])


def _stylized(written: list[Planes], colors: Colors, style: Style) -> list[Planes]:
    """What the network makes of the frames, seen and written by one matrix."""
    assert style.path is not None
    engine = make_engine(load_generator(style.path)[0], engine="torch", device="cpu")
    batch = torch.from_numpy(np.stack([_rgb_of(planes, colors) for planes in written])).float()
    pictures = engine.run(batch.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).double().numpy()
    return [_planes_of(picture, colors) for picture in pictures]


def _write(path: Path, frames: list[Planes], colors: Colors | None) -> None:
    """A lossless file; None: without colour tags."""
    height, width = frames[0][0].shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        if colors:
            tags = colors.tags
            context.color_range, context.color_primaries = tags[0], tags[1]
            context.color_trc, context.colorspace = tags[2], tags[3]
        for number, planes in enumerate(frames):
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane, pixels in zip(frame.planes, planes, strict=True):
                lines = np.zeros((plane.height, plane.line_size), np.uint8)
                lines[:, : plane.width] = pixels
                plane.update(lines.tobytes())
            frame.pts, frame.time_base = number, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _stylize(
    source: Path,
    output: Path,
    *,
    codec: CodecChoice,
    crf: int | None = None,
    style: str = "identity",
) -> None:
    spec = StyleSpec(style, engine="torch", precision="float32")
    job = StylizeVideo((source,), output, spec, PoolSpec(workers=0), codec=codec, crf=crf)
    (report,) = stylize_videos(job).inputs
    assert report.status == "done", report.error


def _read(path: Path) -> tuple[tuple[int, int, int, int], list[Planes]]:
    """Colour tags (range, primaries, transfer, matrix) and all frames' planes."""
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        frames = [_planes(frame) for frame in container.decode(video=0)]
        tags = (context.color_range, context.color_primaries, context.color_trc, context.colorspace)
        numbers = cast("tuple[int, int, int, int]", tuple(int(tag) for tag in tags))
    return numbers, frames


def _planes(frame: av.VideoFrame) -> Planes:
    assert frame.format.name in ("yuv420p", "yuvj420p")
    y, cb, cr = (
        np.frombuffer(cast("Any", plane), np.uint8)
        .reshape(-1, plane.line_size)[: plane.height, : plane.width]
        .copy()
        for plane in frame.planes
    )
    return y, cb, cr


def _by_tool(path: Path, width: int, height: int) -> list[Planes]:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-"]
    raw = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8)
    frames = []
    for codes in raw.reshape(_FRAMES, -1):
        y, cb, cr = np.split(codes, (width * height, width * height * 5 // 4))
        half = (height // 2, width // 2)
        frames.append((y.reshape(height, width), cb.reshape(half), cr.reshape(half)))
    return frames


def _mean_errors(before: list[Planes], after: list[Planes]) -> tuple[float, float]:
    """Mean absolute differences of luma and of the worse chroma plane, in levels."""
    luma, cb, cr = (
        float(
            np.mean(
                [np.abs(a[n].astype(int) - b[n]).mean() for a, b in zip(before, after, strict=True)]
            )
        )
        for n in range(3)
    )
    return luma, max(cb, cr)
