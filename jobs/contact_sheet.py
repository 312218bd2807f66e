"""A contact sheet: a sample of pictures before and after, for a first look at a whole folder."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np
from PIL import Image

from jobs.specs import StylizeImages
from nst_core.errors import NstError
from nst_core.pictures import sheet
from pipeline.image_plan import OutputFolder
from pipeline.picture_codec import decode_picture
from pipeline.picture_saving import save_picture
from pipeline.storage import below, storage_for

_log = logging.getLogger(__name__)

SHEET_NAME = "sheet.jpg"
SAMPLE = 12
_PAIRS_A_ROW = 2
_CELL_HEIGHT = 200
_LONGEST_SIDE = 800
_WIDEST = 4
"""Times as wide as high: of what is wider its left part is shown."""
_QUALITY = 90


def write_sheet(
    sample: Iterable[tuple[str, str]], folder: OutputFolder, job: StylizeImages
) -> None:
    """Write ``sheet.jpg`` into the output folder; pictures that cannot be read are left out.

    ``sample`` is of sources and the names of their outputs. Raises MediaError where it cannot be
    written.
    """
    pairs: list[list[Image.Image]] = []
    for source, name in sample:
        try:
            pairs.append([_small(path, job) for path in (source, below(folder.path, name))])
        except NstError as error:
            _log.debug("not on the sheet: %s", error)
    if not pairs:
        _log.warning("--sheet: no picture to show")
        return
    rows = [
        [picture for pair in pairs[start : start + _PAIRS_A_ROW] for picture in pair]
        for start in range(0, len(pairs), _PAIRS_A_ROW)
    ]
    rgb = np.asarray(sheet(rows, cell_height=_CELL_HEIGHT))
    save_picture(below(folder.path, SHEET_NAME), rgb, quality=_QUALITY)


def _small(path: str, job: StylizeImages) -> Image.Image:
    content = storage_for(path).read(path)
    picture = decode_picture(content, name=path, max_side=_LONGEST_SIDE, max_pixels=job.max_pixels)
    image = Image.fromarray(picture.rgb)
    return image.crop((0, 0, min(image.width, _WIDEST * image.height), image.height))
