"""The photographs that a training learns on: found here, read by every worker."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from nst_core.training.photos import open_photo
from pipeline.pictures.inputs.sources import find_images
from pipeline.storage.open import storage_for


def find_content(sources: Sequence[str]) -> tuple[str, ...]:
    """Find all pictures of ``--content``: paths and URIs, each once, in sorted order.

    Raises InputError where there is none, EnvironmentProblem for storage that does not answer.
    """
    return tuple(sorted({found.path for found in find_images(sources)}))


def read_photo(path: str, shrink_towards: int | None) -> Image.Image:
    """Read a photograph of a training, here or behind a URI, as ``open_photo`` does."""
    return open_photo(path, shrink_towards, storage_for(path).read)
