"""Training batches read and cut by Ray Data tasks anywhere in the cluster (``--loader ray-data``).

For GPU machines with few CPUs beside many that have them, and for photographs behind a URI. The
samples are those of the local loader, in its order: what is trained is the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from nst_core.libraries import configure
from nst_core.training.photos import Batch, Sample, StepSampler

_BATCHES_PER_TASK = 4
"""A task of Ray Data costs some 30 ms, whatever it does."""


def ray_batches_of_steps(pictures: Dataset[Sample], sampler: StepSampler) -> Iterator[list[Batch]]:
    """Yield the batches of each step, as batches_of_steps does; to be called within Ray."""
    import ray.data

    numbers = list(sampler)
    if not numbers:
        return

    def read(row: dict[str, Any]) -> dict[str, Any]:
        """Read the samples of one batch, in a task."""
        configure()
        batch = Batch.of([pictures[number] for number in numbers[row["id"]]])
        # Crops are cut from 8-bit pictures: a quarter of the bytes travels, and nothing is lost.
        pixels = (batch.pictures * 255).round().to(torch.uint8)
        return {
            "samples": np.array(batch.samples),
            "pixels": pixels.numpy(),
            "unreadable": json.dumps(batch.unreadable),
        }

    # Ray Data would order rows by what is done first.
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    blocks = -(-len(numbers) // _BATCHES_PER_TASK)
    rows = ray.data.range(len(numbers), override_num_blocks=blocks).map(read)
    batches = map(_batch_of, rows.iter_rows())
    for _ in sampler.steps:
        yield [next(batches) for _ in range(sampler.batches_per_step)]


def _batch_of(row: dict[str, Any]) -> Batch:
    pixels = torch.from_numpy(np.array(row["pixels"]))
    samples = tuple(int(number) for number in row["samples"])
    return Batch(samples, pixels.float() / 255, json.loads(row["unreadable"]))
