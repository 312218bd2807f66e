"""What an output is called, and which styles a picture gets."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import PurePosixPath

from nst_core.errors import InputError
from nst_core.pictures.encoding import can_write
from pipeline.pictures.settings import FormatChoice

_SUFFIX_OF_FORMAT = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}


@dataclass(frozen=True)
class OutputNames:
    """The rule by which a job's outputs are named; it looks at one picture at a time."""

    format: FormatChoice
    styles: tuple[str, ...]
    """Names of the styles; with two or more the outputs' names say which."""
    styles_per_image: int
    seed: int
    """Seed of the choice among the styles."""

    def styles_of(self, name: str) -> tuple[str, ...]:
        """Choose the picture's styles: those whose hash with its name and the seed is least.

        So the choice depends on nothing else: neither on other pictures, nor on the workers, nor,
        for a style that stays among the least, on which others there are.
        """
        if self.styles_per_image == len(self.styles):
            return self.styles
        ranked = sorted(self.styles, key=lambda style: self._rank(name, style))
        return tuple(ranked[: self.styles_per_image])

    def name_of(self, name: str, style: str, *, whole: bool = False) -> str:
        """Return the output's name: ``a/b.tif`` to ``a/b.png``, or to ``a/b-wave.png``.

        ``whole`` keeps the source's ending inside: ``a/b.tif.png``. Raises InputError for a name
        whose ending says no format, or that leads out of its folder.
        """
        path = PurePosixPath(name)
        if not path.name or ".." in path.parts or path.is_absolute():
            raise InputError(f"{name}: a name that leads out of the output folder")
        suffix = self._suffix(path)
        stem = path.name if whole else path.stem
        marked = f"{stem}-{style}" if len(self.styles) > 1 else stem
        return str(path.with_name(marked + suffix))

    def _suffix(self, path: PurePosixPath) -> str:
        if self.format != "same":
            return _SUFFIX_OF_FORMAT[self.format]
        if not can_write(path.suffix):
            raise InputError(
                f"{path}: no format is written by the ending {path.suffix or '(none)'}; "
                "choose one with --format png"
            )
        return path.suffix

    def _rank(self, name: str, style: str) -> bytes:
        text = b"\0".join((str(self.seed).encode(), os.fsencode(name), style.encode()))
        return hashlib.blake2b(text, digest_size=16).digest()
