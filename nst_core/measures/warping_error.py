"""Warping error: how much a stylized video flickers where its source does not change.

Each stylized frame is carried to the time of the next one along the optical flow of the *source*,
and compared with the next stylized frame wherever the source shows the same surface in both
(Ruder, Dosovitskiy and Brox 2016; Lai et al. 2018). The flow is OpenCV's DIS (Kroeger et al.
2016), a classical method without weights, where Lai et al. take FlowNet2: errors are comparable
among videos measured here, not with the papers' tables. The source's own error is the floor that
the flow's inaccuracy, resampling, changing light and noise leave.

Shapes: frames are uint8 RGB, H x W x 3; a flow is float32, H x W x 2, in pixels, (x, y); a mask is
bool, H x W, true where a pixel is visible in both frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Flow = NDArray[np.float32]
Mask = NDArray[np.bool_]

LEAST_SIDE = 16
"""Pixels: smaller frames hold too few of DIS's patches of 8."""
_CONSISTENCY = (0.01, 0.5)
_MOTION_BOUNDARY = (0.01, 0.002)
"""Ruder et al. section 4.2, after Sundaram, Brox and Keutzer 2010: factor and constant."""
_LEAST_VISIBLE = 0.15
"""Least share of visible pixels; below it, two frames are a cut. Unrelated photographs match in up
to 10 % of their pixels; the frames of ten seconds of Big Buck Bunny in 74 % or more, and in 1 % at
the one cut, which alone would make the source's error tenfold."""


def optical_flow(frame: Frame, other: Frame) -> Flow:
    """Find where each pixel of ``frame`` is in ``other``: pixel (x, y) is there at (x, y) + flow.

    DIS at its preset "medium". Raises ValueError for frames of different sizes or with a side
    below LEAST_SIDE.
    """
    if frame.shape != other.shape or min(frame.shape[:2]) < LEAST_SIDE:
        raise ValueError(
            f"frames are {frame.shape} and {other.shape}: one size is needed, "
            f"no side below {LEAST_SIDE}"
        )
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey, other_grey = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (frame, other))
    start = np.zeros((*grey.shape, 2), np.float32)
    return np.asarray(method.calc(grey, other_grey, start), dtype=np.float32)


def warp(image: NDArray[np.float32], flow: Flow) -> NDArray[np.float32]:
    """Take, for each pixel (x, y) of the result, ``image`` at (x, y) + flow: a backward warp.

    ``image`` is float32, H x W x C; bilinear, its border repeated.
    """
    columns, rows = _positions(flow)
    warped = cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, dtype=np.float32)


def visible(forward: Flow, backward: Flow) -> Mask:
    """Tell which pixels of the second frame are visible in the first, with a flow to be trusted.

    ``forward`` is the first frame's flow to the second, ``backward`` the second's to the first.
    Left out are pixels that come from outside the picture, those where going back and forth does
    not return to the start, and motion boundaries (Ruder et al. section 4.2).
    """
    columns, rows = _positions(backward)
    height, width = backward.shape[:2]
    inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    returning = warp(forward, backward)
    there_and_back: Flow = returning + backward
    factor, constant = _CONSISTENCY
    bound = factor * (_squared(returning) + _squared(backward)) + constant
    consistent = _squared(there_and_back) <= bound
    steepness = np.square(np.gradient(backward, axis=(0, 1))).sum(axis=(0, -1))
    factor, constant = _MOTION_BOUNDARY
    smooth = steepness <= factor * _squared(backward) + constant
    mask: Mask = inside & consistent & smooth
    return mask


def masked_error(output: Frame, next_output: Frame, backward: Flow, mask: Mask) -> float:
    """Mean squared difference of ``next_output`` and ``output`` carried to its time, at the mask.

    On RGB in [0, 1], over pixels and the three channels (the squared norm in the formula of Lai
    et al. sums the channels: three times as much). Raises ValueError where nothing is visible.
    """
    if not mask.any():
        raise ValueError("no pixel is visible in both frames")
    carried = warp(output.astype(np.float32), backward)
    difference = (carried - next_output)[mask] / 255
    return float(np.mean(np.square(difference), dtype=np.float64))


@dataclass
class WarpingError:
    """The means over a video's pairs of consecutive frames, fed one frame at a time."""

    frames: int = 0
    pairs: int = 0
    """Compared: pairs of consecutive frames, except cuts."""
    cuts: int = 0
    """Pairs with too little in common to say anything."""
    _output_sum: float = 0.0
    _source_sum: float = 0.0
    _visible_sum: float = 0.0
    _last: tuple[Frame, Frame] | None = None

    def add(self, source: Frame, output: Frame) -> None:
        """Take the next source frame and what was made of it, of one size.

        Raises ValueError for sizes that differ and for frames that are too small.
        """
        if source.shape != output.shape:
            raise ValueError(f"frames are {source.shape} and {output.shape}: one size is needed")
        last, self._last = self._last, (source, output)
        self.frames += 1
        if last is None:
            return
        last_source, last_output = last
        backward = optical_flow(source, last_source)
        mask = visible(optical_flow(last_source, source), backward)
        if mask.mean() < _LEAST_VISIBLE:
            self.cuts += 1
            return
        self._visible_sum += float(mask.mean())
        self._output_sum += masked_error(last_output, output, backward, mask)
        self._source_sum += masked_error(last_source, source, backward, mask)
        self.pairs += 1

    @property
    def of_output(self) -> float:
        """Mean error of the output, in squared units of [0, 1]; 0 before the first pair."""
        return self._output_sum / max(self.pairs, 1)

    @property
    def of_source(self) -> float:
        """Mean error of the source itself: the floor."""
        return self._source_sum / max(self.pairs, 1)

    @property
    def visible_fraction(self) -> float:
        """Mean share of pixels compared, in the pairs that are; 0 to 1."""
        return self._visible_sum / max(self.pairs, 1)


def _positions(flow: Flow) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Columns and rows where the pixels of ``flow`` are in the other frame."""
    rows, columns = np.indices(flow.shape[:2], dtype=np.float32)
    return columns + flow[..., 0], rows + flow[..., 1]


def _squared(vectors: Flow) -> NDArray[np.float32]:
    """Squared length, H x W."""
    lengths: NDArray[np.float32] = np.square(vectors).sum(axis=-1)
    return lengths
