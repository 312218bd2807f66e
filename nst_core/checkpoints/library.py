"""Styles by name: those that ship with the program, and checkpoint files of every kind."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nst_core.checkpoints.downloaded import downloaded, is_address
from nst_core.checkpoints.fitted import FittedStyle, find_fitted
from nst_core.checkpoints.info import CheckpointInfo, digest_of, fingerprint, read_info
from nst_core.engines.eight_bit import EightBit
from nst_core.errors import InputError, StyleNotFitted
from nst_core.file_kinds import kind_of
from nst_core.strokes import reached
from nst_core.wording import did_you_mean, quoted

if TYPE_CHECKING:
    from nst_core.networks.generator import Generator

Command = Literal["stylize", "upscale", "synthesize"]
"""What applies a checkpoint: ``nst stylize``, ``nst upscale`` or ``nst synthesize``."""

IDENTITY = "identity"
"""The built-in style that passes frames through, for checking a pipeline."""

_BUNDLED = Path(__file__).with_name("bundled")
_FOLDERS: dict[Command, Path] = {
    "stylize": _BUNDLED / "styles",
    "synthesize": _BUNDLED / "textures",
    "upscale": _BUNDLED / "super_resolution",
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
    info: CheckpointInfo | None = field(repr=False)
    mixture: tuple[tuple[str, float], ...] = ()
    """The styles asked for in a network of several, with their shares, which sum to 1."""
    stroke: float = 1.0
    """Size of the strokes, where the network has several: see ``with_stroke``."""
    content: bytes | None = field(default=None, repr=False, compare=False)
    """Bytes of the checkpoint file, for machines that do not have it; else None."""

    @property
    def training(self) -> dict[str, Any]:
        """How it was trained, as the checkpoint says; of a mixture, its largest part."""
        if self.info is None:
            return {}
        training = dict(self.info.training)
        if self.mixture:
            largest = max(self.mixture, key=lambda part: part[1])[0]
            for extension in training.pop("extensions", ()):
                if largest in extension["styles"]:
                    return dict(extension)
        return training

    @property
    def fingerprint(self) -> str:
        """Tells styles apart by their content."""
        if self.path is None:
            return IDENTITY
        stroke = f"@{self.stroke:.6g}" if self.strokes else ""
        mixture = f":{mixture_text(self.mixture)}{stroke}" if self.mixture else ""
        return f"{self.sha256}{mixture}"

    @property
    def sha256(self) -> str:
        """SHA-256 of the checkpoint; empty for ``identity``, which has none."""
        if self.path is None:
            return ""
        # What workers are given counts: the file may be another one by now.
        return fingerprint(self.path) if self.content is None else digest_of(self.content)

    def load(self) -> Generator:
        """Load the generator, on the CPU, in evaluation mode. Raises CheckpointError.

        Raises ValueError for ``identity``, which has none.
        """
        from nst_core.checkpoints.checkpoint import (  # torch
            load_generator,
            read_tensors,
            restore_generator,
        )

        if self.path is None:
            raise ValueError(f"{self.name} has no generator")
        mixture = dict(self.mixture)
        if self.content is not None and self.info is not None:
            tensors = read_tensors(self.content)
            return restore_generator(self.path, tensors, self.info, mixture, stroke=self.stroke)
        return load_generator(self.path, mixture, stroke=self.stroke)[0]

    def with_content(self) -> Style:
        """Return the same style, which can be loaded where its file is not."""
        return self if self.path is None else replace(self, content=self.path.read_bytes())

    @property
    def strokes(self) -> tuple[float, ...]:
        """Sizes of strokes that it was trained with, ascending; none: it has one size only."""
        return self.info.strokes if self.info else ()

    def with_stroke(self, stroke: float) -> Style:
        """Return the same style with strokes of this size, or of the nearest that it reaches.

        Raises InputError where it has one size only, and another than 1 is asked for.
        """
        if not self.strokes and stroke != 1:
            raise InputError(
                f"--stroke {stroke:g}: {self.name} was trained with one size of strokes; leave "
                "--stroke out, or train it with `nst train style --strokes 0.5,1,2`"
            )
        return replace(self, stroke=reached(self.strokes, stroke))

    @property
    def command(self) -> Command:
        """What applies it: super-resolution enlarges, and a texture makes pictures of nothing."""
        if self.scale != 1:
            return "upscale"
        return "stylize" if self.info is None or self.info.stylizes else "synthesize"

    @property
    def eight_bit(self) -> EightBit | None:
        """How it is computed in 8 bits; None: nobody has calibrated it, or it is a mixture.

        One and the same for all its strokes.
        """
        if self.info is None or len(self.mixture) > 1:
            return None
        return self.info.eight_bit.get(self.mixture[0][0] if self.mixture else "")

    @property
    def scale(self) -> int:
        """How many times wider and higher a picture comes out."""
        return self.info.scale if self.info else 1

    @property
    def draws_noise(self) -> bool:
        """Whether the pixels depend on noise beside the picture."""
        return self.info is not None and self.info.draws_noise

    def check_noise(self, noise: float) -> None:
        """Raise InputError where there is no noise that could be multiplied."""
        if not self.draws_noise:
            raise InputError(
                f"--noise {noise:g}: {self.name} draws no noise; leave --noise out, or use a style "
                "trained with `nst train style --architecture texture`"
            )


def bundled(command: Command) -> list[str]:
    """Names of the checkpoints for ``command`` that ship with the program, sorted."""
    return sorted(path.stem for path in _FOLDERS[command].glob(f"*{_SUFFIX}"))


def bundled_styles() -> list[str]:
    """Names of the styles that ship with the program, those within packs included, sorted."""
    packs = bundled_packs()
    inside = {style for styles in packs.values() for style in styles}
    return sorted(inside | (set(bundled("stylize")) - packs.keys()))


def bundled_packs() -> dict[str, tuple[str, ...]]:
    """Names of the networks with several styles that ship with the program, and their styles."""
    infos = {
        name: read_info(_FOLDERS["stylize"] / f"{name}{_SUFFIX}") for name in bundled("stylize")
    }
    return {name: info.styles for name, info in infos.items() if info.styles}


def find_style(text: str) -> Style:
    """Find what ``--style`` names.

    That is a bundled style, one that was fitted to a painting (by its name, or by the picture), or
    a checkpoint file, and for one of several styles also which: ``pack:wave`` or a mixture,
    ``pack:wave=0.7,starry_night=0.3``. Of the numbers only the proportions count.
    Raises InputError for an unknown name, CheckpointError for a file that is not a checkpoint, and
    StyleNotFitted for a picture that no style was fitted to yet.
    """
    if text == IDENTITY:
        return Style(IDENTITY, None, None)
    in_packs = {style: name for name, styles in bundled_packs().items() for style in styles}
    if text in in_packs and text not in bundled("stylize"):
        pack = _FOLDERS["stylize"] / f"{in_packs[text]}{_SUFFIX}"
        return replace(_of_pack(text, pack, text), name=text)
    path = _path_of(text)
    fitted = find_fitted(text)
    if fitted is not None:
        return _fitted(fitted)
    if path is not None:
        if kind_of(path) == "picture":
            raise StyleNotFitted(
                f"{text}: a picture to which no style has been fitted yet; `nst stylize` does so "
                f"by itself, and `nst styles fit {quoted(path)}` ahead"
            )
        return _whole(text, path)
    base, separator, mixture = text.rpartition(":")
    path = _path_of(base) if separator else None
    fitted = find_fitted(base) if separator else None
    if fitted is not None:
        return _of_pack(text, fitted.path, mixture)
    if path is None:
        known = ", ".join((*bundled_styles(), IDENTITY))
        if "," in text or "=" in text:
            raise InputError(
                f"--style {text}: neither a style nor a file; for several give --style again for "
                "each, for a mixture name the network too, such as pack:wave=0.7,starry_night=0.3"
            )
        raise InputError(
            f"style {text!r} is neither a bundled style ({known}) nor a file"
            f"{did_you_mean(text, (*bundled_styles(), IDENTITY))}; "
            "see `nst styles list`, or name a checkpoint"
        )
    return _of_pack(text, path, mixture)


def find_checkpoint(text: str) -> Style:
    """Find what ``find_style`` finds, and a network of several styles as a whole.

    Raises what find_style raises.
    """
    path = _path_of(text)
    if text not in (IDENTITY, *bundled_styles()) and path is not None and not find_fitted(text):
        info = read_info(path)
        if len(info.styles) > 1:
            return Style(path.stem, path.absolute(), info)
    return find_style(text)


def mixture_text(mixture: Iterable[tuple[str, float]]) -> str:
    """Write a mixture as ``--style`` takes it: ``wave=0.7,starry_night=0.3``, one style alone."""
    parts = list(mixture)
    if len(parts) == 1:
        return parts[0][0]
    return ",".join(f"{name}={part:.6g}" for name, part in parts)


def _fitted(fitted: FittedStyle) -> Style:
    """Take the style that was fitted, of the bundled ones that its network has too."""
    styles = fitted.info.styles
    return Style(fitted.name, fitted.path.absolute(), fitted.info, ((styles[-1], 1.0),))


def _whole(text: str, path: Path) -> Style:
    info = read_info(path)
    if not info.styles:
        return Style(path.stem, path.absolute(), info)
    if len(info.styles) > 1:
        first, second = info.styles[:2]
        raise InputError(
            f"{text} holds {len(info.styles)} styles ({', '.join(info.styles)}); name one, "
            f"{text}:{first}, or a mixture, {text}:{first}=0.7,{second}=0.3"
        )
    return Style(path.stem, path.absolute(), info, ((info.styles[0], 1.0),))


def _of_pack(text: str, path: Path, mixture: str) -> Style:
    """Find the styles that ``mixture`` names in the network of several."""
    info = read_info(path)
    if not info.styles:
        raise InputError(f"--style {text}: {path.stem} has one style only; leave out :{mixture}")
    parts: dict[str, float] = {}
    for item in mixture.split(","):
        name, _, number = item.strip().partition("=")
        if name not in info.styles:
            raise InputError(
                f"--style {text}: {path.stem} has no style {name!r}"
                f"{did_you_mean(name, info.styles)}; it has {', '.join(info.styles)}"
            )
        parts[name] = parts.get(name, 0.0) + _part(text, number)
    total = sum(parts.values())
    if not total > 0:
        raise InputError(f"--style {text}: at least one style needs a number above 0")
    # In the order of the network, so that one mixture has one name.
    shares = tuple((name, parts[name] / total) for name in info.styles if parts.get(name, 0.0) > 0)
    return Style(f"{path.stem}-{mixture_text(shares)}", path.absolute(), info, shares)


def _part(text: str, number: str) -> float:
    try:
        part = float(number or 1)
    except ValueError:
        part = math.nan
    if not 0 <= part < math.inf:
        raise InputError(
            f"--style {text}: {number!r} is not a number of 0 or more; "
            "try the form pack:wave=0.7,starry_night=0.3"
        )
    return part


def find_for(command: Command, name_or_path: str) -> Style:
    """Find a checkpoint for the command that is to apply it.

    Raises InputError for a checkpoint that another command applies, and what find_style raises.
    """
    if command != "stylize" and not (
        name_or_path in (IDENTITY, *bundled_styles()) or _path_of(name_or_path) is not None
    ):
        known_ones = "".join(f"{name}, " for name in bundled(command))
        raise InputError(
            f"{name_or_path}: no such file{did_you_mean(name_or_path, bundled(command))}; "
            f"`nst {command}` needs {_KINDS[command]}: "
            f"{known_ones}or a checkpoint that {_WRITTEN_BY[command]} writes"
        )
    style = find_style(name_or_path)
    if style.command != command:
        raise InputError(
            f"{name_or_path}: {_KINDS[style.command]}, and `nst {command}` needs "
            f"{_KINDS[command]}; use `nst {style.command}`"
        )
    return style


def _path_of(name: str) -> Path | None:
    """Path of a bundled checkpoint, a file or what is at an address; None where there is none.

    Raises what ``downloaded`` raises.
    """
    for command, folder in _FOLDERS.items():
        if name in bundled(command):
            return folder / f"{name}{_SUFFIX}"
    if is_address(name):
        has_mixture = ":" in name.rpartition("/")[2]
        return None if has_mixture else downloaded(name)
    path = Path(name)
    return path if name and path.exists() else None
