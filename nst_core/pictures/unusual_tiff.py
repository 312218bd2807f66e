"""TIFFs of layouts that Pillow does not know: floating-point colour, deep grey that is inverted."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from nst_core.pictures.color_profiles import eight_bits

_INTERLEAVED = 1
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_ICC_PROFILE = 34675
_PREMULTIPLIED = 1


def is_tiff(content: bytes) -> bool:
    """Say whether the bytes begin as a TIFF does."""
    return content[:4] in (b"II*\0", b"MM\0*")


class UnusualTiff:
    """The first picture of a TIFF that only OpenCV can decode; its header is read at once.

    Raises ValueError for a layout that OpenCV decodes to something else than it shows.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        file = io.BytesIO(content)
        self._tags = ImageFileDirectory_v2(file.read(8))
        file.seek(self._tags.next)
        self._tags.load(file)
        self.size: tuple[int, int] = (self._tag(256), self._tag(257))
        if 0 in self.size:
            raise ValueError("the TIFF's header is damaged")
        self._samples = self._tag(277, 1)
        bits, kind = self._tag(258, 1), self._tag(339, 1)
        photometric, planes = self._tag(262), self._tag(284, _INTERLEAVED)
        is_grey = photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) and self._samples == 1
        is_colour = photometric == _RGB and self._samples in (3, 4) and planes == _INTERLEAVED
        if bits not in (16, 32, 64) or not (is_grey or is_colour):
            raise ValueError(
                f"a TIFF of {self._samples} samples of {bits} bits, photometric "
                f"{photometric}, sample format {kind}, planes {planes}; save it as RGB"
            )

    def load(self) -> Image.Image:
        """Decode to L, RGB or RGBA with the ICC profile and the orientation of the tags."""
        # It would print what becomes an error here.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        encoded = np.frombuffer(self._content, dtype=np.uint8)
        samples = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
        if samples is None or samples.shape[1::-1] != self.size:
            raise ValueError("its TIFF layout is not known or its data is damaged")
        if samples.ndim == 3:
            order = [2, 1, 0, 3][: samples.shape[2]]  # OpenCV's is BGR
            samples = samples[..., order]
            if len(order) == 4 and self._tag(338, 2) == _PREMULTIPLIED:
                samples = _straight(samples)
        white_is_zero = self._tag(262) == _WHITE_IS_ZERO
        image = Image.fromarray(eight_bits(samples, white_is_zero=white_is_zero))
        profile = self._tags.get(_ICC_PROFILE)
        if isinstance(profile, bytes):
            image.info["icc_profile"] = profile
        image.getexif()[Base.Orientation] = self._tag(Base.Orientation, 1)
        return image

    def _tag(self, tag: int, default: int = 0) -> int:
        value = self._tags.get(tag, default)
        return int(value[0] if isinstance(value, tuple) else value)


def _straight(samples: NDArray[Any]) -> NDArray[Any]:
    """Undo the multiplication of colour by alpha."""
    white = 1 if samples.dtype.kind == "f" else np.iinfo(samples.dtype).max
    alpha = samples[..., 3:].astype(np.float64) / white
    colour = samples[..., :3] / np.where(alpha > 0, alpha, 1)
    return np.concatenate([colour.clip(0, white).astype(samples.dtype), samples[..., 3:]], -1)
