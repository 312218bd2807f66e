"""Frames in several looks at once: each in those that it needs, and these blended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress

import torch
from torch import Tensor

from nst_core.coherence import Coherence
from nst_core.color.blending import blend
from nst_core.color.yuv import YuvFrames, join_frames, split_frames
from nst_core.color.yuv_encoding import YuvEncoding
from nst_core.stylizer import Stylizer
from pipeline.encoding.output_frame import output_encoding, source_encoding
from pipeline.looks.look import Look, Share
from pipeline.looks.mask_frames import MaskFrames
from pipeline.segments.begun import Batch
from pipeline.segments.task import SegmentTask
from pipeline.work.shared_network import SharedStylizer

Weights = Mapping[Look, Tensor]
"""How much of a frame is of each look: 1 x H x W, or a number. Looks without any are left out."""


_MOST_AHEAD = 2
"""Batches behind the one that is blended, for looks that are ahead of each other."""


class Weigher:
    """Says how much of each frame of a segment is of which look, in the order of showing."""

    def __init__(self, task: SegmentTask) -> None:
        self._looks = task.looks
        frames = [*task.segment.warm_pts, *task.segment.owned_pts]
        self._shares = dict(zip(frames, task.shares, strict=True)) if task.shares else {}
        size = task.output.taken_size
        self._masks = {
            mask.name: (MaskFrames(mask, size), dict(zip(frames, mask.shown, strict=True)))
            for mask in task.masks
        }

    def of(self, pts: int) -> Weights:
        """Return the weights of the frame shown at a time. Raises MediaError: see MaskFrames."""
        if not self._shares:
            return {self._looks[0]: torch.ones(())}
        weights: dict[Look, Tensor] = {}
        for share in self._shares[pts]:
            weight = self._weight(share, pts)
            if weight.any():
                weights[share.look] = weights.get(share.look, torch.zeros(())) + weight
        return weights

    @property
    def notes(self) -> list[str]:
        """What came to light on the way, once all frames are weighed."""
        damaged = any(frames.is_damaged for frames, _ in self._masks.values())
        return ["its mask is damaged: the frame before stays where one lacks"] if damaged else []

    def _weight(self, share: Share, pts: int) -> Tensor:
        if share.mask is None:
            return torch.tensor(share.amount)
        frames, shown = self._masks[share.mask]
        weights = frames.at(shown[pts])
        return share.amount * (1 - weights if share.outside else weights)


def blended_batches(
    task: SegmentTask,
    batches: Iterator[Batch],
    stylizers: Sequence[Stylizer | SharedStylizer],
    coherences: Sequence[Coherence | None],
    weigher: Weigher,
) -> Iterator[Batch]:
    """Stylize batches in the looks of a task, each by its stylizer; yields what came of them.

    A look's stylizer, and its coherence, see the frames alone that have some of it.
    """
    source, target = source_encoding(task.stream), output_encoding(task.stream, task.output)
    weighed = ((batch, [weigher.of(pts) for pts in batch.pts]) for batch in batches)
    ahead: deque[tuple[Batch, list[Weights]]] = deque()
    waiting: dict[Look, deque[YuvFrames]] = {look: deque() for look in task.looks}

    def draw() -> bool:
        """Take one more batch, and lay what looks need of it where they find it."""
        for batch, weights in weighed:
            ahead.append((batch, weights))
            for look, frames in waiting.items():
                if any(look in each for each in weights):
                    frames.append(_needed(look, batch, weights))
            return True
        return False

    def needed(look: Look) -> Iterator[YuvFrames | None]:
        while True:
            if waiting[look]:
                yield waiting[look].popleft()
            elif len(ahead) >= _MOST_AHEAD:
                yield None
            elif not draw():
                return

    made = {
        look: stylizer.stylize_yuv_batches(
            needed(look),
            source,
            target,
            tone_mapping=task.output.tone_mapping,
            coherence=coherence,
        )
        for look, stylizer, coherence in zip(task.looks, stylizers, coherences, strict=True)
    }
    while ahead or draw():
        batch, weights = ahead.popleft()
        used = [look for look in task.looks if any(look in each for each in weights)]
        planes = {look: next(made[look]) for look in used}
        last = {n: each.last for n, each in enumerate(coherences) if each and each.last}
        yield Batch(batch.pts, _blended(planes, weights, target), last)
    for rest in made.values():
        next(rest, None)  # raises what has ended the batches while others were under way


def _needed(look: Look, batch: Batch, weights: Sequence[Weights]) -> YuvFrames:
    """Return the frames of a batch that have some of a look."""
    needed = [look in each for each in weights]
    return (
        batch.planes
        if all(needed)
        else join_frames([*compress(split_frames(batch.planes), needed)])
    )


def _blended(
    made: Mapping[Look, YuvFrames], weights: Sequence[Weights], encoding: YuvEncoding
) -> YuvFrames:
    """Blend what the looks of a batch have made of its frames."""
    if len(made) == 1:
        (planes,) = made.values()
        return planes
    frames = {look: iter(split_frames(planes)) for look, planes in made.items()}
    parts = [[(next(frames[look]), weight) for look, weight in each.items()] for each in weights]
    return join_frames([blend(each, encoding) if len(each) > 1 else each[0][0] for each in parts])
