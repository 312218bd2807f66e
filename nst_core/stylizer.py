"""The friendly object: pictures in, stylized or enlarged pictures out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nst_core.checkpoints.library import Style
from nst_core.color.codes import Code
from nst_core.color.luma import keep_rgb_colors
from nst_core.color.pixels import to_bytes, to_pixels, to_unit_range
from nst_core.color.tone_mapping import ToneMapping
from nst_core.color.yuv import YuvFrames, rgb_to_yuv, with_alpha, yuv_to_rgb
from nst_core.color.yuv_encoding import YuvEncoding
from nst_core.engines.choice import make_engine
from nst_core.engines.device_transfer import overlapped
from nst_core.engines.engine import Engine
from nst_core.engines.halving_batches import (
    HalvingBatches,
    frames_a_batch,
    free_bytes,
    is_out_of_memory,
    pixels_at_once,
    release_memory,
)
from nst_core.engines.names import DeviceChoice, EngineChoice, PrecisionChoice, Tile
from nst_core.large_pictures.pieces import PieceEngine, piece_engine
from nst_core.large_pictures.tiled_engine import TiledEngine
from nst_core.networks.generator import Generator
from nst_core.objectives.refinement import Refinement, RefiningEngine

if TYPE_CHECKING:
    from nst_core.coherence import Coherence

_LEAST_SIDE = 64
_MOST_FRAMES_A_BATCH = 8
_PIXELS_A_BATCH = 4_000_000
"""Bounds the memory of large frames on a CPU, as they come out: 4 at 720p, 1 at 4K. Stylized frames
are as many as there are threads at least; enlarged ones are not, each is many times its source."""

_DTYPES = (np.uint8, np.uint16)


class Stylizer:
    """Applies a generator to 8-bit pictures and video frames; they come out ``scale`` times larger.

    Owns engine, device, precision, strength and the keeping of colours. ``strength`` 1 is the
    generator's own output, 0 the source; ``keep_colors`` takes only luma from the output; both
    need a ``scale`` of 1. ``match_histogram`` gives every output the histogram of its source,
    which for super-resolution is the low-resolution input (Johnson et al. 2016, section 4.2).

    ``seed`` is of the noise that texture networks draw, which ``noise`` multiplies (None: as in
    training; only such networks take it). It is restarted for every picture and
    frame (``networks/texture.py`` and the papers draw anew each time): a frame then has the same
    pixels on any worker, and a film does not flicker for the noise alone.

    ``tile`` N lets pictures of more than N x N pixels be computed in pieces, N being 64 or more:
    the pixels are those of the whole but for rounding, the memory is bounded. ``auto`` is 1792,
    for super-resolution 1280 pixels of the output, on a GPU what its memory holds, and whatever it
    turns out not to; ``off`` computes any picture whole. It has no say in the frames of a video.

    ``refinement`` refines every picture that ``stylize`` makes (see refinement.py), before strength
    and colours; such pictures are computed whole. It has no say in the frames of a video.

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
        noise: float | None = None,
        engine: EngineChoice = "auto",
        device: DeviceChoice = "auto",
        precision: PrecisionChoice = "auto",
        threads: int | None = None,
        tile: Tile = "auto",
        refinement: Refinement | None = None,
    ) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"strength {strength}: a number from 0 to 1 is needed")
        if isinstance(tile, int) and tile < _LEAST_SIDE:
            raise ValueError(f"tile {tile}: {_LEAST_SIDE} or more, auto or off is needed")
        _check_colors(style.scale, strength, keep_colors, match_histogram)
        self.scale = style.scale
        if threads is not None:
            torch.set_num_threads(threads)  # colours are converted in torch beside any engine
        self.threads = threads or 1
        self.strength = strength
        self.keep_colors = keep_colors
        self.match_histogram = match_histogram
        self._batches = HalvingBatches()
        self._engine: Engine | None = None
        self._video_engine: Engine | None = None
        self._pieces: PieceEngine | None = None
        self._whole_side = 0
        self.pixels_on_gpu = 0
        """How many pixels of pictures a GPU's memory holds at once; 0 on a CPU."""
        if style.path is None or strength == 0:
            return
        generator = _loaded(style, noise)
        self._engine = make_engine(
            generator,
            engine=engine,
            device=device,
            precision=precision,
            eight_bit=style.eight_bit,
            threads=threads,
            seed=seed,
        )
        self.pixels_on_gpu = _pixels_on_gpu(generator, self._engine)
        auto_side = max(_LEAST_SIDE, isqrt(self.pixels_on_gpu)) if self.pixels_on_gpu else None
        self._video_engine = self._engine
        if generator.tiles:
            self._video_engine = TiledEngine(self._engine, scale=self.scale, tile_side=auto_side)
        if refinement is not None:
            self._engine = RefiningEngine(self._engine, style, refinement)
        elif tile != "off":
            side = auto_side if tile == "auto" else tile
            exact = precision != "auto"
            self._pieces, self._whole_side = piece_engine(
                generator, self._engine, side=side, scale=self.scale, exact=exact, seed=seed
            )

    @property
    def engine(self) -> str:
        """What computes, such as ``openvino cpu bfloat16``; ``none`` where frames pass through."""
        return self._engine.name if self._engine else "none"

    @property
    def computes(self) -> bool:
        """Whether a network is run; False where only colours are converted, there and back."""
        return self._engine is not None

    @property
    def overlaps(self) -> bool:
        """Whether the caller's thread can get something done while a network computes."""
        return self.computes and (self.on_gpu or self.threads > 1)

    @property
    def on_gpu(self) -> bool:
        """Whether torch computes frames on a GPU."""
        return self._video_device.type != "cpu"

    @property
    def works_ahead(self) -> bool:
        """Whether batches behind the one handed out are under way: on CUDA."""
        return self._video_device.type == "cuda"

    def frames_a_batch(self, height: int, width: int) -> int:
        """How many frames of ``height`` x ``width`` pixels to hand over at once, 1 or more."""
        if self.pixels_on_gpu:
            return frames_a_batch(height, width, most_pixels=self.pixels_on_gpu, scale=self.scale)
        if not self.computes or self.threads == 1:
            return 1  # stays in the processor's cache
        least = self.threads if self.scale == 1 else 1
        pixels = height * width * self.scale**2
        return max(least, min(_MOST_FRAMES_A_BATCH, _PIXELS_A_BATCH // pixels))

    def frames_together(self, frames: YuvFrames) -> int:
        """How many frames like these may be computed at once, some of them others'.

        On a CPU not more than these: the bytes would depend on which came together.
        """
        together, height, width = frames.luma.shape
        return self.frames_a_batch(height, width) if self.on_gpu else together

    @property
    def _video_device(self) -> torch.device:
        return self._video_engine.device if self._video_engine else torch.device("cpu")

    def stylize(self, pictures: NDArray[Code]) -> NDArray[Code]:
        """Map RGB of uint8 or uint16, [N x] H x W x 3, to the same, ``scale`` times as large."""
        *_, channels = pictures.shape
        if pictures.dtype not in _DTYPES or pictures.ndim not in (3, 4) or channels != 3:
            raise ValueError(
                f"pictures are {pictures.dtype} {pictures.shape}: uint8 or uint16, [N x] H x W x 3 "
                "is needed"
            )
        if self._engine is None:
            return pictures.copy()
        engine = self._engine
        batch = pictures[None] if pictures.ndim == 3 else pictures
        parts = self._batches.run(len(batch), lambda part: self._stylized(engine, batch[part]))
        pixels = parts[0] if len(parts) == 1 else np.concatenate(parts)
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
        batches = self.stylize_yuv_batches([frames], source, target, tone_mapping=tone_mapping)
        return next(iter(batches))

    def stylize_yuv_batches(
        self,
        batches: Iterable[YuvFrames | None],
        source: YuvEncoding,
        target: YuvEncoding | None = None,
        *,
        tone_mapping: ToneMapping | None = None,
        coherence: Coherence | None = None,
    ) -> Iterator[YuvFrames]:
        """Do what ``stylize_yuv`` does for one batch after the other.

        With ``coherence`` each frame follows the one before it, from batch to batch.

        On a GPU the next batch travels there, and the last one back, while one is computed. None
        among the batches is "none now": what is under way comes out, then it asks again.
        """
        target = target or source

        def stylized(frames: YuvFrames) -> YuvFrames:
            made = coherence.remembered(frames) if coherence else None
            if made is None:
                made = self._made(frames, source, target, tone_mapping)
                if coherence:
                    coherence.remember(frames, made)
            last = coherence.last if coherence else None
            try:
                return self.finished(frames, made, source, target, coherence)
            except RuntimeError:  # of memory that runs out: the same frames come again
                if coherence:
                    coherence.begin(last)
                raise

        return overlapped(batches, partial(self._batches.run_frames, stylized), self._video_device)

    def make_yuv_batches(
        self,
        batches: Iterable[YuvFrames | None],
        source: YuvEncoding,
        target: YuvEncoding,
        *,
        tone_mapping: ToneMapping | None = None,
    ) -> Iterator[YuvFrames]:
        """Do the network's part of it, which ``finished`` goes on with, maybe in another thread."""

        def made(frames: YuvFrames) -> YuvFrames:
            return self._made(frames, source, target, tone_mapping)

        return overlapped(batches, partial(self._batches.run_frames, made), self._video_device)

    @torch.inference_mode()
    def finished(
        self,
        frames: YuvFrames,
        made: YuvFrames,
        source: YuvEncoding,
        target: YuvEncoding,
        coherence: Coherence | None = None,
    ) -> YuvFrames:
        """Have what was ``made`` of frames follow the last one, and give it their alpha."""
        if self._passes_light(source, target):
            return made
        if coherence and self._video_engine:
            luma_only = self.keep_colors and target.matrix != "rgb"
            made = coherence.follow_all(frames, source, made, target, luma_only=luma_only)
        if frames.alpha is not None:
            alpha = _enlarged(frames.alpha, self.scale)
            made = with_alpha(made, alpha, source=source, target=target)
        return made

    def _passes_light(self, source: YuvEncoding, target: YuvEncoding) -> bool:
        """Whether nothing is converted: light beyond what displays show would be clipped."""
        return self._video_engine is None and source.is_light and target.is_light

    @torch.inference_mode()
    def _made(
        self,
        frames: YuvFrames,
        source: YuvEncoding,
        target: YuvEncoding,
        tone_mapping: ToneMapping | None,
    ) -> YuvFrames:
        """What the network makes of frames, each by itself, without their alpha."""
        if self._passes_light(source, target):
            return frames
        rgb = yuv_to_rgb(frames, source)
        if tone_mapping:
            rgb = tone_mapping.to_sdr(rgb)
        output = self._generated(self._video_engine, rgb) if self._video_engine else rgb
        if self.keep_colors and target.matrix == "rgb":
            output = keep_rgb_colors(output, rgb)
        result = rgb_to_yuv(output, target)
        if self.keep_colors and target.matrix != "rgb":
            chroma = frames.chroma if target == source else rgb_to_yuv(rgb, target).chroma
            result = YuvFrames(result.luma, chroma)
        return result

    def _stylized(self, engine: Engine, batch: NDArray[Code]) -> NDArray[Code]:
        _, height, width, _ = batch.shape
        if self._pieces is None or height * width <= self._whole_side**2:
            try:
                return self._stylized_whole(engine, batch)
            except RuntimeError as error:
                if not is_out_of_memory(error) or len(batch) > 1 or self._pieces is None:
                    raise
            release_memory()  # beyond the handler: its traceback would hold the tensors
        parts = [self._stylized_in_pieces(self._pieces, picture)[None] for picture in batch]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @torch.inference_mode()
    def _stylized_whole(self, engine: Engine, batch: NDArray[Code]) -> NDArray[Code]:
        rgb = to_unit_range(batch, engine.device)
        output = self._generated(engine, rgb)
        if self.keep_colors:
            output = keep_rgb_colors(output, rgb)
        return to_pixels(output, batch.dtype)

    @torch.inference_mode()
    def _stylized_in_pieces(self, pieces: PieceEngine, picture: NDArray[Code]) -> NDArray[Code]:
        height, width, channels = picture.shape
        result = np.empty((self.scale * height, self.scale * width, channels), picture.dtype)
        for rows, output in pieces.strips(picture):
            if self.strength < 1 or self.keep_colors:  # then they are the source's rows too
                rgb = to_unit_range(picture[None, rows], output.device)
                output = torch.lerp(rgb, output, self.strength)
                output = keep_rgb_colors(output, rgb) if self.keep_colors else output
            result[rows] = to_pixels(output, picture.dtype)[0]
        return _matched(result, picture) if self.match_histogram else result

    def _generated(self, engine: Engine, source: Tensor) -> Tensor:
        output = engine.run(source)
        if self.strength < 1:
            output = torch.lerp(source, output, self.strength)
        return _with_histogram_of(source, output) if self.match_histogram else output


def _loaded(style: Style, noise: float | None) -> Generator:
    """Load a style's network, its noise multiplied by ``noise``."""
    generator = style.load()
    if noise is not None:
        style.check_noise(noise)
        generator.noise_factor = noise
    return generator


def _pixels_on_gpu(generator: Generator, engine: Engine) -> int:
    """Plan by the memory that is free now: later it is less by what torch keeps."""
    if engine.device.type == "cpu":
        return 0
    return pixels_at_once(
        generator_width=generator.full_size_width,
        free_bytes=free_bytes(engine.device),
        scale=generator.scale,
        bytes_a_value=4 if engine.precision == "float32" else 2,
    )


def _check_colors(scale: int, strength: float, keep_colors: bool, match_histogram: bool) -> None:
    if scale != 1 and (strength < 1 or keep_colors):
        raise ValueError(
            f"strength {strength}, keep_colors {keep_colors}: an output {scale} times as "
            "large is not mixed with its source; use strength 1 and keep_colors False"
        )
    if match_histogram and keep_colors:
        raise ValueError("match_histogram and keep_colors both choose the colours; use one")


def _with_histogram_of(source: Tensor, output: Tensor) -> Tensor:
    """Match in 8 bits, picture by picture. N x 3 x H x W in [0, 1]; the sizes may differ."""
    pairs = zip(to_bytes(output), to_bytes(source), strict=True)
    matched = np.stack([_matched(picture, reference) for picture, reference in pairs])
    return to_unit_range(matched, output.device)


def _matched(picture: NDArray[Code], reference: NDArray[Code]) -> NDArray[Code]:
    from nst_core.color.histograms import match_histogram  # takes its time to import

    return match_histogram(picture, reference)


def _enlarged(alpha: Tensor, scale: int) -> Tensor:
    """N x H x W to N x scale*H x scale*W; each sample becomes a square: edges stay edges."""
    return alpha.repeat_interleave(scale, 1).repeat_interleave(scale, 2) if scale > 1 else alpha
