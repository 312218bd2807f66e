"""Writing single pictures that were made here, rather than read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nst_core.errors import MediaError
from nst_core.pictures.encoding import Picture, encode_picture
from pipeline.storage.open import storage_for


def save_picture(path: str, rgb: NDArray[np.uint8], *, quality: int) -> None:
    """Write H x W x 3 in sRGB, whole or not at all, in the format of the path's ending.

    ``path`` may be a URI. Raises MediaError.
    """
    suffix = "." + path.rpartition(".")[2]
    try:
        content = encode_picture(rgb, Picture(rgb), suffix=suffix, quality=quality)
    except MediaError as error:
        raise MediaError(f"{path}: {error}") from error
    storage_for(path).write(path, content)
