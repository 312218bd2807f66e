"""Films that hold still: each stylized frame begins as the last one, carried along the motion.

A feed-forward network answers every frame anew, and small changes of the source move its strokes:
flicker. Here the last stylized frame is carried to the time of the next one along the optical flow
of the *source*, and taken for a part of it wherever the source shows there what it showed before.
So it works for every style and network, without training (in the spirit of Ruder, Dosovitskiy and
Brox 2016, section 5.1, who begin the optimisation of a frame in the same way).

Two things would go wrong with a mere blend. Where strokes have moved, the mean of two textures is
flatter than each of them, and the picture fades: local contrast is brought back to the network's
own. And a picture resampled again and again blurs: it is resampled by a cubic.

It works on the planes that are encoded, most of them of a quarter of the picture's size, and not
on RGB: in half the time. All of it is OpenCV on one thread and depends on nothing but the frames.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nst_core.color.linear_light import to_display
from nst_core.color.yuv import YuvFrames, join_frames, rgb_to_yuv, split_frames, yuv_to_rgb
from nst_core.color.yuv_encoding import YuvEncoding
from nst_core.measures.warping_error import LEAST_SIDE

Grey = NDArray[Any]
"""uint8, H x W."""
Plane = NDArray[Any]
"""uint8, or float32 in 0 to 255; h x w, those of colours often smaller than the first."""
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


_Last = tuple[NDArray[Any], ...]
"""The last frame's source, whole and small, and its planes as they were shown."""


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
        self._last: _Last | None = None
        self._grids: dict[tuple[int, ...], NDArray[Any]] = {}
        self._remembered: deque[tuple[YuvFrames, YuvFrames]] = deque(maxlen=remembers)

    def begin(self, last: _Last | None = None) -> None:
        """Forget the last frame: the next one follows none, or the ``last`` one of another."""
        self._last = last

    @property
    def last(self) -> _Last | None:
        """What the next frame will follow: arrays, to be given to ``begin``."""
        return self._last

    def remember(self, source: YuvFrames, made: YuvFrames) -> None:
        """Keep what the network made of frames, unless they are too large for that."""
        size = made.luma.nbytes + made.chroma.nbytes
        if size * (self._remembered.maxlen or 0) <= _MOST_BYTES:
            self._remembered.append((source, made))

    def remembered(self, source: YuvFrames) -> YuvFrames | None:
        """Return what the network made of the very same frames, where that was a short time ago."""
        for seen, made in self._remembered:
            if _are_equal(seen, source):
                return made
        return None

    def follow_all(
        self,
        frames: YuvFrames,
        source: YuvEncoding,
        made: YuvFrames,
        target: YuvEncoding,
        *,
        luma_only: bool = False,
    ) -> YuvFrames:
        """Return what was ``made`` of frames in the encoding ``target``, each following the last.

        ``luma_only`` leaves the other planes as they are. Light is followed as displays show it.
        """
        if target.is_light:
            shown = YuvEncoding("rgb", depth=16, subsampling="444")
            made = rgb_to_yuv(yuv_to_rgb(made, target), shown)
            made = self.follow_all(frames, source, made, shown)
            return rgb_to_yuv(yuv_to_rgb(made, shown), target)
        followed = []
        for grey, frame in zip(_greys(frames, source), split_frames(made), strict=True):
            planes = [frame.luma[0], *([] if luma_only else frame.chroma[0])]
            arrays = self.follow(grey, tuple(_array(plane, target) for plane in planes))
            luma, *chroma = (_codes(plane, target).to(frame.luma.device) for plane in arrays)
            followed.append(
                YuvFrames(luma[None], torch.stack(chroma)[None] if chroma else frame.chroma)
            )
        return join_frames(followed)

    def follow(self, grey: Grey, planes: tuple[Plane, ...]) -> tuple[Plane, ...]:
        """Return a stylized frame's planes, made to follow the last one's.

        ``grey`` is the source; the first plane has its size, and its contrast is kept by all.
        Frames of another size than the last one's, or too small for a flow, are returned as they
        are.
        """
        if min(grey.shape) < LEAST_SIDE * _FLOW_SHRINK:
            return planes
        height, width = (side // _FLOW_SHRINK for side in grey.shape)
        small = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
        last, self._last = self._last, (grey, small, *planes)
        if last is None or last[0].shape != grey.shape:
            return planes
        # A new one each time: of small frames its second answer would differ from the first.
        estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        flow = estimator.calc(small, last[1], np.zeros((*small.shape, 2), np.float32))
        places = self._places(flow, grey.shape)
        trust = self._trusted(grey, last[0], places)
        if trust.mean() < self._least:
            return planes
        trust *= _resized(_calm(flow), grey.shape)
        by_size = {grey.shape: (places, trust)}
        blended = []
        for plane, before in zip(planes, last[2:], strict=True):
            size = plane.shape
            if size not in by_size:
                by_size[size] = self._places(flow, size), _resized(trust, size)
            at, share = by_size[size]
            blended.append(_mixed(_carried(before, at, cv2.INTER_CUBIC), plane, share))
        gain = np.sqrt(_variance(planes[0]) / _variance(blended[0]))
        gain = np.clip(gain, 1, _MOST_CONTRAST)
        followed = tuple(_with_contrast(plane, gain) for plane in blended)
        self._last = (grey, small, *followed)
        return followed

    def _places(self, flow: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """Where each pixel of a plane was in the last frame: H x W x 2, as (x, y)."""
        if shape not in self._grids:
            rows, columns = np.indices(shape, dtype=np.float32)
            self._grids[shape] = np.stack([columns, rows], axis=-1)
        times = [round(of / by) for of, by in zip(shape[::-1], flow.shape[1::-1], strict=True)]
        moved = flow * np.asarray(times, np.float32)
        return np.asarray(cv2.add(_resized(moved, shape), self._grids[shape]), np.float32)

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


def _greys(frames: YuvFrames, encoding: YuvEncoding) -> NDArray[np.uint8]:
    """Their luma, or their green, in 8 bits: N x H x W."""
    if encoding.is_light:
        return (to_display(frames.luma) * 255).round().to(torch.uint8).cpu().numpy()
    luma = frames.luma.cpu().numpy()
    return (luma >> (encoding.depth - 8)).astype(np.uint8)


def _array(plane: Tensor, encoding: YuvEncoding) -> Plane:
    """Codes as they are, if of 8 bits, which follow in half the time; else as floats."""
    codes = plane.cpu().numpy()
    return codes if encoding.depth == 8 else codes.astype(np.float32) / 2 ** (encoding.depth - 8)


def _codes(plane: Plane, encoding: YuvEncoding) -> Tensor:
    """Undo ``_array``, rounded to nearest."""
    if encoding.depth == 8:
        return torch.from_numpy(plane)
    largest = 2**encoding.depth - 1
    codes = np.clip(np.rint(plane * 2 ** (encoding.depth - 8)), 0, largest)
    return torch.from_numpy(codes.astype(np.uint16))


def _resized(picture: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The picture in another size, linear between its pixels."""
    return picture if picture.shape[:2] == shape else cv2.resize(picture, shape[::-1])


def _carried(last: Plane, places: NDArray[Any], interpolation: int) -> Plane:
    """Take the last frame at ``places``; beyond its border that is repeated."""
    repeated = cv2.BORDER_REPLICATE
    return cv2.remap(last, places, None, interpolation, borderMode=repeated)  # type: ignore[call-overload, no-any-return]


def _with_contrast(plane: Plane, gain: Weights) -> Plane:
    """Return the plane with the contrast of each cell changed by the gain."""
    means = cv2.resize(plane, gain.shape[::-1], interpolation=cv2.INTER_AREA)
    return _mixed(plane, _resized(means, plane.shape), _resized(gain, plane.shape))


def _variance(plane: Plane) -> Weights:
    """Variance in each cell, at least _FLAT."""
    height, width = plane.shape
    size = (-(-width // _CELL), -(-height // _CELL))
    values = plane.astype(np.float32)
    mean, of_squares = (
        cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (values, values * values)
    )
    variance: Weights = np.maximum(of_squares - mean * mean, 0) + _FLAT
    return variance


def _mixed(first: Plane, second: Plane, share: Weights) -> Plane:
    """Return ``share`` of the first and the rest of the second; a share above 1 goes beyond it."""
    return cv2.blendLinear(first, second, share, np.float32(1) - share)
