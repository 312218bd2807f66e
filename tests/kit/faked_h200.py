"""What Inductor would make for an H200, found without one: its schedule, and the bytes it moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch._dynamo.device_interface import CudaInterface
from torch._inductor import config
from torch._inductor.decomposition import select_decomp_table
from torch._inductor.graph import GraphLowering
from torch._inductor.virtualized import V
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_leaves

_PROPERTIES = SimpleNamespace(
    name="NVIDIA H200",
    major=9,
    minor=0,
    multi_processor_count=132,
    regs_per_multiprocessor=65536,
    max_threads_per_multi_processor=2048,
    max_threads_per_block=1024,
    warp_size=32,
    total_memory=141 * 10**9,
    shared_memory_per_block=49152,
    shared_memory_per_block_optin=232448,
    L2_cache_size=50 * 2**20,
)
_CUDA: dict[str, Callable[..., Any]] = {
    "is_available": lambda: True,
    "device_count": lambda: 1,
    "current_device": lambda device=None: 0,
    "get_device_properties": lambda device=None: _PROPERTIES,
}


def bytes_moved(network: nn.Module, frames: int, height: int, width: int) -> tuple[int, int]:
    """Count bytes that the kernels for a batch of float16 frames read and write, and the kernels.

    Each kernel counts what it reads and writes once, convolutions included.
    """
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    size = (frames, 3, height, width)
    with FakeTensorMode() as mode, torch.inference_mode():
        given = {name: _on_cuda(each.shape, each.dtype) for name, each in tensors.items()}
        images = _on_cuda(torch.Size(size), torch.float16)

        def run(tensors: dict[str, torch.Tensor], images: torch.Tensor) -> Any:
            return torch.func.functional_call(network, tensors, (images,))

        # As torch.compile would give it to Inductor.
        decompositions = select_decomp_table()
        traced = make_fx(run, decomposition_table=decompositions, tracing_mode="fake")(
            given, images
        )
        leaves = tree_leaves((given, images))
        with _faked(), config.patch(force_layout_optimization=True, deterministic=True):
            graph = GraphLowering(traced, example_inputs=leaves, is_inference=True)
            with (
                V.set_graph_handler(graph),
                V.set_fake_mode(mode),
                V.set_debug_handler(mock.MagicMock()),
            ):
                graph.run(*leaves)
                graph.init_wrapper_code()
                graph._update_scheduler()
                moved, kernels, _ = graph.count_bytes()
    return moved, len(kernels)


def _on_cuda(shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
    """A tensor without memory, in half precision, its channels last."""
    half = torch.float16 if dtype.is_floating_point else dtype
    tensor = torch.empty(shape, dtype=half, device="cuda")
    return tensor.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else tensor


@contextmanager
def _faked() -> Iterator[None]:
    """Let torch see an H200."""
    seen_by_inductor = _CUDA | {
        "get_compute_capability": lambda device=None: 90,
        "is_triton_capable": lambda device=None: True,
        "raise_if_triton_unavailable": lambda device=None: None,
    }
    with ExitStack() as patches:
        for name, value in _CUDA.items():
            patches.enter_context(mock.patch.object(torch.cuda, name, value))
        for name, value in seen_by_inductor.items():
            patches.enter_context(mock.patch.object(CudaInterface, name, staticmethod(value)))
        for name in ("current_device", "get_device_properties"):
            patches.enter_context(
                mock.patch.object(CudaInterface.Worker, name, staticmethod(_CUDA[name]))
            )
        patches.enter_context(mock.patch("torch.cuda.get_device_capability", return_value=(9, 0)))
        patches.enter_context(mock.patch("torch._subclasses.fake_tensor.init_gpu_context"))
        yield
