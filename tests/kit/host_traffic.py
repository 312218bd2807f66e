"""What would wait for a GPU, found without one: on tensors that have a device and no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves

CUDA = torch.device("cuda", 0)


class HostTraffic(TorchFunctionMode):
    """Notes the functions that bring tensors with dimensions to a GPU or away from it.

    Single numbers of the CPU travel with the kernels that are given them, and cost nothing. What
    asks a GPU for a number raises an error of torch's by itself: there is none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        name = resolve_name(function) or str(function)
        given = {leaf.device.type for leaf in tree_leaves((args, kwargs)) if _travels(leaf)}
        made = {leaf.device.type for leaf in tree_leaves(result) if _travels(leaf)}
        from_numbers = name.rpartition(".")[2] in ("tensor", "new_tensor", "as_tensor")
        if from_numbers:
            given.add("cpu")
            made = {result.device.type}
        if {"cpu", "cuda"} <= given | made and given != made:
            self.found.append(name)
        return result


def _travels(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0


@contextmanager
def watched() -> Iterator[HostTraffic]:
    """Note traffic inside the block, in which tensors of any device have no memory."""
    with FakeTensorMode(), torch.inference_mode(), HostTraffic() as traffic:
        yield traffic
