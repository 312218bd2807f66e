"""Styles by name: those that ship with the program, and checkpoint files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nst_core.checkpoint import CheckpointInfo, fingerprint, read_info
from nst_core.errors import InputError

IDENTITY = "identity"
"""The built-in style that passes frames through, for checking a pipeline."""

_FOLDER = Path(__file__).with_name("styles")
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Style:
    """A style that exists: a checkpoint with its metadata, or ``identity``."""

    name: str
    path: Path | None
    """None for ``identity``."""
    info: CheckpointInfo | None

    @property
    def fingerprint(self) -> str:
        """Tells styles apart by their content."""
        return fingerprint(self.path) if self.path else IDENTITY


def bundled_styles() -> list[str]:
    """Names of the styles that ship with the program, sorted."""
    return sorted(path.stem for path in _FOLDER.glob(f"*{_SUFFIX}"))


def find_style(name_or_path: str) -> Style:
    """Find a bundled style by name, else read a checkpoint file.

    Raises InputError for an unknown name, CheckpointError for a file that is not a checkpoint.
    """
    if name_or_path == IDENTITY:
        return Style(IDENTITY, None, None)
    path = _FOLDER / f"{name_or_path}{_SUFFIX}"
    if name_or_path not in bundled_styles():
        path = Path(name_or_path)
        if not path.exists():
            known = ", ".join((*bundled_styles(), IDENTITY))
            raise InputError(
                f"style {name_or_path!r} is neither a bundled style ({known}) nor a file; "
                "see `nst styles list`, or name a checkpoint"
            )
    return Style(path.stem, path.absolute(), read_info(path))
