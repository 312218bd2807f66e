"""A generator as a file: safetensors whose metadata says how to build it and where it came from.

`nst_core/checkpoints/info.py` says what the metadata is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from nst_core.checkpoints.info import FORMAT, METADATA_KEY, CheckpointInfo, read_checkpoint
from nst_core.errors import CheckpointError
from nst_core.files import write_whole
from nst_core.networks.conditional_norm import mixed
from nst_core.networks.generator import Generator
from nst_core.networks.registry import generator_class
from nst_core.wording import first_line


def build_generator(info: CheckpointInfo) -> Generator:
    """Build the network that ``info`` describes, with fresh weights."""
    try:
        return generator_class(info.architecture)(**info.arguments)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{info.architecture} cannot be built from {info.arguments}: {error}"
        ) from error


def save_generator(path: Path, generator: Generator, info: CheckpointInfo) -> None:
    """Write the file whole: under a temporary name, then renamed."""
    save_state(path, generator.state_dict(), info)


def save_state(path: Path, state: Mapping[str, Tensor], info: CheckpointInfo) -> None:
    """Write a generator's state, as save_generator does."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    eight_bit = {name: found.fields() for name, found in info.eight_bit.items()}
    metadata = {"format": FORMAT, **vars(info), "eight_bit": eight_bit}
    if not info.strokes:
        del metadata["strokes"]  # as before there were any
    path.parent.mkdir(parents=True, exist_ok=True)
    # save_file would make a file that only its owner can read.
    write_whole(path, save(tensors, metadata={METADATA_KEY: json.dumps(metadata)}))


def read_state(path: Path) -> tuple[dict[str, Tensor], CheckpointInfo]:
    """Read the tensors as they are in the file. Raises CheckpointError."""
    info, tensors = read_checkpoint(path, framework="pt", with_tensors=True)
    return tensors, info


def load_generator(
    path: Path, mixture: Mapping[str, float] | None = None, *, stroke: float = 1.0
) -> tuple[Generator, CheckpointInfo]:
    """Build the generator and load its weights, on the CPU, in evaluation mode.

    A network of several styles comes out as the plain generator of one ``mixture`` of them:
    names to numbers of 0 or more, of which only the proportions count. One of several strokes
    mixes the two around ``stroke``, and stays at its outermost beyond them.
    Raises CheckpointError for a file that is not ours, and for a mixture of styles it has not.
    """
    tensors, info = read_state(path)
    return restore_generator(path, tensors, info, mixture, stroke=stroke), info


def restore_generator(
    path: Path,
    tensors: Mapping[str, Tensor],
    info: CheckpointInfo,
    mixture: Mapping[str, float] | None = None,
    *,
    stroke: float = 1.0,
) -> Generator:
    """Build the generator of a checkpoint that has been read: see load_generator.

    ``path`` is for the errors only.
    """
    generator = build_generator(info)
    if info.styles:
        chosen = dict(mixture or {})
        unknown = sorted(chosen.keys() - set(info.styles))
        if unknown or not sum(chosen.values()) > 0:
            named = ", ".join(unknown) or "none"
            raise CheckpointError(
                f"checkpoint {path} holds the styles {', '.join(info.styles)}; {named} asked for"
            )
        try:
            tensors = mixed(
                generator, tensors, info.styles, chosen, strokes=info.strokes, stroke=stroke
            )
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}; the file is damaged") from error
    try:
        generator.load_state_dict(tensors)
    except RuntimeError as error:
        summary = first_line(error)
        raise CheckpointError(
            f"{path}: its weights do not fit its own metadata ({summary}); the file is damaged"
        ) from error
    return generator.eval()


def read_tensors(content: bytes) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint file's ``content``. Raises CheckpointError."""
    try:
        tensors: dict[str, Tensor] = load(content)
    except SafetensorError as error:
        raise CheckpointError(f"checkpoint: not a safetensors file ({error})") from error
    return tensors
