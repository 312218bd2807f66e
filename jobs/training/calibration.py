"""Calibrating styles for 8 bits: photographs from wherever they are, results into a checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image
from torch import Tensor

from nst_core.checkpoints.checkpoint import read_state, restore_generator, save_state
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.color.pixels import to_tensor
from nst_core.engines.calibration import (
    LONGEST_SIDE,
    PHOTOS_WANTED,
    calibrate,
    photos_computed,
)
from nst_core.engines.eight_bit import EightBit
from nst_core.errors import InputError, MediaError
from nst_core.strokes import half_octaves
from pipeline.pictures.inputs.training_photos import find_content, read_photo
from pipeline.work.progress import OnProgress, Progress, ignore_progress

_log = logging.getLogger(__name__)


def calibrate_checkpoint(
    path: Path,
    photos: Sequence[Tensor],
    output: Path,
    on_progress: OnProgress = ignore_progress,
) -> CheckpointInfo:
    """Calibrate all styles of a checkpoint, and write it as ``output``. Raises InputError."""
    state, info = read_state(path)
    found = eight_bit_of(path, state, info, info.styles or ("",), photos, on_progress)
    calibrated = replace(info, eight_bit=found)
    save_state(output, state, calibrated)
    return calibrated


def eight_bit_of(
    path: Path,
    state: Mapping[str, Tensor],
    info: CheckpointInfo,
    styles: Iterable[str],
    photos: Sequence[Tensor],
    on_progress: OnProgress = ignore_progress,
) -> dict[str, EightBit]:
    """Calibrate some of a checkpoint's styles; ``""`` is that of a network without names.

    What is found for a style of several strokes suits all of them.
    ``path`` is for errors only. Raises InputError for a network that is not computed in 8 bits.
    """
    found: dict[str, EightBit] = {}
    styles = tuple(styles)
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        # A photograph may be given to two strokes.
        total = max(done, photos_computed(len(photos)) * len(styles))
        on_progress(Progress(done, total, "photographs", "calibrated for 8 bits"))

    for style in styles:
        mixture = {style: 1.0} if style else None
        generators = [
            restore_generator(path, state, info, mixture, stroke=stroke)
            for stroke in half_octaves(info.strokes)
        ]
        if generators[0].draws_noise:
            raise InputError(f"{path}: a network that draws noise is not computed in 8 bits")
        found[style] = calibrate(generators, photos, tell)
    return found


def find_photos(content: Sequence[str]) -> list[Tensor]:
    """Read photographs of ``--content``, as read_photos does. Raises what find_content raises."""
    return read_photos(find_content(content))


def read_photos(paths: Sequence[str], *, told: Container[str] = ()) -> list[Tensor]:
    """Read as many photographs as calibrating takes, evenly from ``paths``: 1 x 3 x H x W.

    Those that cannot be read are left out, with a warning unless they are ``told`` elsewhere.
    """
    wanted = min(PHOTOS_WANTED, len(paths))
    photos = []
    for number in range(wanted):
        path = paths[number * len(paths) // wanted]
        try:
            photo = read_photo(path, LONGEST_SIDE // 2)
        except MediaError as error:
            if path not in told:
                _log.warning("not calibrated on: %s", error)
            continue
        photo.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BICUBIC)
        photos.append(to_tensor(photo))
    return photos
