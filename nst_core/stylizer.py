"""The friendly object: pictures in, stylized or enlarged pictures out."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nst_core.batching import HalvingBatches
from nst_core.checkpoint import load_generator
from nst_core.color import keep_rgb_colors
from nst_core.engine import Engine, make_engine
from nst_core.style_library import Style
from nst_core.tiled_engine import TiledEngine, tiles_exactly
from nst_core.tone_mapping import ToneMapping
from nst_core.yuv import (
    YuvEncoding,
    YuvFrames,
    convert_alpha,
    join_frames,
    rgb_to_yuv,
    yuv_to_rgb,
)


class Stylizer:
    """Applies a generator to 8-bit pictures and video frames; they come out ``scale`` times larger.

    Owns engine, device, precision, strength and the keeping of colours. ``strength`` 1 is the
    generator's own output, 0 the source; ``keep_colors`` takes only luma from the output; both
    need a ``scale`` of 1. ``match_histogram`` gives every output the histogram of its source,
    which for super-resolution is the low-resolution input (Johnson et al. 2016, section 4.2).

    ``seed`` is of the noise that texture networks draw. It is restarted for every picture and
    frame (``nst_core.texture_net`` and the papers draw anew each time): a frame then has the same
    pixels on any worker, and a film does not flicker for the noise alone.

    ``threads`` bounds the CPU threads (None: all). Raises ValueError for what does not combine,
    and what make_engine raises.
    """

    def __init__(
        self,
        style: Style,
        *,
        strength: float = 1.0,
        keep_colors: bool = False,
        match_histogram: bool = False,
        seed: int = 0,
        engine: Literal["auto", "torch", "openvino"] = "auto",
        device: Literal["auto", "cpu", "cuda"] = "auto",
        precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        threads: int | None = None,
    ) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"strength {strength}: a number from 0 to 1 is needed")
        self.scale = style.scale
        if self.scale != 1 and (strength < 1 or keep_colors):
            raise ValueError(
                f"strength {strength}, keep_colors {keep_colors}: an output {self.scale} times as "
                "large is not mixed with its source; use strength 1 and keep_colors False"
            )
        if threads is not None:
            torch.set_num_threads(threads)  # colours are converted in torch beside any engine
        self.threads = threads or 1
        self.strength = strength
        self.keep_colors = keep_colors
        self.match_histogram = match_histogram
        self._engine: Engine | None = None
        self._batches = HalvingBatches()
        if style.path is not None and strength > 0:
            generator, _ = load_generator(style.path)
            self._engine = make_engine(
                generator,
                engine=engine,
                device=device,
                precision=precision,
                threads=threads,
                seed=seed,
            )
            if tiles_exactly(generator):
                self._engine = TiledEngine(self._engine, scale=self.scale)

    @property
    def engine(self) -> str:
        """What computes, such as ``openvino cpu bfloat16``; ``none`` where frames pass through."""
        return self._engine.name if self._engine else "none"

    @property
    def computes(self) -> bool:
        """Whether a network is run; False where only colours are converted, there and back."""
        return self._engine is not None

    def stylize(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map uint8 RGB, H x W x 3 or N x H x W x 3, to the same, ``scale`` times as large."""
        if pictures.dtype != np.uint8 or pictures.ndim not in (3, 4) or pictures.shape[-1] != 3:
            raise ValueError(
                f"pictures are {pictures.dtype} {pictures.shape}: uint8 [N x] H x W x 3 is needed"
            )
        if self._engine is None:
            return pictures.copy()
        engine = self._engine
        batch = pictures[None] if pictures.ndim == 3 else pictures
        parts = self._batches.run(len(batch), lambda part: self._stylized(engine, batch[part]))
        pixels = np.concatenate(parts)
        return pixels if pictures.ndim == 4 else pixels[0]

    def stylize_yuv(
        self,
        frames: YuvFrames,
        source: YuvEncoding,
        target: YuvEncoding | None = None,
        *,
        tone_mapping: ToneMapping | None = None,
    ) -> YuvFrames:
        """Map frames in planes to frames ``scale`` times as large, encoded as ``target``.

        ``target`` None is as ``source``. Colours are converted on the engine's device, with
        float32 between, identity and all; alpha passes by the network. ``tone_mapping`` brings a
        high dynamic range down to BT.709 before the network sees it.
        """
        target = target or source

        def convert(part: slice) -> YuvFrames:
            alpha = None if frames.alpha is None else frames.alpha[part]
            taken = YuvFrames(frames.luma[part], frames.chroma[part], alpha)
            return self._stylized_yuv(taken, source, target, tone_mapping)

        return join_frames(self._batches.run(len(frames.luma), convert))

    @torch.inference_mode()
    def _stylized_yuv(
        self,
        frames: YuvFrames,
        source: YuvEncoding,
        target: YuvEncoding,
        tone_mapping: ToneMapping | None,
    ) -> YuvFrames:
        moved = frames.to(self._engine.device) if self._engine else frames
        rgb = yuv_to_rgb(moved, source)
        if tone_mapping:
            rgb = tone_mapping.to_sdr(rgb)
        output = self._generated(self._engine, rgb) if self._engine else rgb
        if self.keep_colors and target.matrix == "rgb":
            output = keep_rgb_colors(output, rgb)
        result = rgb_to_yuv(output, target)
        if self.keep_colors and target.matrix != "rgb":
            chroma = moved.chroma if target == source else rgb_to_yuv(rgb, target).chroma
            result = YuvFrames(result.luma, chroma)
        if frames.alpha is not None:
            alpha = _enlarged(frames.alpha, self.scale)
            alpha = convert_alpha(alpha, depth=source.depth, to_depth=target.depth)
            result = YuvFrames(result.luma, result.chroma, alpha)
        return result.to(torch.device("cpu"))

    @torch.inference_mode()
    def _stylized(self, engine: Engine, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        source = torch.from_numpy(np.array(batch)).to(engine.device)  # may be read-only
        rgb = source.permute(0, 3, 1, 2).float() / 255
        output = self._generated(engine, rgb)
        if self.keep_colors:
            output = keep_rgb_colors(output, rgb)
        return _to_bytes(output)

    def _generated(self, engine: Engine, source: Tensor) -> Tensor:
        output = engine.run(source)
        if self.strength < 1:
            output = torch.lerp(source, output, self.strength)
        return _with_histogram_of(source, output) if self.match_histogram else output


def _with_histogram_of(source: Tensor, output: Tensor) -> Tensor:
    """Match in 8 bits, picture by picture. N x 3 x H x W in [0, 1]; the sizes may differ."""
    from nst_core.histogram_matching import match_histogram  # takes its time to import

    pairs = zip(_to_bytes(output), _to_bytes(source), strict=True)
    matched = np.stack([match_histogram(picture, reference) for picture, reference in pairs])
    return torch.from_numpy(matched).to(output.device).permute(0, 3, 1, 2).float() / 255


def _to_bytes(images: Tensor) -> NDArray[np.uint8]:
    """N x 3 x H x W in [0, 1] to N x H x W x 3, rounded to nearest.

    One channel at a time: an enlarged photograph has gigabytes.
    """
    count, channels, height, width = images.shape
    result = np.empty((count, height, width, channels), dtype=np.uint8)
    for channel in range(channels):
        pixels = (images[:, channel].clamp(0, 1) * 255).round().to(torch.uint8)
        result[..., channel] = pixels.cpu().numpy()
    return result


def _enlarged(alpha: Tensor, scale: int) -> Tensor:
    """N x H x W to N x scale*H x scale*W; each sample becomes a square: edges stay edges."""
    return alpha.repeat_interleave(scale, 1).repeat_interleave(scale, 2) if scale > 1 else alpha
