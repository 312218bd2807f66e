"""The training photographs: an endless, shuffled, exactly repeatable sequence of crops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from nst_core.color.pixels import to_tensor
from nst_core.errors import InputError, MediaError
from nst_core.libraries import configure
from nst_core.pictures.decoding import decode
from nst_core.pictures.reading import read_file, resize_shorter_side

_MAX_ZOOM = 2.0
"""A crop is taken from a photo whose shorter side is 1 to 2 times the crop's."""
_UNSCALED = 0.3
"""Part of the crops that are taken from photos as they are. JPEGs have blocks of 8 x 8 pixels,
which generators turn into a grid unless they have met them; scaling hides them."""
_MOST_SLENDER = 32
"""Longer side by shorter side. A line of pixels, as high as a crop, would fill the memory."""


@dataclass(frozen=True, repr=False)
class Sample:
    """One training picture."""

    number: int
    picture: Tensor
    """3 x size x size in [0, 1]."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Photos that were tried before it, and what is wrong with each."""


@dataclass(frozen=True, repr=False)
class Batch:
    """Some samples of one step."""

    samples: tuple[int, ...]
    """Their numbers."""
    pictures: Tensor
    """B x 3 x size x size in [0, 1]."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Photos that were tried in vain, and what is wrong with each."""

    @staticmethod
    def of(samples: Sequence[Sample]) -> Batch:
        """Put samples together."""
        unreadable: dict[str, str] = {}
        for sample in samples:
            unreadable |= sample.unreadable
        pictures = torch.stack([sample.picture for sample in samples])
        return Batch(tuple(sample.number for sample in samples), pictures, unreadable)

    def pin_memory(self) -> Batch:
        """Return the batch where a GPU fetches it from while it computes."""
        return replace(self, pictures=self.pictures.pin_memory())


def open_photo(
    path: str, shrink_towards: int | None, read: Callable[[str], bytes] = read_file
) -> Image.Image:
    """Read a photograph as RGB; ``shrink_towards`` is as of ``decode``.

    Raises MediaError for what is no picture, and for a picture that is a mere line.
    """
    photo = decode(read(path), name=path, shrink_towards=shrink_towards).image
    if max(photo.size) > _MOST_SLENDER * min(photo.size):
        raise MediaError(
            f"{path}: {photo.width}x{photo.height} pixels, more than {_MOST_SLENDER} times as "
            "long as wide; crop it"
        )
    return photo.convert("RGB")


class PhotoCrops(Dataset[Sample]):
    """Sample ``index`` has a crop that depends on photos, seed and index alone.

    Every len(paths) indices visit each photo once, in a new order; size, place and mirroring of
    the crop are random. Resuming is thus going on at an index, with any number of workers.
    ``native`` crops at the photo's own resolution and enlarges only photos that are too small:
    for super-resolution, which learns from real detail.
    A photo that cannot be read is told of, and the next one of its epoch takes its place.
    ``open_photo`` takes a path and a size to shrink towards; it may raise MediaError.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        size: int,
        seed: int,
        native: bool = False,
        open_photo: Callable[[str, int | None], Image.Image] = open_photo,
    ) -> None:
        self.paths = paths
        self.open_photo = open_photo
        self.size = size
        self.seed = seed
        self.native = native
        self._order: tuple[int, np.ndarray] | None = None

    def __getitem__(self, index: int) -> Sample:
        """Sample number ``index``, any number of 0 or more.

        Raises InputError where none of the photos can be read.
        """
        epoch, place = divmod(index, len(self.paths))
        order = self._order_of(epoch)
        random = np.random.default_rng((self.seed, 1, index))
        shrink_towards = None if self.native else int(self.size * _MAX_ZOOM)
        unreadable: dict[str, str] = {}
        for offset in range(len(order)):
            path = self.paths[order[(place + offset) % len(order)]]
            try:
                photo = self.open_photo(path, shrink_towards)
            except MediaError as error:
                unreadable[path] = str(error)
                continue
            return Sample(index, self._crop(photo, random), unreadable)
        raise InputError(
            f"none of the {len(self.paths)} content photos can be read; "
            f"the last: {unreadable[path]}"
        )

    def _order_of(self, epoch: int) -> np.ndarray:
        if self._order is None or self._order[0] != epoch:
            random = np.random.default_rng((self.seed, 0, epoch))
            self._order = (epoch, random.permutation(len(self.paths)))
        return self._order[1]

    def _crop(self, photo: Image.Image, random: np.random.Generator) -> Tensor:
        shorter = round(self.size * random.uniform(1.0, _MAX_ZOOM))
        if self.native or random.random() < _UNSCALED:
            shorter = max(self.size, min(photo.size))
        if shorter != min(photo.size):
            photo = resize_shorter_side(photo, shorter)
        left = int(random.integers(photo.width - self.size + 1))
        top = int(random.integers(photo.height - self.size + 1))
        crop = photo.crop((left, top, left + self.size, top + self.size))
        if random.random() < 0.5:
            crop = ImageOps.mirror(crop)
        return to_tensor(crop)[0]


class BlankPictures(Dataset[Sample]):
    """Pictures whose size alone counts: what a texture generator is given."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __getitem__(self, index: int) -> Sample:
        """3 x size x size of zeros."""
        return Sample(index, torch.zeros(3, self.size, self.size))


class StepSampler(Sampler[list[int]]):
    """The sample numbers of each batch for one of ``world_size`` workers, from ``first_step`` on.

    A step is over ``samples_per_step`` consecutive samples, whoever computes them: the workers
    take shares of them that differ by one at most, in ``batches_per_step`` batches of
    ``batch_size`` or fewer.
    """

    def __init__(
        self,
        *,
        first_step: int,
        last_step: int,
        samples_per_step: int,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if world_size > samples_per_step:
            raise ValueError(f"{world_size} workers cannot share {samples_per_step} samples")
        self.steps = range(first_step, last_step)
        self.samples_per_step = samples_per_step
        self.batch_size = batch_size
        self.share = range(
            samples_per_step * rank // world_size, samples_per_step * (rank + 1) // world_size
        )

    @property
    def batches_per_step(self) -> int:
        """Return how many batches this worker computes for one step."""
        return math.ceil(len(self.share) / self.batch_size)

    def __len__(self) -> int:
        return len(self.steps) * self.batches_per_step

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.steps:
            numbers = [step * self.samples_per_step + place for place in self.share]
            for start in range(0, len(numbers), self.batch_size):
                yield numbers[start : start + self.batch_size]


def batches_of_steps(
    pictures: Dataset[Sample], sampler: StepSampler, *, processes: int = 0
) -> Iterator[list[Batch]]:
    """Yield the batches of each step; ``processes`` decode beside the training (0: within it).

    Raises InputError where none of the photos can be read.
    """
    loader = torch.utils.data.DataLoader(
        pictures,
        batch_sampler=sampler,
        collate_fn=Batch.of,
        num_workers=processes,
        # A worker of Ray has threads: a forked copy of it may hang.
        multiprocessing_context="spawn" if processes else None,
        worker_init_fn=configure,
        pin_memory=torch.cuda.is_available(),
    )
    batches = _with_errors_of_one_line(iter(loader)) if processes else iter(loader)
    for _ in sampler.steps:
        yield [next(batches) for _ in range(sampler.batches_per_step)]


def _with_errors_of_one_line(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Take off the traceback that a loader process puts into the text of its error."""
    try:
        yield from batches
    except InputError as error:
        raise InputError(str(error).rstrip().rpartition("InputError: ")[2]) from error
