"""Stylizers by stroke, or by style and stroke: each is a network of its own, and takes memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from nst_core.stylizer import Stylizer

MOST_KEPT = 6
"""As many strokes as pictures choose of a style whose sizes span two octaves. Smaller pictures have
finer strokes, so that all together need about twice the memory of the largest."""

Key = TypeVar("Key", bound=Hashable)
"""A stroke; or what says the style too."""


class KeptStylizers(Generic[Key]):
    """Builds a stylizer when it is first needed; the least recently used goes first."""

    def __init__(self, build: Callable[[Key], Stylizer], *, most: int = MOST_KEPT) -> None:
        """``build`` makes the Stylizer of a stroke. ``most`` are there at a time."""
        self._build = build
        self._most = most
        self._kept: OrderedDict[Key, Stylizer] = OrderedDict()

    def at(self, key: Key) -> Stylizer:
        """Return the stylizer of a stroke."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        while len(self._kept) >= self._most:  # before the next is built: memory is short
            self._kept.popitem(last=False)
        self._kept[key] = self._build(key)
        return self._kept[key]

    @property
    def engine(self) -> str:
        """What computes, for the report; ``none`` where nothing was built, or passes through."""
        return next((each.engine for each in reversed(self._kept.values())), "none")
