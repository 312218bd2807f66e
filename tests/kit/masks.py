"""Films of a size, rate and turn, and the independent reader of masks: PyAV and NumPy alone."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tests.kit.media import moving_picture

Picture = NDArray[Any]

TURNS = {
    0: None,
    90: (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30),
    180: (-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30),
    270: (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30),
}
"""Display matrices by the degrees counterclockwise by which players turn a film."""


def make_film(
    path: Path,
    picture: Callable[[int], Picture],
    *,
    frames: int,
    rate: Fraction | int,
    turn: int = 0,
    codec: str = "png",
) -> None:
    """Encode RGB pictures as they are stored; players turn them counterclockwise by ``turn``."""
    with av.open(str(path), "w") as container:
        video = cast("Any", container.add_stream(codec, rate=rate))
        first = picture(0)
        video.height, video.width, _ = first.shape
        video.pix_fmt = "rgb24" if codec == "png" else "yuv420p"
        if codec == "libx264":
            video.codec_context.options = {"g": "12", "bf": "2", "sc_threshold": "0"}
        if matrix := TURNS[turn]:
            video.set_display_matrix(list(matrix))
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture(number)), "rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


def picture_of(width: int, height: int) -> Callable[[int], Picture]:
    """Return what draws a film's frames."""
    return lambda number: moving_picture(number, width, height)


def white_box(width: int, height: int, turn: int, number: int) -> Picture:
    """A mask as it is stored that shows, turned by players, a box above that jumps to and fro."""
    shown = np.zeros((width, height) if turn % 180 else (height, width), np.uint8)
    rows, columns = shown.shape
    left = columns // 10 if number // 2 % 2 else columns // 2
    shown[rows // 8 : rows // 2, left : left + columns // 3] = 255
    return np.repeat(np.rot90(shown, -turn // 90)[..., None], 3, axis=2)


def frames_shown(path: Path, turn: int) -> list[tuple[Fraction, Picture]]:
    """Time, counted from the first frame, and RGB picture of every frame, as players show it."""
    with av.open(str(path)) as container:
        decoded: list[Any] = list(container.decode(video=0))
    frames = [(frame.pts * frame.time_base, frame) for frame in decoded]
    return [
        (time - frames[0][0], np.rot90(frame.to_ndarray(format="rgb24"), turn // 90))
        for time, frame in frames
    ]


def masks_at(
    mask: list[tuple[Fraction, Picture]], time: Fraction, shape: tuple[int, ...]
) -> tuple[Picture, Picture]:
    """Where a mask is wholly white, and wholly black, in a frame shown at a time.

    Left out is what lies within a few pixels of an edge, where a scaled mask is soft.
    """
    shown = max((each for each in mask if each[0] <= time + Fraction(1, 1000)), key=lambda e: e[0])
    grey = np.ascontiguousarray(shown[1][..., 0])
    stretched = cv2.resize(grey, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    near = np.ones((9, 9), np.uint8)
    return cv2.erode(stretched, near) == 255, cv2.dilate(stretched, near) == 0
