"""The training photographs: an endless, shuffled, exactly repeatable sequence of crops."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from nst_core.errors import InputError, MediaError
from nst_core.pictures import PICTURE_SUFFIXES, read_rgb, resize_shorter_side, to_tensor

_log = logging.getLogger(__name__)

_MAX_ZOOM = 1.5
"""A crop is taken from a photo whose shorter side is 1 to 1.5 times the crop's."""


def find_photos(folder: Path) -> list[Path]:
    """Every picture below ``folder``, by name, in sorted order. Raises InputError."""
    if not folder.is_dir():
        raise InputError(f"content folder {folder}: no such folder")
    photos = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)
    if not photos:
        raise InputError(
            f"content folder {folder}: no pictures in it ({', '.join(sorted(PICTURE_SUFFIXES))})"
        )
    return photos


class PhotoCrops(Dataset[Tensor]):
    """Sample ``index`` is a 3 x size x size crop in [0, 1] that depends on seed and index alone.

    Every len(paths) indices visit each photo once, in a new order; size, place and mirroring of
    the crop are random. Resuming is thus going on at an index, with any number of workers.
    ``native`` crops at the photo's own resolution and enlarges only photos that are too small:
    for super-resolution, which learns from real detail.
    A photo that cannot be read is logged, and the next one of its epoch takes its place.
    """

    def __init__(
        self, paths: Sequence[Path], *, size: int, seed: int, native: bool = False
    ) -> None:
        self.paths = list(paths)
        self.size = size
        self.seed = seed
        self.native = native
        self._order: tuple[int, np.ndarray] | None = None

    def __getitem__(self, index: int) -> Tensor:
        """Crop number ``index``, any number of 0 or more."""
        epoch, place = divmod(index, len(self.paths))
        order = self._order_of(epoch)
        random = np.random.default_rng((self.seed, 1, index))
        for offset in range(len(order)):
            path = self.paths[order[(place + offset) % len(order)]]
            try:
                photo = read_rgb(path, shrink_towards=self._shrink_towards)
            except MediaError as error:
                _log.warning("skipped: %s", error)
                continue
            return self._crop(photo, random)
        raise InputError("none of the content photos can be read")

    @property
    def _shrink_towards(self) -> int | None:
        return None if self.native else int(self.size * _MAX_ZOOM)

    def _order_of(self, epoch: int) -> np.ndarray:
        if self._order is None or self._order[0] != epoch:
            random = np.random.default_rng((self.seed, 0, epoch))
            self._order = (epoch, random.permutation(len(self.paths)))
        return self._order[1]

    def _crop(self, photo: Image.Image, random: np.random.Generator) -> Tensor:
        shorter = round(self.size * random.uniform(1.0, _MAX_ZOOM))
        if self.native:
            shorter = max(self.size, min(photo.size))
        photo = resize_shorter_side(photo, shorter)
        left = int(random.integers(photo.width - self.size + 1))
        top = int(random.integers(photo.height - self.size + 1))
        crop = photo.crop((left, top, left + self.size, top + self.size))
        if random.random() < 0.5:
            crop = ImageOps.mirror(crop)
        return to_tensor(crop)[0]


class BlankPictures(Dataset[Tensor]):
    """Pictures whose size alone counts: what a texture generator is given."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __getitem__(self, index: int) -> Tensor:
        """3 x size x size of zeros."""
        return torch.zeros(3, self.size, self.size)


class StepSampler(Sampler[list[int]]):
    """The sample indices of each step for one of ``world_size`` workers, from ``first_step`` on.

    A step uses world_size x batch_size consecutive samples; worker ``rank`` takes its share.
    """

    def __init__(
        self,
        *,
        first_step: int,
        last_step: int,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.steps = range(first_step, last_step)
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.steps:
            first = (step * self.world_size + self.rank) * self.batch_size
            yield list(range(first, first + self.batch_size))


def picture_loader(
    pictures: Dataset[Tensor], sampler: StepSampler, *, processes: int = 0
) -> torch.utils.data.DataLoader[Tensor]:
    """Batches of B x 3 x size x size; ``processes`` decode beside the training (0: within it)."""
    return torch.utils.data.DataLoader(
        pictures,
        batch_sampler=sampler,
        num_workers=processes,
        persistent_workers=processes > 0,
        # A worker of Ray has threads: a forked copy of it may hang.
        multiprocessing_context="spawn" if processes else None,
        pin_memory=torch.cuda.is_available(),
    )
