"""Large pictures in tiles, without a seam: for networks whose pixels depend on their surroundings.

A super-resolution network with batch normalisation is one: at test time its norms are constants,
so that a pixel depends on those within ``REACH`` of it and on nothing else. A 12-megapixel photo
enlarged four times would need 49 GB for a single layer of 64 channels; a tile needs 0.4.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from nst_core.color.codes import Pixels
from nst_core.color.pixels import to_unit_range
from nst_core.engines.engine import Engine

REACH = 16
"""Pixels of the input. A 9x9 and eight 3x3 convolutions at its size are 12 of them; a 3x3 for each
doubling, at growing sizes, and the last 9x9 at full size are less than 3."""

_OUTPUT_SIDE = 1280
"""Side of an output tile, in pixels."""


class TiledEngine:
    """Runs an engine on overlapping tiles of one size; what is near an inner edge is thrown away.

    Equal to the engine's own output but for the rounding of sums. Pictures within one tile go
    through as they are. ``tile_side`` is in pixels of the input.
    """

    def __init__(self, engine: Engine, *, scale: int, tile_side: int | None = None) -> None:
        self.name = engine.name
        self.precision = engine.precision
        self.device = engine.device
        self.side = tile_side or _OUTPUT_SIDE // scale
        self._engine = engine
        self._scale = scale

    def run(self, images: Tensor) -> Tensor:
        """Map N x 3 x H x W float32 in [0, 1] to N x 3 x scale*H x scale*W."""
        height, width = images.shape[-2:]
        if max(height, width) <= self.side:
            return self._engine.run(images)
        size = (len(images), 3, self._scale * height, self._scale * width)
        result = torch.empty(size, device=self.device)
        for image, enlarged in zip(images, result, strict=True):
            for window in windows(height, self.side):
                rows, strip = self._strip(image[None, :, window], window, height)
                enlarged[:, rows] = strip[0]
        return result

    def strips(self, picture: Pixels) -> Iterator[tuple[slice, Tensor]]:
        """Map RGB of uint8 or uint16, H x W x 3, to the rows of the output, from top to bottom.

        Yields which rows they are, and 1 x 3 x h x scale*W of them, float32 in [0, 1] on the
        engine's device. The last strips may share some rows.
        """
        for window in windows(len(picture), self.side):
            band = to_unit_range(picture[None, window], self.device)
            yield self._strip(band, window, len(picture))

    def _strip(self, band: Tensor, window: slice, height: int) -> tuple[slice, Tensor]:
        """Enlarge 1 x 3 x h x W, the rows ``window`` of ``height``: those that come out right."""
        rows, own_rows = self._own(window, height)
        width = band.shape[-1]
        size = (1, 3, rows.stop - rows.start, self._scale * width)
        strip = torch.empty(size, device=self.device)
        for column in windows(width, self.side):
            columns, own_columns = self._own(column, width)
            tile = self._engine.run(band[..., column])
            strip[..., columns] = tile[..., own_rows, own_columns]
        return rows, strip

    def _own(self, window: slice, length: int) -> tuple[slice, slice]:
        """Where a window's own pixels lie in the enlarged picture, and in its tile.

        Its own are those without its margins, save where the picture itself ends.
        """
        start = window.start + (REACH if window.start > 0 else 0)
        stop = window.stop - (REACH if window.stop < length else 0)
        scale, first = self._scale, window.start
        return (
            slice(scale * start, scale * stop),
            slice(scale * (start - first), scale * (stop - first)),
        )


def windows(length: int, side: int) -> list[slice]:
    """Cover ``length`` pixels by windows of ``side`` that overlap by two margins or more."""
    if length <= side:
        return [slice(0, length)]
    starts = [*range(0, length - side, side - 2 * REACH), length - side]
    return [slice(start, start + side) for start in starts]
