"""The friendly object: pictures in, stylized pictures out."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nst_core.checkpoint import load_generator
from nst_core.color import (
    Yuv420,
    YuvEncoding,
    keep_chroma,
    keep_rgb_colors,
    rgb_to_yuv420,
    yuv420_to_rgb,
)
from nst_core.engine import Engine, make_engine
from nst_core.style_library import Style


class Stylizer:
    """Applies a style to 8-bit pictures and video frames.

    Owns engine, device, precision, strength and the keeping of colours. ``strength`` 1 is the
    generator's own output, 0 the source; ``keep_colors`` takes only luma from the output.
    ``threads`` bounds the CPU threads (None: all). Raises what make_engine raises.
    """

    def __init__(
        self,
        style: Style,
        *,
        strength: float = 1.0,
        keep_colors: bool = False,
        engine: Literal["auto", "torch", "openvino"] = "auto",
        device: Literal["auto", "cpu", "cuda"] = "auto",
        precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        threads: int | None = None,
    ) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"strength {strength}: a number from 0 to 1 is needed")
        if threads is not None:
            torch.set_num_threads(threads)  # colours are converted in torch beside any engine
        self.threads = threads or 1
        self.strength = strength
        self.keep_colors = keep_colors
        self._engine: Engine | None = None
        if style.path is not None and strength > 0:
            generator, _ = load_generator(style.path)
            self._engine = make_engine(
                generator, engine=engine, device=device, precision=precision, threads=threads
            )

    @property
    def engine(self) -> str:
        """What computes, such as ``openvino cpu bfloat16``; ``none`` where frames pass through."""
        return self._engine.name if self._engine else "none"

    def stylize(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map uint8 RGB, H x W x 3 or N x H x W x 3, to the same."""
        if pictures.dtype != np.uint8 or pictures.ndim not in (3, 4) or pictures.shape[-1] != 3:
            raise ValueError(
                f"pictures are {pictures.dtype} {pictures.shape}: uint8 [N x] H x W x 3 is needed"
            )
        if self._engine is None:
            return pictures.copy()
        batch = pictures[None] if pictures.ndim == 3 else pictures
        source = torch.from_numpy(np.array(batch)).to(self._engine.device)  # may be read-only
        rgb = source.permute(0, 3, 1, 2).float() / 255
        output = self._blend(self._engine.run(rgb), rgb)
        if self.keep_colors:
            output = keep_rgb_colors(output, rgb)
        pixels = (output.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        result: NDArray[np.uint8] = pixels.cpu().contiguous().numpy().reshape(pictures.shape)
        return result

    def stylize_yuv(self, frames: Yuv420, encoding: YuvEncoding) -> Yuv420:
        """Map 8-bit 4:2:0 frames to the same, converted on the engine's device."""
        if self._engine is None:
            return frames
        source = frames.to(self._engine.device)
        rgb = yuv420_to_rgb(source, encoding)
        output = rgb_to_yuv420(self._blend(self._engine.run(rgb), rgb), encoding)
        if self.keep_colors:
            output = keep_chroma(output, source)
        return output.to(torch.device("cpu"))

    def _blend(self, output: Tensor, source: Tensor) -> Tensor:
        return output if self.strength == 1 else torch.lerp(source, output, self.strength)
