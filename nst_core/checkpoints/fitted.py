"""Styles fitted to a user's own paintings, kept on this machine.

A style that was given a name stays until it is removed, in the folder of the user's data. One that
was fitted because ``--style`` named a picture is kept among the caches under the hash of that
picture: the same picture finds it again, wherever it lies and whatever it is called.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nst_core.caches import fitted_by_content
from nst_core.checkpoints.info import CheckpointInfo, fingerprint, read_info
from nst_core.checkpoints.style_spec import STYLE_SEPARATORS
from nst_core.errors import CheckpointError, InputError
from nst_core.file_kinds import kind_of
from nst_core.wording import did_you_mean

SUFFIX = ".safetensors"
PREVIEW_SUFFIX = ".png"
_VARIABLE = "NST_DATA_DIR"
SEPARATORS = f"{STYLE_SEPARATORS}/"
"""No name of a style has them, nor that of a file its last one."""


@dataclass(frozen=True)
class FittedStyle:
    """A style that was fitted to a painting, as a checkpoint on this machine."""

    name: str
    """What it was called, or its painting's name without the ending."""
    path: Path
    info: CheckpointInfo
    is_named: bool
    """Whether ``--style NAME`` finds it; else ``--style PICTURE`` does."""

    @property
    def training(self) -> dict[str, Any]:
        """How it was fitted, as the checkpoint says."""
        return dict([{}, *self.info.training.get("extensions", ())][-1])

    @property
    def painting(self) -> str:
        """Name of the picture's file."""
        return str(self.training.get("style_image", ""))

    @property
    def steps(self) -> int:
        """Optimisation steps that the fit took."""
        return int(self.training.get("steps_done", 0))


def named_styles_folder() -> Path:
    """Return the folder of named styles: NST_DATA_DIR, else ``nst`` in the user's data folder."""
    given = os.environ.get(_VARIABLE)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(given or Path(data, "nst")) / "styles"


def style_name(painting: Path) -> str:
    """Return what the style of a picture is called, without what means something in --style."""
    return without_separators(painting.stem) or "painting"


def without_separators(name: str) -> str:
    """Return the name with _ for each of SEPARATORS."""
    return name.translate(dict.fromkeys(map(ord, SEPARATORS), "_"))


def path_by_content(painting: Path) -> Path:
    """Return where the style of this very picture is kept, whether or not it is there yet."""
    return fitted_by_content() / f"{fingerprint(painting)[:32]}{SUFFIX}"


def path_by_name(name: str) -> Path:
    """Return where the style of this name is kept, whether or not it is there yet."""
    return named_styles_folder() / f"{name}{SUFFIX}"


def find_fitted(text: str) -> FittedStyle | None:
    """Find the style of a name or of a picture's file; None where nothing was fitted to it.

    Raises CheckpointError for the damaged checkpoint of a name; one that a picture has is None, for
    it is made anew.
    """
    path = _kept(text)
    if path is None:
        return None
    if path.parent == named_styles_folder():
        return FittedStyle(text, path, read_info(path), is_named=True)
    with suppress(CheckpointError):
        return FittedStyle(style_name(Path(text)), path, read_info(path), is_named=False)
    return None


def _kept(text: str) -> Path | None:
    """Return the checkpoint of a name or of a picture's file, damaged or not; None: there is none.

    Only pictures are read for it: what else --style may name has gigabytes.
    """
    if text and text == without_separators(text) and path_by_name(text).is_file():
        return path_by_name(text)
    painting = Path(text)
    if kind_of(painting) != "picture" or not path_by_content(painting).is_file():
        return None
    return path_by_content(painting)


def fitted_styles() -> list[FittedStyle]:
    """Return all of them that can be read: the named ones, then those of pictures, by name."""
    return [*_in(named_styles_folder(), is_named=True), *_in(fitted_by_content(), is_named=False)]


def remove_fitted(text: str) -> Path:
    """Remove the style of a name, or of a picture by its file or its name; returns its checkpoint.

    Raises InputError where there is none, or several pictures of that name.
    """
    known = fitted_styles()
    found = _kept(text)
    if found is None:
        same = [style.path for style in known if text in (style.name, style.painting)]
        if len(same) > 1:
            raise InputError(
                f"{text}: {len(same)} pictures of this name have been fitted; name the picture's "
                "file"
            )
        found = same[0] if same else None
    if found is None:
        names = [style.name for style in known]
        there_are = f"there are {', '.join(names)}" if names else "there are none"
        raise InputError(
            f"{text}: no style of this machine's own{did_you_mean(text, names)}; {there_are}"
        )
    found.unlink()
    found.with_suffix(PREVIEW_SUFFIX).unlink(missing_ok=True)
    return found


def _in(folder: Path, *, is_named: bool) -> list[FittedStyle]:
    return sorted(_readable(folder, is_named=is_named), key=lambda style: style.name)


def _readable(folder: Path, *, is_named: bool) -> Iterator[FittedStyle]:
    for path in folder.glob(f"*{SUFFIX}") if folder.is_dir() else ():
        try:
            info = read_info(path)
        except CheckpointError:  # it is told when it is used
            continue
        found = FittedStyle(path.stem, path, info, is_named=is_named)
        yield found if is_named else replace(found, name=style_name(Path(found.painting)))
