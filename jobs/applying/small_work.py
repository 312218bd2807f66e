"""Work too small for a Ray of its own: it is done before Ray would have started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cluster.connection import LOCAL
from jobs.specs.applying import PoolSpec

MOST_PICTURES = 32
MOST_BYTES = 2 << 20
"""Largest sum of all files: about 5 megapixels of JPEG, which take less time than starting Ray."""


def pool_for_pictures(pool: PoolSpec, file_bytes: Sequence[int], *, styles: int = 1) -> PoolSpec:
    """Return the pool for pictures of these sizes: this very process where that is faster.

    That is a single output, which only one worker could do, and a few small pictures in as many
    ``styles``. Where the pool is anything but the default, it is as it was asked for.
    """
    outputs = len(file_bytes) * styles
    few_and_small = outputs <= MOST_PICTURES and sum(file_bytes) * styles <= MOST_BYTES
    return _here(pool) if outputs == 1 or few_and_small else pool


def pool_for_segments(pool: PoolSpec, segments: int) -> PoolSpec:
    """Return the pool for so many segments of video: this very process for a single one.

    A worker would have one of this machine's CPUs for it, this process has them all.
    """
    return _here(pool) if segments == 1 else pool


def _here(pool: PoolSpec) -> PoolSpec:
    return replace(pool, workers=0) if pool == PoolSpec(address=LOCAL) else pool
