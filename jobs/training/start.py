"""What a training starts from: a trained network, and for each row of a new style the nearest one.

Nobody has kept the paintings of a checkpoint's styles. So each of its styles is tried on a few
photographs, and the one whose pictures come nearest to the new painting is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from nst_core.checkpoints.checkpoint import build_generator, read_state
from nst_core.checkpoints.info import CheckpointInfo, fingerprint
from nst_core.checkpoints.library import bundled_packs, find_checkpoint
from nst_core.color.pixels import to_tensor
from nst_core.errors import InputError, MediaError
from nst_core.networks.conditional_norm import MultiStyleGenerator, norm_names, rows_of
from nst_core.objectives.perceptual import PerceptualObjective
from nst_core.pictures.reading import resize_shorter_side
from nst_core.training.photos import open_photo
from pipeline.pictures.content import read_content

AUTO, NONE = "auto", "none"
_PHOTOS_TRIED = 2
_PHOTO_SIDE = 192


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


def find_start(name: str, info: CheckpointInfo) -> tuple[Path, CheckpointInfo] | None:
    """Find the checkpoint that ``--from`` names; None for random weights.

    ``info`` is of the network to be trained. Raises InputError for a network of another kind.
    """
    if name == NONE:
        return None
    for candidate in bundled_packs() if name == AUTO else (name,):
        found = find_checkpoint(candidate)
        if found.path is None or found.info is None:
            raise InputError(f"--from {name}: there are no weights in it; name a checkpoint")
        if _is_like(found.info, info):
            return found.path, found.info
        if name != AUTO:
            raise InputError(
                f"--from {name}: {_described(found.info)}, and {_described(info)} is to be "
                "trained; give the same options for the network, or leave out --from"
            )
    return None


def start_as_it_is(found: tuple[Path, CheckpointInfo]) -> Start:
    """Take all weights of ``found``, a network without rows to choose from."""
    path, _ = found
    state, _ = read_state(path)
    return Start(state, (), path.name, fingerprint(path))


def same_rows(base: CheckpointInfo, style_images: Sequence[str]) -> list[int] | None:
    """Rows of ``base`` that have learnt these very images, given by their hashes; None: not all."""
    learnt = base.training.get("style_sha256", [])
    if len(learnt) != base.rows or not set(style_images) <= set(learnt):
        return None
    return [learnt.index(image) for image in style_images]


def nearest_rows(
    found: tuple[Path, CheckpointInfo],
    info: CheckpointInfo,
    objective: PerceptualObjective,
    photos: Sequence[str],
) -> list[int]:
    """Rows of ``found`` whose pictures ``objective`` likes best.

    ``objective`` holds the style images in the order of the rows of ``info``.
    """
    path, base = found
    state, _ = read_state(path)
    names = list(base.styles) or [path.stem]
    strokes = base.strokes or (1.0,)
    wanted_strokes = info.strokes or (1.0,)
    candidates = [
        [name * len(strokes) + _nearest_stroke(strokes, stroke) for name in range(len(names))]
        for stroke in wanted_strokes
    ]
    tried = sorted({row for rows in candidates for row in rows})
    errors = _style_errors(state, base, objective, photos, tried)
    chosen = []
    for row in range(info.rows):
        rows = candidates[row % len(wanted_strokes)]
        chosen.append(min(rows, key=lambda candidate: errors[candidate][row]))
    return chosen


def start_of(
    found: tuple[Path, CheckpointInfo], info: CheckpointInfo, chosen: Sequence[int]
) -> Start:
    """Take the weights of ``found``, and for each row of ``info`` the ``chosen`` of its rows."""
    path, base = found
    state, _ = read_state(path)
    names, strokes = list(base.styles) or [path.stem], base.strokes or (1.0,)
    taken = dict(state)
    for norm in norm_names(build_generator(base)):
        for key in (f"{norm}.weight", f"{norm}.bias"):
            values = rows_of(state[key])[list(chosen)]
            taken[key] = values if info.styles else values[0]
    rows_taken = tuple(names[row // len(strokes)] for row in chosen)
    return Start(taken, rows_taken, path.name, fingerprint(path))


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
    rows = {
        key: rows_of(state[key])
        for norm in norm_names(build_generator(base))
        for key in (f"{norm}.weight", f"{norm}.bias")
    }
    network.generator.load_state_dict(state | rows)
    network.eval()
    crops = torch.cat(_crops(photos))
    wanted = objective.number_of_styles
    errors = {}
    for row in tried:
        mixture = torch.eye(base.rows)[row]
        stylized = network(crops, mixture.expand(len(crops), -1))
        features = objective.features(stylized)
        styles = torch.arange(wanted)
        errors[row] = [
            objective.style_errors(features, style.expand(len(crops))).mean().item()
            for style in styles
        ]
    return errors


def _crops(photos: Sequence[str]) -> list[Tensor]:
    crops = []
    for path in photos:
        try:
            photo = open_photo(read_content(path), name=path, shrink_towards=_PHOTO_SIDE)
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


def _is_like(base: CheckpointInfo, info: CheckpointInfo) -> bool:
    return base.architecture == info.architecture and base.arguments == info.arguments


def _described(info: CheckpointInfo) -> str:
    arguments: dict[str, Any] = info.arguments
    return f"{info.architecture} of {', '.join(f'{k} {v}' for k, v in arguments.items())}"
