"""The choice of what computes a picture in pieces that is too large to be computed whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor

from nst_core.color.codes import Pixels
from nst_core.engines.engine import Engine
from nst_core.large_pictures.layerwise_engine import LayerwiseEngine
from nst_core.large_pictures.tiled_engine import TiledEngine
from nst_core.networks.generator import Generator

_Rows = tuple[slice, Tensor]

_AUTO_SIDE = 1792
"""Longest side of pictures computed whole. The process then takes about 2 GB (measured: 0.6 and,
for each megapixel, 0.185 in bfloat16, 0.32 in float32; twice that at a width of 32; of a LeanNet
0.082 and 0.115)."""


class PieceEngine(Protocol):
    """Computes one picture in pieces, equal to the whole."""

    def strips(self, picture: Pixels) -> Iterator[_Rows]:
        """Map H x W x 3 to rows of the output: which, and 1 x 3 x h x scale*W of them."""
        ...


def piece_engine(
    generator: Generator,
    engine: Engine,
    *,
    side: int | None,
    scale: int,
    exact: bool,
    seed: int,
) -> tuple[PieceEngine, int]:
    """Build what computes the pictures that ``engine`` does not; the side of those it does.

    ``side`` None chooses. ``exact`` keeps float32 from being stored as float16.
    """
    if generator.tiles:
        tiled = TiledEngine(engine, scale=scale, tile_side=side)
        return tiled, tiled.side
    layerwise = LayerwiseEngine(
        generator,
        device=engine.device,
        precision=engine.precision,
        stored="float16" if engine.precision == "float32" and not exact else engine.precision,
        seed=seed,
    )
    return layerwise, side or _AUTO_SIDE
