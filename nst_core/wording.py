"""Words that messages are made of."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

_CLASS = re.compile(r"^[\w.]*(Error|Exception|Problem|Failed|Diverged): ")
"""How the names of classes end: what else stands before a colon may be a file, `a.JPG`."""


def counted(number: int, things: str) -> str:
    """Return ``1 picture`` or ``2 pictures``; ``things`` is the plural, with an s at its end."""
    return f"{number} {things.removesuffix('s') if number == 1 else things}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; the error's kind where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].strip()


def last_line(error: BaseException) -> str:
    """Return the last line of an error's message; the error's kind where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()


def last_line_without_class(error: BaseException) -> str:
    """Return the last line of an error that holds a traceback as text, without its class."""
    return _CLASS.sub("", last_line(error))


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def columns(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a line for each row, its cells below those of the others; all have as many."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for *cells, last in rows:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=False)]
        yield "  ".join([*padded, last]).rstrip()


def quoted(name: object) -> str:
    """Return a name as a shell takes it, for commands in messages that are to be pasted."""
    return shlex.quote(str(name))


def did_you_mean(came: object, known: Iterable[str]) -> str:
    """Return what to add to an error about a name, where another is alike: `` (did you ...?)``."""
    plain = str(came).removesuffix(".safetensors").lower().replace("-", "_").replace(" ", "_")
    alike = get_close_matches(plain, known, n=1)
    return f" (did you mean {alike[0]}?)" if alike else ""


def about(seconds: float) -> str:
    """``about 90 s``, ``about 12 min``, ``about 3.5 h``."""
    if seconds < 120:
        return f"about {seconds:.0f} s"
    if seconds < 7200:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"
