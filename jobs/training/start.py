"""Trained networks that a training extends, or whose weights it starts from.

Nobody has kept the paintings of a checkpoint's styles. So each of its styles is tried on a few
photographs, and the one whose pictures come nearest to the new painting is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from nst_core.checkpoints.checkpoint import build_generator, read_state, restore_generator
from nst_core.checkpoints.info import CheckpointInfo, fingerprint
from nst_core.checkpoints.library import bundled_packs, find_checkpoint
from nst_core.checkpoints.style_spec import STYLE_SEPARATORS
from nst_core.color.pixels import to_tensor
from nst_core.engines.eight_bit import EightBit
from nst_core.errors import InputError, MediaError
from nst_core.networks.conditional_norm import MultiStyleGenerator, row_keys, rows_of
from nst_core.objectives.perceptual import PerceptualObjective
from nst_core.pictures.reading import resize_shorter_side
from pipeline.pictures.inputs.training_photos import read_photo

AUTO, NONE = "auto", "none"
_PHOTOS_TRIED = 2
_PHOTO_SIDE = 192


@dataclass(frozen=True, repr=False)
class TrainedNetwork:
    """A checkpoint, read whole."""

    tensors: dict[str, Tensor]
    info: CheckpointInfo
    path: Path
    fingerprint: str

    @staticmethod
    def read(path: Path) -> TrainedNetwork:
        """Read a checkpoint. Raises CheckpointError."""
        return TrainedNetwork(*read_state(path), path, fingerprint(path))

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of its styles; a network of one is named as its file."""
        return self.info.styles or (self.path.stem,)

    @property
    def strokes(self) -> tuple[float, ...]:
        """Sizes of its strokes."""
        return self.info.strokes or (1.0,)

    @property
    def eight_bit(self) -> dict[str, EightBit]:
        """Calibrations for 8 bits, by style, as far as its styles have them."""
        return {name or self.styles[0]: found for name, found in self.info.eight_bit.items()}


def read_extended(path: Path) -> TrainedNetwork:
    """Read a generator that styles are to be added to. Raises InputError or CheckpointError."""
    base = TrainedNetwork.read(path)
    generator = build_generator(base.info)
    if not row_keys(generator) or generator.draws_noise or generator.scale != 1:
        raise InputError(
            f"--extend {path}: {base.info.architecture} of {base.info.arguments} cannot take in "
            "styles; a style network with instance normalisation is needed"
        )
    if set(base.styles[0]) & set(STYLE_SEPARATORS):
        raise InputError(
            f"--extend {path}: its name becomes its style's name, where : , = mean something "
            "else; rename it"
        )
    restore_generator(path, base.tensors, base.info, {base.styles[0]: 1.0})  # says what is damaged
    return base


@dataclass(frozen=True, repr=False)
class Start:
    """A trained network; where it has rows of styles, they are chosen for those to be learnt."""

    state: dict[str, Tensor]
    """Weights of the network: a row for each style and stroke, or no rows for one style."""
    rows: tuple[str, ...]
    """Which style each row starts from; none where the network is taken as it is."""
    name: str
    """Name of the checkpoint's file."""
    fingerprint: str

    def told(self, asked: str, styles: Sequence[str] = ()) -> str:
        """Say where each of the new ``styles`` starts from; ``asked`` is what ``--from`` was."""
        if not self.rows:
            return f"starts from {asked}"
        strokes = len(self.rows) // len(styles)
        of_each = [self.rows[number * strokes :][:strokes] for number in range(len(styles))]
        nearest = [" and ".join(dict.fromkeys(rows)) for rows in of_each]
        named = nearest[0]
        if len(styles) > 1:
            named = ", ".join(f"{new} from {old}" for new, old in zip(styles, nearest, strict=True))
        if asked == AUTO:
            return f"starts from the nearest bundled style: {named} (--from none: random weights)"
        return f"starts from {asked}: {named}"


def find_start(name: str, info: CheckpointInfo) -> TrainedNetwork | None:
    """Find the checkpoint that ``--from`` names; None for random weights.

    ``info`` is of the network to be trained. Raises InputError for a network of another kind.
    """
    if name == NONE:
        return None
    for candidate in bundled_packs() if name == AUTO else (name,):
        found = find_checkpoint(candidate)
        if found.path is None or found.info is None:
            raise InputError(f"--from {name}: there are no weights in it; name a checkpoint")
        theirs = found.info
        if _trained_alike(theirs) == _trained_alike(info):
            return TrainedNetwork.read(found.path)
        if name != AUTO:
            raise InputError(
                f"--from {name}: {_described(theirs)}, and {_described(info)} is to be "
                "trained; give the same options for the network, or leave out --from"
            )
    return None


def _trained_alike(info: CheckpointInfo) -> CheckpointInfo:
    """What makes weights fit: the network, however it enlarges."""
    arguments = {name: value for name, value in info.arguments.items() if name != "upsampling"}
    return CheckpointInfo(info.architecture, arguments)


def same_rows(base: CheckpointInfo, style_images: Sequence[str]) -> list[int] | None:
    """Rows of ``base`` that have learnt these very images, given by their hashes; None: not all."""
    learnt = base.training.get("style_sha256", [])
    if len(learnt) != base.rows or not set(style_images) <= set(learnt):
        return None
    return [learnt.index(image) for image in style_images]


def nearest_rows(
    found: TrainedNetwork,
    info: CheckpointInfo,
    objective: PerceptualObjective,
    photos: Sequence[str],
) -> list[int]:
    """Rows of ``found`` whose pictures ``objective`` likes best.

    ``objective`` holds the style images in the order of the rows of ``info``.
    """
    candidates = [
        range(_nearest_stroke(found.strokes, stroke), found.info.rows, len(found.strokes))
        for stroke in info.strokes or (1.0,)
    ]
    tried = sorted({row for rows in candidates for row in rows})
    errors = _style_errors(found.tensors, found.info, objective, photos, tried)
    return [
        min(candidates[row % len(candidates)], key=lambda candidate: errors[candidate][row])
        for row in range(info.rows)
    ]


def start_of(found: TrainedNetwork, info: CheckpointInfo, chosen: Sequence[int] = ()) -> Start:
    """Take the weights of ``found``, and for each row of ``info`` the ``chosen`` of its rows.

    None are chosen of a network without rows.
    """
    state = dict(found.tensors)
    for key in row_keys(build_generator(found.info)) if chosen else ():
        values = rows_of(state[key])[list(chosen)]
        state[key] = values if info.styles else values[0]
    rows = tuple(found.styles[row // len(found.strokes)] for row in chosen)
    return Start(state, rows, found.path.name, found.fingerprint)


@torch.no_grad()
def _style_errors(
    state: dict[str, Tensor],
    base: CheckpointInfo,
    objective: PerceptualObjective,
    photos: Sequence[str],
    tried: Sequence[int],
) -> dict[int, list[float]]:
    """Style loss of the rows ``tried`` of the base, against every style image."""
    network = MultiStyleGenerator(build_generator(base), base.rows)
    rows = {key: rows_of(state[key]) for key in network.row_keys}
    network.generator.load_state_dict(state | rows)
    network.eval()
    crops = torch.cat(_crops(photos))
    errors = {}
    for row in tried:
        mixture = torch.eye(base.rows)[row]
        stylized = network(crops, mixture.expand(len(crops), -1))
        features = objective.features(stylized)
        styles = torch.arange(objective.number_of_styles)[:, None].expand(-1, len(crops))
        errors[row] = objective.style_errors(features, styles).mean(dim=1).tolist()
    return errors


def _crops(photos: Sequence[str]) -> list[Tensor]:
    crops = []
    for path in photos:
        try:
            photo = read_photo(path, _PHOTO_SIDE)
        except MediaError:  # the training tells of it
            continue
        small = resize_shorter_side(photo, _PHOTO_SIDE)
        crops.append(to_tensor(small.crop((0, 0, _PHOTO_SIDE, _PHOTO_SIDE))))
        if len(crops) == _PHOTOS_TRIED:
            break
    if not crops:
        crops.append(to_tensor(Image.new("RGB", (_PHOTO_SIDE, _PHOTO_SIDE), "gray")))
    return crops


def _nearest_stroke(strokes: Sequence[float], wanted: float) -> int:
    return min(range(len(strokes)), key=lambda n: abs(strokes[n] / wanted - 1))


def _described(info: CheckpointInfo) -> str:
    return f"{info.architecture} of {', '.join(f'{k} {v}' for k, v in info.arguments.items())}"
