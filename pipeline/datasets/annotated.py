"""What annotations name, and how what they say of a picture fits its output."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from nst_core.errors import MediaError

MOST_PIXELS = 1 << 31
"""On a side of a picture, whatever annotations claim."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A picture that is annotated, by the names that may be its own."""

    key: Hashable
    """What its file calls it."""
    names: tuple[str, ...]
    """Ends of its path, the first that is found counts; ``a/b.*`` has any ending."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a picture has become."""

    name: str
    """Below the output folder."""
    path: str
    width: int
    height: int
    channels: int

    def named_as(self, source: str) -> str:
        """Return its name with as many folders as ``source`` has: both lie below one folder."""
        depth = source.count("/")
        return "/".join(self.name.split("/")[-1 - depth :])

    def factors(self, width: object, height: object, *, are_resized: bool) -> tuple[float, float]:
        """Return by how much annotations of a picture of this size shrink, across and down.

        Raises MediaError where the size is not that of the picture: of a camera's it may be that
        before it was turned upright.
        """
        if not (_is_size(width) and _is_size(height)):
            if are_resized:
                raise MediaError("its annotations do not tell the picture's size")
            return 1.0, 1.0
        assert isinstance(width, int | float)
        assert isinstance(height, int | float)
        factor = max(self.width, self.height) / max(width, height)
        is_same = abs(width * factor - self.width) <= 1 and abs(height * factor - self.height) <= 1
        if not is_same:
            raise MediaError(
                f"annotated as {width:g}x{height:g}, and upright it is not of that size (its "
                f"output has {self.width}x{self.height}); its annotations are left out"
            )
        return self.width / width, self.height / height


def _is_size(number: object) -> bool:
    return isinstance(number, int | float) and 1 <= number <= MOST_PIXELS


def tail_of(name: str) -> str:
    r"""Return the part of a file's name that does not depend on where it was: ``..\a\b.jpg``."""
    parts = name.replace("\\", "/").split("/")
    outside = max((n for n, part in enumerate(parts) if part in ("", ".", "..")), default=-1)
    return "/".join(parts[outside + 1 :])
