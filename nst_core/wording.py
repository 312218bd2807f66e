"""Words that messages are made of."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def counted(number: int, things: str) -> str:
    """Return ``1 picture`` or ``2 pictures``; ``things`` is the plural, with an s at its end."""
    return f"{number} {things.removesuffix('s') if number == 1 else things}"


def did_you_mean(came: object, known: Iterable[str]) -> str:
    """Return what to add to an error about a name, where another is alike: `` (did you ...?)``."""
    plain = str(came).removesuffix(".safetensors").lower().replace("-", "_").replace(" ", "_")
    alike = get_close_matches(plain, known, n=1)
    return f" (did you mean {alike[0]}?)" if alike else ""
