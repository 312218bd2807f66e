"""What a checkpoint says of itself, read without torch: a driver needs no more.

Nothing is ever unpickled. The metadata is one JSON text under the key ``nst``:
``{"format": 1, "architecture": "johnson", "arguments": {"width": 16}, "training": {...}}``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

from nst_core.engines.eight_bit import EightBit
from nst_core.errors import CheckpointError
from nst_core.file_kinds import kind_of
from nst_core.networks.registry import ARCHITECTURES
from nst_core.utf8_paths import utf8_path
from nst_core.wording import quoted

FORMAT = 1
METADATA_KEY = "nst"
_ENLARGES, _DRAWS_NOISE = "super-resolution", "texture"
_DEFAULT_SCALE = 4


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint's metadata says."""

    architecture: str
    """One of ARCHITECTURES."""
    arguments: dict[str, Any]
    """Keyword arguments of the architecture's class."""
    training: dict[str, Any] = field(default_factory=dict)
    """Style, data, steps, weights, seed: whatever the training recorded."""
    styles: tuple[str, ...] = ()
    """Names of the styles of a network that has several, in the order of its parameters' rows."""
    eight_bit: Mapping[str, EightBit] = field(default_factory=dict)
    """How each style is computed in 8 bits; the one of a network without names is called ``""``."""
    strokes: tuple[float, ...] = ()
    """Sizes of strokes that every style has a row for, ascending; none: one row each, stroke 1.

    Row ``style * len(strokes) + stroke`` of the parameters belongs to both by their numbers."""

    def __post_init__(self) -> None:
        if not isinstance(self.arguments, dict) or not isinstance(self.scale, int):
            raise CheckpointError(f"{self.architecture} cannot be built from {self.arguments}")
        if self.architecture not in ARCHITECTURES:
            raise CheckpointError(
                f"architecture {self.architecture!r} is unknown; "
                f"this version knows {', '.join(ARCHITECTURES)}"
            )
        ascending = all(low < high for low, high in pairwise((0.0, *self.strokes, math.inf)))
        if self.strokes and not (ascending and self.styles):
            raise CheckpointError(
                f"strokes {', '.join(map(str, self.strokes))} of {len(self.styles)} named styles: "
                "sizes above 0, each larger than the last, and at least one style are needed"
            )

    @property
    def rows(self) -> int:
        """Rows of every normalisation's parameters: one for each style and stroke."""
        return max(1, len(self.styles)) * max(1, len(self.strokes))

    @property
    def scale(self) -> int:
        """How many times wider and higher a picture comes out."""
        if self.architecture != _ENLARGES:
            return 1
        scale: int = self.arguments.get("scale", _DEFAULT_SCALE)
        return scale

    @property
    def stylizes(self) -> bool:
        """Whether the output depends on a picture; a texture network may make it of noise alone."""
        return self.architecture != _DRAWS_NOISE or bool(self.arguments.get("stylizes", False))

    @property
    def draws_noise(self) -> bool:
        """Whether the pixels depend on noise, beside the picture or without one."""
        return self.architecture == _DRAWS_NOISE


def read_info(path: Path) -> CheckpointInfo:
    """Read the metadata only. Raises CheckpointError for a file that is not ours."""
    return read_checkpoint(path, framework="numpy", with_tensors=False)[0]


def refuse_picture(path: Path) -> None:
    """Raise CheckpointError, with what to do, for a picture where a checkpoint is needed."""
    if kind_of(path) == "picture":
        raise CheckpointError(
            f"{path}: a picture, no checkpoint; `nst styles fit {quoted(path)}` makes a style of "
            f"it in a minute, `nst train style {quoted(path)} --content PHOTOS -o "
            f"{quoted(f'{path.stem}.safetensors')}` a network"
        )


def read_checkpoint(
    path: Path, *, framework: Literal["numpy", "pt"], with_tensors: bool
) -> tuple[CheckpointInfo, dict[str, Any]]:
    """Read a file, with its tensors of ``framework`` by name, or without any.

    Raises CheckpointError for a file that is not ours.
    """
    if not path.is_file():
        what = "no such file"
        if path.exists():
            what = "a folder; name a file in it" if path.is_dir() else "a pipe or a device"
        raise CheckpointError(f"checkpoint {path}: {what}")
    refuse_picture(path)
    try:
        with utf8_path(path) as name, safe_open(name, framework=framework) as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            names = file.keys() if with_tensors else ()
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"checkpoint {path}: not a safetensors file ({error}); "
            "a style is a file written by `nst train`; for other programs' checkpoints there is "
            "`nst styles import`"
        ) from error
    if text is None:
        raise CheckpointError(
            f"checkpoint {path}: a safetensors file, but not a generator written by `nst train`"
        )
    try:
        metadata = json.loads(text)
        if metadata["format"] != FORMAT:
            raise CheckpointError(
                f"checkpoint {path}: format {metadata['format']}, this version reads {FORMAT}; "
                "use the version of nst that wrote it, or a newer one"
            )
        info = CheckpointInfo(
            metadata["architecture"],
            metadata["arguments"],
            metadata.get("training", {}),
            tuple(metadata.get("styles", ())),
            {name: EightBit.of(found) for name, found in metadata.get("eight_bit", {}).items()},
            tuple(map(float, metadata.get("strokes", ()))),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"checkpoint {path}: its metadata is damaged ({error})") from error
    return info, tensors


def fingerprint(path: Path) -> str:
    """SHA-256 of the file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(content: bytes) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
