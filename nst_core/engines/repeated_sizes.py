"""Which way a size of pictures goes: eager, a graph of the same kernels, or of compiled ones.

A film brings one size thousands of times, a folder of pictures a hundred sizes once each. A size is
computed eagerly at first; by a graph of the same kernels once it has come three times in a row; and
once plain torch has taken about as long for its pixels as compiling takes, by a graph of compiled
kernels, which are compiled in another thread meanwhile. Pixels count only where they kept the
device busy: elsewhere faster kernels gain nothing, and compiling takes time from what is slow.
Whatever fails while a graph is made costs one warning; the size goes on as it was before.

A batch of fewer pictures than a graph computes, a segment's last one, goes through that graph too:
the last picture is repeated, and what comes of the copies is dropped.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from nst_core.engines.halving_batches import release_memory
from nst_core.wording import first_line

_log = logging.getLogger(__name__)

Kernels = Literal["eager", "compiled"]
Shape = tuple[int, ...]

_REPEATS = 3
_MOST_REPEATS = 96
"""However often graphs had to make room; making a graph is the work of about ten runs."""
_MOST_GRAPHS = 3
_MOST_COMPILED = 4
"""Sizes, in an engine's life. torch keeps what it has compiled, of 8 sizes at most."""
MEGAPIXELS_BEFORE_COMPILING = 4000.0
"""Estimated, not measured: 2000 frames of 1080p, about 30 s for plain torch on a large GPU, which
is what compiling takes."""


class Replay(Protocol):
    """Computes images of one shape."""

    def __call__(self, images: Tensor) -> Tensor:
        """Map images of that shape to outputs that stay as they are when it is called again."""
        ...

    @property
    def keeps_device_busy(self) -> bool:
        """Whether its last run has taken the device most of the time since."""
        ...

    def close(self) -> None:
        """Wait until the device is done with it. It is not called afterwards."""
        ...


@dataclass
class _Held:
    replay: Replay
    kernels: Kernels
    megapixels: float


class RepeatedSizes:
    """Decides which way a size goes. Knows nothing of CUDA: the functions that it is given do.

    ``repeats`` in a row earn a size its graph; ``most_graphs`` are held, and each time one has to
    make room the next must be earned by twice as many. A graph of compiled kernels replaces the
    first one after ``megapixels_before_compiling``, for ``most_compiled`` sizes, once what
    ``compile_ahead`` returns is done (None: ``capture`` compiles).

    A ``capture`` that fails is not tried again with the same kind of kernels; one that runs out
    of memory is not tried again with this size. Only the first failure is a warning.
    """

    def __init__(
        self,
        run_eagerly: Callable[[Tensor], Tensor],
        capture: Callable[[Shape, Kernels], Replay],
        *,
        compile_ahead: Callable[[Shape], Future[None]] | None = None,
        repeats: int = _REPEATS,
        most_graphs: int = _MOST_GRAPHS,
        most_compiled: int = _MOST_COMPILED,
        megapixels_before_compiling: float = MEGAPIXELS_BEFORE_COMPILING,
    ) -> None:
        self._run_eagerly = run_eagerly
        self._capture = capture
        self._repeats = repeats
        self._most_graphs = most_graphs
        self._most_compiled = most_compiled
        self._compile_ahead = compile_ahead or _nothing_ahead
        self._compilations: dict[Shape, Future[None]] = {}
        self._megapixels_before_compiling = megapixels_before_compiling
        self._held: OrderedDict[Shape, _Held] = OrderedDict()
        self._last: Shape = ()
        self._in_a_row = 0
        self._given_up: set[Kernels | tuple[Shape, Kernels]] = set()
        self._warned = False

    def run(self, images: Tensor) -> Tensor:
        """Compute ``images``. Raises torch.OutOfMemoryError when no graph is left to drop."""
        try:
            return self._run(images)
        except torch.OutOfMemoryError:
            if not self._held:
                raise
        # Beyond the handler: its traceback would hold the tensors.
        while self._held:
            self._drop_oldest()
        release_memory()
        return self._run_eagerly(images)

    def _run(self, images: Tensor) -> Tensor:
        shape = tuple(images.shape)
        self._in_a_row = self._in_a_row + 1 if shape == self._last else 1
        self._last = shape
        held = self._held.get(shape)
        if held is not None:
            held = self._compiled_graph(shape, held)
        elif self._in_a_row > self._repeats:  # the runs before were without a graph of their own
            held = self._first_graph(shape)
        if held is not None:
            return self._replayed(shape, held, images)
        larger = [each for each in self._held if each[1:] == shape[1:] and each[0] > shape[0]]
        if not larger:
            return self._run_eagerly(images)
        shape = min(larger)
        copies = images[-1:].expand(shape[0] - len(images), -1, -1, -1)
        padded = torch.cat([images, copies])
        return self._replayed(shape, self._held[shape], padded)[: len(images)]

    def _replayed(self, shape: Shape, held: _Held, images: Tensor) -> Tensor:
        self._held.move_to_end(shape)
        if held.replay.keeps_device_busy:
            held.megapixels += math.prod(shape) / shape[1] / 1e6
        return held.replay(images)

    def _first_graph(self, shape: Shape) -> _Held | None:
        if not self._may_capture(shape, "eager"):
            return None
        if len(self._held) == self._most_graphs:
            self._drop_oldest()
        return self._captured(shape, "eager", megapixels=0)

    def _compiled_graph(self, shape: Shape, held: _Held) -> _Held:
        """Return what is to be used from now on: a new graph, or ``held``."""
        if (
            held.kernels == "compiled"
            or held.megapixels < self._megapixels_before_compiling
            or not self._may_capture(shape, "compiled")
        ):
            return held
        if shape not in self._compilations:
            if len(self._compilations) == self._most_compiled:
                return held
            self._compilations[shape] = self._compile_ahead(shape)
        if not self._compilations[shape].done():
            return held
        compiled = self._captured(shape, "compiled", megapixels=held.megapixels)
        if compiled is None:
            return held
        held.replay.close()
        return compiled

    def _may_capture(self, shape: Shape, kernels: Kernels) -> bool:
        return not {kernels, (shape, kernels)} & self._given_up

    def _captured(self, shape: Shape, kernels: Kernels, *, megapixels: float) -> _Held | None:
        try:
            if kernels == "compiled":
                self._compilations[shape].result()  # raises what compiling has raised
            replay = self._capture(shape, kernels)
        except torch.OutOfMemoryError as error:
            self._give_up((shape, kernels), kernels, error)
        except Exception as error:  # of torch, Triton, a C compiler, the driver
            self._give_up(kernels, kernels, error)
        else:
            self._held[shape] = _Held(replay, kernels, megapixels)
            return self._held[shape]
        if kernels == "compiled":
            self._compilations[shape] = _nothing_ahead(shape)  # its error would hold the pictures
        release_memory()
        return None

    def _give_up(
        self, what: Kernels | tuple[Shape, Kernels], kernels: Kernels, error: Exception
    ) -> None:
        self._given_up.add(what)
        reason = first_line(error)
        _log.log(
            logging.DEBUG if self._warned else logging.WARNING,
            "no CUDA graph of %s kernels, going on without: %s",
            kernels,
            reason,
        )
        self._warned = True

    def _drop_oldest(self) -> None:
        _, held = self._held.popitem(last=False)
        held.replay.close()
        self._repeats = min(2 * self._repeats, _MOST_REPEATS)


def _nothing_ahead(_: Shape) -> Future[None]:
    done: Future[None] = Future()
    done.set_result(None)
    return done
