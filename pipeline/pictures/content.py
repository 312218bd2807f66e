"""The photographs that a training learns on: found here, read by every worker."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.pictures.sources import find_images
from pipeline.storage.open import storage_for


def find_content(sources: Sequence[str]) -> tuple[str, ...]:
    """Find all pictures of ``--content``: paths and URIs, each once, in sorted order.

    Raises InputError where there is none, EnvironmentProblem for storage that does not answer.
    """
    return tuple(sorted({found.path for found in find_images(sources)}))


def read_content(path: str) -> bytes:
    """Read a photograph, here or behind a URI. Raises MediaError."""
    return storage_for(path).read(path)
