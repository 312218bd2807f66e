"""A style applied to pictures in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.specs.flat import Given
from nst._keywords import by_keywords
from nst._styles import load_style
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec, check_strengths

if TYPE_CHECKING:
    from nst_core.kept_stylizers import KeptStylizers

_Picture = TypeVar("_Picture", NDArray[np.uint8], Image.Image)

NOT_ASKED = "style command fit_steps loss_network_weights"


class Stylizer:
    """Applies a style to pictures, with the pixels that `nst stylize images` gives them.

    The network is loaded with the first picture, and again where a copy has come to another
    process. `torch.set_num_threads` says how many threads it takes.
    """

    style: Style

    @by_keywords("style", without=NOT_ASKED)
    def __init__(self, style: str | Path | Style, spec: Given[StyleSpec]) -> None:
        self.style = style if isinstance(style, Style) else load_style(style)
        self._spec = spec.build(style=self.style.name)
        check_strengths(self._spec, [self.style])
        if self._spec.noise is not None:
            self.style.check_noise(self._spec.noise)
        self.style.with_stroke(self._spec.stroke or 1.0)  # says where it has one size only
        self._kept: KeptStylizers[float] | None = None
        self._process = 0

    def __call__(self, picture: _Picture) -> _Picture:
        """Return a picture stylized: of PIL's, or an array of uint8, RGB, [N x] H x W x 3."""
        if isinstance(picture, Image.Image):
            return Image.fromarray(self(np.asarray(picture.convert("RGB"))))
        height, width = picture.shape[-3:-1]
        stroke = self._spec.strokes_of(self.style).of(height, width)
        return self._stylizers().at(stroke).stylize(picture)

    @property
    def engine(self) -> str:
        """What computes, such as ``openvino cpu int8``; ``none`` before the first picture."""
        return self._kept.engine if self._kept else "none"

    def _stylizers(self) -> KeptStylizers[float]:
        if self._kept is None or self._process != os.getpid():  # a fork's threads are lost
            import torch

            from jobs.applying.workers import make_stylizer
            from nst_core.kept_stylizers import KeptStylizers

            self._process = os.getpid()
            self._kept = KeptStylizers(
                lambda stroke: make_stylizer(
                    self.style, self._spec, stroke, threads=torch.get_num_threads()
                )
            )
        return self._kept

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": None}
