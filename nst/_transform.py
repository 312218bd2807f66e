"""Styles as augmentation: a transform of torchvision.transforms.v2."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from jobs.specs.flat import Given
from nst._keywords import by_keywords
from nst._stylizer import NOT_ASKED, Stylizer
from nst_core.checkpoints.library import Style, bundled_styles
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError


class RandomStyle(v2.Transform):  # type: ignore[misc]
    """Stylizes images at random: each with probability ``p``, in one of the ``styles``.

    Between ``strength[0]`` and ``strength[1]`` of it, by chance, is blended with the image. Images
    are those of PIL, and tensors of [... x] 3 x H x W, uint8 or floats from 0 to 1; boxes, masks
    and labels pass. Chance is torch's, which a DataLoader seeds in each of its workers.
    """

    p: float
    strength: tuple[float, float]

    @by_keywords("styles", without=f"{NOT_ASKED} strength strengths")
    def __init__(
        self,
        styles: str | Path | Style | Iterable[str | Path | Style] = (),
        *,
        spec: Given[StyleSpec],
        p: float = 0.5,
        strength: tuple[float, float] = (0.5, 1.0),
    ) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise InputError(f"p {p:g}: a probability from 0 to 1 is needed")
        if not 0 <= strength[0] <= strength[1] <= 1:
            raise InputError(f"strength {strength}: two numbers from 0 to 1, ascending, are needed")
        self.p = p
        self.strength = strength
        names = [styles] if isinstance(styles, str | Path | Style) else styles
        self._stylizers = [Stylizer(style, **spec.fields) for style in names or bundled_styles()]

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Choose for one sample whether, in which style and how strongly."""
        chance, style, between = torch.rand(3).tolist()
        if chance >= self.p:
            return {"stylizer": None}
        low, high = self.strength
        return {
            "stylizer": self._stylizers[int(style * len(self._stylizers))],
            "strength": low + between * (high - low),
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Stylize an image or a video; whatever else there is in a sample is returned."""
        stylizer = params["stylizer"]
        is_other = isinstance(inpt, tv_tensors.TVTensor) and not isinstance(
            inpt, tv_tensors.Image | tv_tensors.Video
        )
        if stylizer is None or is_other:
            return inpt
        if isinstance(inpt, Image.Image):
            rgb = np.asarray(inpt.convert("RGB"))
            return Image.fromarray(_blended(stylizer, rgb, params["strength"]))
        if inpt.ndim < 3 or inpt.shape[-3] != 3:
            raise InputError(f"an image of {tuple(inpt.shape)}: [... x] 3 x H x W is needed")
        images = v2.functional.to_dtype(inpt, torch.uint8, scale=True)
        pixels = images.reshape(-1, *inpt.shape[-3:]).permute(0, 2, 3, 1).cpu().numpy()
        blended = torch.from_numpy(_blended(stylizer, pixels, params["strength"]))
        result = blended.permute(0, 3, 1, 2).reshape(inpt.shape).to(inpt.device)
        return tv_tensors.wrap(v2.functional.to_dtype(result, inpt.dtype, scale=True), like=inpt)


def _blended(stylizer: Stylizer, pixels: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
    change = stylizer(pixels).astype(np.float32) - pixels
    return np.rint(pixels + strength * change).astype(np.uint8)
