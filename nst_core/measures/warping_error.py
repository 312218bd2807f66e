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

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean

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
    steepness = sum(
        np.square(change) for component in cv2.split(backward) for change in np.gradient(component)
    )
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
    total = cv2.norm(carried, next_output.astype(np.float32), cv2.NORM_L2SQR, mask.astype(np.uint8))
    return float(total / (np.count_nonzero(mask) * output.shape[2] * 255**2))


Moment = tuple[Frame, Frame]
"""A source's frame and what was made of it, of one size."""


@dataclass(frozen=True)
class PairError:
    """The errors between two consecutive moments, in squared units of [0, 1]."""

    output: float
    source: float
    """The floor."""
    visible: float
    """Share of pixels compared, 0 to 1."""


def pair_error(last: Moment, now: Moment) -> PairError | None:
    """Compare two consecutive moments; None for a cut: too little in common to say anything.

    Raises ValueError for source frames of two sizes, and for frames that are too small.
    """
    (last_source, last_output), (source, output) = last, now
    backward = optical_flow(source, last_source)
    mask = visible(optical_flow(last_source, source), backward)
    share = float(mask.mean())
    if share < _LEAST_VISIBLE:
        return None
    return PairError(
        output=masked_error(last_output, output, backward, mask),
        source=masked_error(last_source, source, backward, mask),
        visible=share,
    )


@dataclass
class WarpingError:
    """The means over a video's pairs of consecutive frames, fed one frame at a time."""

    errors: list[PairError | None] = field(default_factory=list)
    """What each pair comes to; None at a cut."""
    _last: Moment | None = None

    def add(self, source: Frame, output: Frame) -> None:
        """Take the next source frame and what was made of it, of one size.

        Raises ValueError for sizes that differ and for frames that are too small.
        """
        if source.shape != output.shape:
            raise ValueError(f"frames are {source.shape} and {output.shape}: one size is needed")
        last, self._last = self._last, (source, output)
        if last is not None:
            self.errors.append(pair_error(last, self._last))

    @property
    def pairs(self) -> int:
        """Compared: pairs of consecutive frames, except cuts."""
        return len(self.errors) - self.cuts

    @property
    def cuts(self) -> int:
        """Pairs with too little in common to say anything."""
        return self.errors.count(None)

    @property
    def of_output(self) -> float:
        """Mean error of the output, in squared units of [0, 1]; 0 before the first pair."""
        return _mean(each.output for each in self.errors if each)

    @property
    def of_source(self) -> float:
        """Mean error of the source itself: the floor."""
        return _mean(each.source for each in self.errors if each)

    @property
    def visible_fraction(self) -> float:
        """Mean share of pixels compared, in the pairs that are; 0 to 1."""
        return _mean(each.visible for each in self.errors if each)


def _mean(numbers: Iterable[float]) -> float:
    return fmean([*numbers] or [0.0])


def _positions(flow: Flow) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Columns and rows where the pixels of ``flow`` are in the other frame."""
    height, width = flow.shape[:2]
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    return columns + flow[..., 0], rows[:, None] + flow[..., 1]


def _squared(vectors: Flow) -> NDArray[np.float32]:
    """Squared length, H x W."""
    lengths: NDArray[np.float32] = np.square(vectors[..., 0]) + np.square(vectors[..., 1])
    return lengths
