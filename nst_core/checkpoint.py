"""A generator as a file: safetensors whose metadata says how to build it and where it came from.

Nothing is ever unpickled. The metadata is one JSON text under the key ``nst``:
``{"format": 1, "architecture": "johnson", "arguments": {"width": 16}, "training": {...}}``.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from nst_core.errors import CheckpointError
from nst_core.fast_style_transfer_net import FastStyleTransferNet
from nst_core.johnson_net import JohnsonNet
from nst_core.pytorch_examples_net import PytorchExamplesNet
from nst_core.super_resolution_net import SuperResolutionNet
from nst_core.texture_net import TextureNet
from nst_core.transformer_net import TransformerNet

FORMAT = 1
_METADATA_KEY = "nst"
ARCHITECTURES: dict[str, type[nn.Module]] = {
    "johnson": TransformerNet,
    "johnson-paper": JohnsonNet,
    "texture": TextureNet,
    "super-resolution": SuperResolutionNet,
    "pytorch-examples": PytorchExamplesNet,
    "fast-style-transfer": FastStyleTransferNet,
}


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint's metadata says."""

    architecture: str
    """A key of ARCHITECTURES."""
    arguments: dict[str, Any]
    """Keyword arguments of the architecture's class."""
    training: dict[str, Any] = field(default_factory=dict)
    """Style, data, steps, weights, seed: whatever the training recorded."""

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise CheckpointError(
                f"architecture {self.architecture!r} is unknown; "
                f"this version knows {', '.join(ARCHITECTURES)}"
            )


def build_generator(info: CheckpointInfo) -> nn.Module:
    """Build the network that ``info`` describes, with fresh weights."""
    try:
        return ARCHITECTURES[info.architecture](**info.arguments)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{info.architecture} cannot be built from {info.arguments}: {error}"
        ) from error


def save_generator(path: Path, generator: nn.Module, info: CheckpointInfo) -> None:
    """Write the file whole: under a temporary name, then renamed."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in generator.state_dict().items()}
    metadata = {"format": FORMAT, **vars(info)}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # save_file would make a file that only its owner can read.
        temporary.write_bytes(save(tensors, metadata={_METADATA_KEY: json.dumps(metadata)}))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_info(path: Path) -> CheckpointInfo:
    """Read the metadata only. Raises CheckpointError for a file that is not ours."""
    return _read(path, with_tensors=False)[0]


def load_generator(path: Path) -> tuple[nn.Module, CheckpointInfo]:
    """Build the generator and load its weights, on the CPU, in evaluation mode."""
    info, tensors = _read(path, with_tensors=True)
    generator = build_generator(info)
    try:
        generator.load_state_dict(tensors)
    except RuntimeError as error:
        summary = str(error).splitlines()[0]
        raise CheckpointError(
            f"{path}: its weights do not fit its own metadata ({summary}); the file is damaged"
        ) from error
    return generator.eval(), info


def fingerprint(path: Path) -> str:
    """SHA-256 of the file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(path: Path, *, with_tensors: bool) -> tuple[CheckpointInfo, dict[str, Tensor]]:
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_METADATA_KEY)
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
            metadata["architecture"], metadata["arguments"], metadata.get("training", {})
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"checkpoint {path}: its metadata is damaged ({error})") from error
    return info, tensors
