"""Batches as large as the device's memory takes, found by halving."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from nst_core.errors import EnvironmentProblem

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


class HalvingBatches:
    """Runs a function on slices of a batch; where memory runs out, on halves from then on."""

    def __init__(self) -> None:
        self.largest: int | None = None
        """How many fit at once, as far as is known; None: all so far."""

    def run(self, count: int, function: Callable[[slice], Result]) -> list[Result]:
        """Call ``function`` with slices that cover ``range(count)``, in order.

        Raises EnvironmentProblem where not even one fits.
        """
        results: list[Result] = []
        start = 0
        while start < count:
            size = min(self.largest or count, count - start)
            try:
                results.append(function(slice(start, start + size)))
            except torch.OutOfMemoryError as error:
                if size == 1:
                    raise EnvironmentProblem(
                        "the device's memory does not hold a single picture of this size; try "
                        "--max-side, --precision float16, or --device cpu"
                    ) from error
            else:
                start += size
                continue
            self.largest = size // 2  # beyond the handler: its traceback would hold the tensors
            _log.warning("out of memory on the device: batches of %d from now on", self.largest)
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return results
