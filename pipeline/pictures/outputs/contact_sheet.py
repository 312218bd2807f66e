"""A contact sheet: a sample of pictures before and after, for a first look at a whole folder."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from nst_core.errors import NstError
from nst_core.pictures.encoding import decode_picture
from nst_core.pictures.reading import sheet
from pipeline.pictures.judging import OutputFolder
from pipeline.pictures.outputs.saving import save_picture
from pipeline.pictures.settings import PictureSettings
from pipeline.pictures.task import ImageTask
from pipeline.storage.files import below
from pipeline.storage.open import storage_for

_log = logging.getLogger(__name__)

SHEET_NAME = "sheet.jpg"
SAMPLE = 12
_PAIRS_A_ROW = 2
_MOST_STYLES = 4
"""Shown of each picture; where there are more they take turns."""
_CELL_HEIGHT = 200
_LONGEST_SIDE = 800
_WIDEST = 4
"""Times as wide as high: of what is wider its left part is shown."""
_QUALITY = 90


def write_sheet(
    sample: Iterable[tuple[ImageTask, Sequence[str]]],
    folder: OutputFolder,
    settings: PictureSettings,
) -> None:
    """Write ``sheet.jpg`` into the output folder; pictures that cannot be read are left out.

    ``sample`` is of sources and the names of their outputs, which stand beside them. Raises
    MediaError where it cannot be written.
    """
    shown: list[list[Image.Image]] = []
    for place, (source, names) in enumerate(sample):
        turn = place * _MOST_STYLES % len(names) if len(names) > _MOST_STYLES else 0
        outputs = [*names[turn:], *names[:turn]][:_MOST_STYLES]
        paths = [below(folder.path, name) for name in outputs]
        try:
            contents = [source.read(), *(storage_for(path).read(path) for path in paths)]
            pairs = zip([source.source, *paths], contents, strict=True)
            shown.append([_small(path, content, settings.max_pixels) for path, content in pairs])
        except NstError as error:
            _log.debug("not on the sheet: %s", error)
    if not shown:
        _log.warning("--sheet: no picture to show")
        return
    a_row = _PAIRS_A_ROW if all(len(each) == 2 for each in shown) else 1
    rows = [
        [picture for each in shown[start : start + a_row] for picture in each]
        for start in range(0, len(shown), a_row)
    ]
    rgb = np.asarray(sheet(rows, cell_height=_CELL_HEIGHT))
    save_picture(below(folder.path, SHEET_NAME), rgb, quality=_QUALITY)


def _small(path: str, content: bytes, max_pixels: int) -> Image.Image:
    picture = decode_picture(content, name=path, max_side=_LONGEST_SIDE, max_pixels=max_pixels)
    image = Image.fromarray(picture.rgb)
    return image.crop((0, 0, min(image.width, _WIDEST * image.height), image.height))
