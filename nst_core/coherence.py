"""Films that hold still: each stylized frame begins as the last one, carried along the motion.

A feed-forward network answers every frame anew, and small changes of the source move its strokes:
flicker. Here the last stylized frame is carried to the time of the next one along the optical flow
of the *source*, and taken for a part of it wherever the source shows there what it showed before.
So it works for every style and network, without training (in the spirit of Ruder, Dosovitskiy and
Brox 2016, section 5.1, who begin the optimisation of a frame in the same way).

Two things would go wrong with a mere blend. Where strokes have moved, the mean of two textures is
flatter than each of them, and the picture fades: local contrast is brought back to the network's
own. And a picture resampled again and again blurs: it is resampled by a cubic.

All of it is OpenCV on one thread and depends on nothing but the frames.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from nst_core.color.yuv import YuvFrames
from nst_core.measures.warping_error import LEAST_SIDE

Frame = NDArray[Any]
"""uint8, or float32 in 0 to 255."""
Grey = NDArray[Any]
"""uint8, H x W."""
Weights = NDArray[Any]
"""float32, H x W."""

_FLOW_SHRINK = 2
"""The flow is found at half size: in a third of the time, and hardly less exact."""
_TOLERANCE = 10.0
"""Difference of grey values, of 255, at which the trust in the motion has fallen to 1/e."""
_WINDOW = 5
"""Pixels over which it is averaged."""
_SPEED = 2.5
"""Pixels a frame at which half as much is taken of the last frame as where nothing moves. Without,
a moving camera cost more style than flicker."""
_CELL = 6
"""Side in pixels of the cells in which contrast is measured: smaller than a stroke is wide."""
_MOST_CONTRAST = 1.8
_FLAT = 1.0
"""Variance of grey values that is added on both sides: flat cells keep their contrast."""
_LEAST_IN_COMMON = 0.3
"""Mean trust below which two frames are a cut. Unrelated photographs come to 0.14 at most (40 of
them), the frames of ten seconds of Big Buck Bunny to 0.85 at least, and at its cut to 0.04."""

_MOST_BYTES = 192 << 20
"""For all frames that are remembered: 24 of 1080p, in 8 bits."""


class Coherence:
    """Makes stylized frames follow each other; one after the other, in the order of showing.

    ``amount`` is the part of the last frame in the next one where the source is trusted wholly:
    0 leaves the frames as they are, 1 would keep the first one. ``remembers`` frames are kept as
    the network made them, for who begins anew with the same. Raises ValueError beyond 0 to 1.
    """

    def __init__(self, amount: float, *, remembers: int = 0) -> None:
        if not 0 <= amount <= 1:
            raise ValueError(f"coherence {amount}: a number from 0 to 1 is needed")
        differences = np.arange(256, dtype=np.float32)
        self._trust = (amount * np.exp(-((differences / _TOLERANCE) ** 2))).astype(np.float32)
        self._least = _LEAST_IN_COMMON * amount
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._last: tuple[Grey, Grey, Frame] | None = None
        self._grid = np.zeros((0, 0, 2), np.float32)
        self._remembered: deque[tuple[YuvFrames, Frame]] = deque(maxlen=remembers)

    def begin(self, last: tuple[Grey, Grey, Frame] | None = None) -> None:
        """Forget the last frame: the next one follows none, or the ``last`` one of another."""
        self._last = last

    @property
    def last(self) -> tuple[Grey, Grey, Frame] | None:
        """What the next frame will follow: the last one's source, whole and small, and itself."""
        return self._last

    def remember(self, source: YuvFrames, stylized: Frame) -> None:
        """Keep what the network made of a frame, unless frames are too large for that."""
        if stylized.nbytes * (self._remembered.maxlen or 0) <= _MOST_BYTES:
            self._remembered.append((source, stylized))

    def remembered(self, source: YuvFrames) -> Frame | None:
        """Return what the network made of the very same frame, where that was a short time ago."""
        for seen, stylized in self._remembered:
            if _are_equal(seen, source):
                return stylized
        return None

    def follow(self, source: NDArray[np.uint8], stylized: Frame) -> Frame:
        """Return the stylized frame, made to follow the last one.

        Both are RGB, H x W x 3 of one size; ``source`` is uint8, ``stylized`` uint8 or float32 in
        0 to 255. Frames of another size than the last one's, or too small for a flow, are returned
        as they are.
        """
        grey = cv2.cvtColor(source, cv2.COLOR_RGB2GRAY)
        if min(grey.shape) < LEAST_SIDE * _FLOW_SHRINK:
            return stylized
        height, width = grey.shape
        size = (width // _FLOW_SHRINK, height // _FLOW_SHRINK)
        small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        last, self._last = self._last, (grey, small, stylized)
        if last is None or last[0].shape != grey.shape:
            return stylized
        flow = self._flow.calc(small, last[1], np.zeros((*small.shape, 2), np.float32))
        places = self._places(flow, grey.shape)
        trust = self._trusted(grey, last[0], places)
        if trust.mean() < self._least:
            return stylized
        trust *= cv2.resize(_calm(flow), (width, height))
        carried = _carried(last[2], places, cv2.INTER_CUBIC)
        blended = _mixed(carried, stylized, trust)
        followed = _with_contrast_of(stylized, blended)
        self._last = (grey, small, followed)
        return followed

    def _places(self, flow: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """Where each pixel was in the last frame: H x W x 2, as (x, y)."""
        height, width = shape
        if self._grid.shape[:2] != shape:
            rows, columns = np.indices(shape, dtype=np.float32)
            self._grid = np.stack([columns, rows], axis=-1)
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.scaleAdd(flow, float(_FLOW_SHRINK), self._grid), np.float32)

    def _trusted(self, grey: Grey, last: Grey, places: NDArray[Any]) -> Weights:
        """How much of the last frame may be taken at each pixel, H x W.

        Nothing where it comes from outside, and the less the more the source has changed there:
        what was hidden before, light that changes, motion that was not found.
        """
        height, width = grey.shape
        carried = _carried(last, places, cv2.INTER_LINEAR)
        difference = cv2.blur(cv2.absdiff(carried, grey), (_WINDOW, _WINDOW))
        trust = cv2.LUT(difference, self._trust)
        inside = cv2.inRange(places, (0.0, 0.0), (width - 1.0, height - 1.0))
        trust[inside == 0] = 0
        return np.asarray(trust, np.float32)


def _calm(flow: NDArray[Any]) -> Weights:
    """1 where nothing moves, 1/2 at _SPEED, and less the faster it does.

    Strokes that are carried far lie across each other and lose their form; and what moves fast is
    not seen to flicker.
    """
    speed = cv2.magnitude(flow[..., 0], flow[..., 1])
    calm: Weights = 1 / (1 + speed * (_FLOW_SHRINK / _SPEED))
    return calm


def _are_equal(first: YuvFrames, second: YuvFrames) -> bool:
    """Whether two frames have the same colours."""
    return torch.equal(first.luma, second.luma) and torch.equal(first.chroma, second.chroma)


def _carried(last: Frame, places: NDArray[Any], interpolation: int) -> Frame:
    """Take the last frame at ``places``; beyond its border that is repeated."""
    repeated = cv2.BORDER_REPLICATE
    return cv2.remap(last, places, None, interpolation, borderMode=repeated)  # type: ignore[call-overload, no-any-return]


def _with_contrast_of(stylized: Frame, blended: Frame) -> Frame:
    """Return the blend with the local contrast of what the network made."""
    height, width = stylized.shape[:2]
    gain = np.sqrt(_variance(stylized) / _variance(blended))
    gain = cv2.resize(np.clip(gain, 1, _MOST_CONTRAST), (width, height))
    return _mixed(blended, cv2.resize(_cells(blended), (width, height)), gain)


def _variance(frame: Frame) -> Weights:
    """Variance of the grey values in each cell, at least _FLAT."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean, of_squares = _cells(grey), _cells(grey * grey)
    variance: Weights = np.maximum(of_squares - mean * mean, 0) + _FLAT
    return variance


def _cells(picture: NDArray[Any]) -> NDArray[Any]:
    """Mean of each cell."""
    height, width = picture.shape[:2]
    size = (-(-width // _CELL), -(-height // _CELL))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _mixed(first: Frame, second: Frame, share: Weights) -> Frame:
    """Return ``share`` of the first and the rest of the second; a share above 1 goes beyond it."""
    return cv2.blendLinear(first, second, share, np.float32(1) - share)
