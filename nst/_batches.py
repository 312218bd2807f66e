"""Pictures of a Ray dataset, stylized batch by batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jobs.specs.flat import Given
from nst._keywords import by_keywords
from nst._stylizer import NOT_ASKED, Stylizer
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError


class StylizeBatches:
    """What `ray.data.Dataset.map_batches` calls: stylizes the pictures in a column of each batch.

    Give it the class, and the style as ``fn_constructor_kwargs``: each actor then loads the network
    once. A style from `load_style` needs no file on the actors' machines.
    """

    @by_keywords("style", without=NOT_ASKED)
    def __init__(
        self, style: str | Path | Style, spec: Given[StyleSpec], *, column: str = "image"
    ) -> None:
        self._column = column
        self._stylizer = Stylizer(style, **spec.fields)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a batch with the pictures stylized: uint8, RGB, H x W x 3, of any sizes."""
        if self._column not in batch:
            raise InputError(f"column {self._column}: the batches have {', '.join(batch)}")
        pictures = batch[self._column]
        if pictures.dtype == object:  # of several sizes
            stylized = np.empty(len(pictures), object)
            for number, picture in enumerate(pictures):
                stylized[number] = self._stylizer(np.asarray(picture))
        else:
            stylized = self._stylizer(pictures)
        return {**batch, self._column: stylized}
