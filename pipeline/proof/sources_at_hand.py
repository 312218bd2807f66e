"""Where sources are found again: where they were, or below another folder."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.storage.files import below


class SourcesAtHand:
    """Sources that lie below another folder than when they were read, in the same tree.

    ``given`` is that folder; None: they are where they were. ``is_there`` tells whether a source
    is.
    """

    def __init__(self, given: str | None, is_there: Callable[[str], bool]) -> None:
        self._given = given
        self._is_there = is_there
        self._depth: int | None = None
        """Folders of a source's path that the given one stands for."""

    def place(self, recorded: str) -> str:
        """Return where a source should be.

        It has the end of its path below the folder: as much of it as finds the first one.
        """
        if self._given is None:
            return recorded
        parts = recorded.split("/")
        if self._depth is None:
            ends = (below(self._given, "/".join(parts[at:])) for at in range(len(parts)))
            found = (at for at, place in enumerate(ends) if self._is_there(place))
            self._depth = next(found, None)
        depth = len(parts) - 1 if self._depth is None else self._depth
        return below(self._given, "/".join(parts[depth:]))
