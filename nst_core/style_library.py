"""Styles by name: those that ship with the program, and checkpoint files of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from nst_core.checkpoint import CheckpointInfo, build_generator, fingerprint, read_info
from nst_core.engine import draws_noise
from nst_core.errors import InputError

Command = Literal["stylize", "upscale", "synthesize"]
"""What applies a checkpoint: ``nst stylize``, ``nst upscale`` or ``nst synthesize``."""

IDENTITY = "identity"
"""The built-in style that passes frames through, for checking a pipeline."""

_FOLDERS: dict[Command, Path] = {
    "stylize": Path(__file__).with_name("styles"),
    "synthesize": Path(__file__).with_name("textures"),
    "upscale": Path(__file__).with_name("super_resolution"),
}
"""What ships with the program, by the command that applies it."""
_SUFFIX = ".safetensors"
_KINDS: dict[Command, str] = {
    "stylize": "a style",
    "upscale": "a super-resolution network",
    "synthesize": "a texture",
}
_WRITTEN_BY: dict[Command, str] = {
    "stylize": "`nst train style`",
    "upscale": "`nst train super-resolution`",
    "synthesize": "`nst train texture`",
}


@dataclass(frozen=True)
class Style:
    """A checkpoint that exists, with its metadata, or ``identity``."""

    name: str
    path: Path | None
    """None for ``identity``."""
    info: CheckpointInfo | None

    @property
    def fingerprint(self) -> str:
        """Tells styles apart by their content."""
        return fingerprint(self.path) if self.path else IDENTITY

    @property
    def command(self) -> Command:
        """What applies it: super-resolution enlarges, and a texture makes pictures of nothing."""
        if self.scale != 1:
            return "upscale"
        return "stylize" if getattr(self._network, "stylizes", True) else "synthesize"

    @property
    def scale(self) -> int:
        """How many times wider and higher a picture comes out."""
        return int(getattr(self._network, "scale", 1))

    @property
    def draws_noise(self) -> bool:
        """Whether the pixels depend on noise beside the picture."""
        return self._network is not None and draws_noise(self._network)

    @property
    def _network(self) -> nn.Module | None:
        """The generator without its weights: takes no memory and no random numbers."""
        if self.info is None:
            return None
        with torch.device("meta"):
            return build_generator(self.info)


def bundled(command: Command) -> list[str]:
    """Names of the checkpoints for ``command`` that ship with the program, sorted."""
    return sorted(path.stem for path in _FOLDERS[command].glob(f"*{_SUFFIX}"))


def bundled_styles() -> list[str]:
    """Names of the styles that ship with the program, sorted."""
    return bundled("stylize")


def find_style(name_or_path: str) -> Style:
    """Find a bundled style by name, else read a checkpoint file.

    Raises InputError for an unknown name, CheckpointError for a file that is not a checkpoint.
    """
    if name_or_path == IDENTITY:
        return Style(IDENTITY, None, None)
    path = _bundled_path(name_or_path)
    if path is None:
        path = Path(name_or_path)
        if not path.exists():
            known = ", ".join((*bundled_styles(), IDENTITY))
            raise InputError(
                f"style {name_or_path!r} is neither a bundled style ({known}) nor a file; "
                "see `nst styles list`, or name a checkpoint"
            )
    return Style(path.stem, path.absolute(), read_info(path))


def find_for(command: Command, name_or_path: str) -> Style:
    """Find a checkpoint for the command that is to apply it.

    Raises InputError for a checkpoint that another command applies, and what find_style raises.
    """
    known = name_or_path == IDENTITY or _bundled_path(name_or_path) is not None
    if command != "stylize" and not known and not Path(name_or_path).exists():
        known_ones = "".join(f"{name}, " for name in bundled(command))
        raise InputError(
            f"{name_or_path}: no such file; `nst {command}` needs {_KINDS[command]}: "
            f"{known_ones}or a checkpoint that {_WRITTEN_BY[command]} writes"
        )
    style = find_style(name_or_path)
    if style.command != command:
        raise InputError(
            f"{name_or_path}: {_KINDS[style.command]}, and `nst {command}` needs "
            f"{_KINDS[command]}; use `nst {style.command}`"
        )
    return style


def _bundled_path(name: str) -> Path | None:
    for command, folder in _FOLDERS.items():
        if name in bundled(command):
            return folder / f"{name}{_SUFFIX}"
    return None
