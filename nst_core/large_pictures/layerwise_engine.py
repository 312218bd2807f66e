"""Pictures of any size through any generator, layer by layer over strips of rows.

An instance normalisation takes its mean and variance from the whole picture, so that plain tiles
differ in colour and show seams. Here every layer sees the whole picture, though never at once: the
output is that of the generator itself, but for the rounding of sums. The device holds a few
strips; the host's memory holds a few layers at half the picture's size or less: of 12000 x 9000
pixels in bfloat16 some 4 GB, both of a TransformerNet of width 16 and of a LeanNet of 24
(``lazy_layers.py`` decides).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

import nst_core.large_pictures.lazy_layers  # noqa: F401 - says what each function of torch is by rows
from nst_core.color.codes import Pixels
from nst_core.engines.names import Precision
from nst_core.large_pictures.lazy_picture import Arithmetic, LazyPicture, PixelPicture
from nst_core.networks.generator import Generator

_STRIP_VALUES, _STRIP_VALUES_ON_GPU = 2**20, 2**24
"""Numbers of a layer that are computed at once: what a CPU's caches hold (measured: half and twice
are as fast, eight times is not), and what keeps a GPU at work, in some 100 MB of its memory."""

_STRIP_VALUES_A_COLUMN = 256
"""Values a column in strips of wide pictures: 16 rows of 16 channels. With fewer, margins take half
of the time."""


class LayerwiseEngine:
    """Computes one picture at a time, in torch.

    ``generator`` may be shared with another engine: it is not changed. ``stored`` is the precision
    of what waits in host memory (None: ``precision``; what float16 cannot hold waits in float32).
    Noise is drawn from the start of ``seed``'s for every picture. ``strip_values`` bounds what is
    computed at once, in numbers of a layer. The pixels do not depend on the number of threads.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        device: torch.device,
        precision: Precision,
        stored: Precision | None = None,
        seed: int = 0,
        strip_values: int | None = None,
    ) -> None:
        self._generator = generator.eval()
        self._device = device
        self._dtype: torch.dtype = getattr(torch, precision)
        self._stored_dtype: torch.dtype = getattr(torch, stored or precision)
        self._strip_values = strip_values
        self._seed = seed

    @torch.inference_mode()
    def strips(self, picture: Pixels) -> Iterator[tuple[slice, Tensor]]:
        """Map RGB of uint8 or uint16, H x W x 3, to the rows of the output, from top to bottom.

        Yields which rows they are, and 1 x 3 x h x scale*W of them, float32 in [0, 1] on the
        engine's device. Raises NotImplementedError for a generator with a layer that
        ``lazy_layers.py`` does not know.
        """
        self._generator.seed_noise(self._seed)
        width = picture.shape[1]
        least = _STRIP_VALUES if self._device.type == "cpu" else _STRIP_VALUES_ON_GPU
        values = max(least, _STRIP_VALUES_A_COLUMN * width)
        arithmetic = Arithmetic(
            self._device, self._dtype, self._stored_dtype, self._strip_values or values
        )
        with _pooled(arithmetic) as arithmetic:
            output: LazyPicture = self._generator(cast("Any", PixelPicture(picture, arithmetic)))
            yield from output.each(lambda rows, strip: (rows, strip.float()))


@contextmanager
def _pooled(arithmetic: Arithmetic) -> Iterator[Arithmetic]:
    """Open as many threads as torch has of its own; each of them, and this one, has none then."""
    threads = torch.get_num_threads()
    if arithmetic.device.type != "cpu" or threads == 1:
        yield arithmetic
        return
    torch.set_num_threads(1)  # of this thread, and of those to come
    pool = ThreadPoolExecutor(threads)
    try:
        yield replace(arithmetic, pool=pool, threads=threads)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
