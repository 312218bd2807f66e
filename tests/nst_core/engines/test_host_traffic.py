"""Nothing in a film's loop waits for a GPU: no upload of numbers, no question to the device."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
import torch

from nst_core.checkpoints.library import find_style
from nst_core.color.constants import constant
from nst_core.color.tone_mapping import ToneMapping
from nst_core.color.yuv import YuvFrames
from nst_core.color.yuv_encoding import Matrix, YuvEncoding
from nst_core.engines.names import Precision
from nst_core.networks.registry import ARCHITECTURES, generator_class
from nst_core.stylizer import Stylizer
from tests.kit.host_traffic import CUDA, watched

if torch.version.cuda is None:
    pytest.skip("this torch knows no CUDA", allow_module_level=True)

_MATRICES: tuple[Matrix, ...] = ("bt601", "bt709", "bt2020", "smpte240m", "fcc", "rgb")
_RGB = YuvEncoding("rgb", subsampling="444")


@pytest.fixture(autouse=True)
def _own_constants() -> Iterator[None]:
    """Constants made here have no memory."""
    constant.cache_clear()
    yield
    constant.cache_clear()


class _Network:
    """Gives back what it is given."""

    name = "none"
    precision: Precision = "float32"
    device = CUDA

    def run(self, images: torch.Tensor) -> torch.Tensor:
        return images


def _planes(encoding: YuvEncoding, *, alpha: bool) -> YuvFrames:
    dtype = torch.uint8 if encoding.depth == 8 else torch.uint16
    halved = {"420": (16, 24), "422": (32, 24), "444": (32, 48)}[encoding.subsampling]
    luma, chroma, transparency = (
        torch.empty(shape, dtype=dtype, device=CUDA)
        for shape in ((2, 32, 48), (2, 2, *halved), (2, 32, 48))
    )
    return YuvFrames(luma, chroma, transparency if alpha else None)


def _traffic(
    source: YuvEncoding,
    target: YuvEncoding,
    *,
    tone_mapping: ToneMapping | None = None,
    alpha: bool = False,
    **options: Any,
) -> list[str]:
    """What travels with the second batch of a film."""
    stylizer = Stylizer(find_style("identity"), **options)
    stylizer._video_engine = _Network()
    with watched() as traffic:
        planes = _planes(source, alpha=alpha)
        for _ in range(2):
            traffic.found.clear()
            made = stylizer._made(planes, source, target, tone_mapping)
            stylizer.finished(planes, made, source, target)
    return traffic.found


@pytest.mark.parametrize("matrix", _MATRICES)
@pytest.mark.parametrize("depth", [8, 10])
def test_no_conversion_of_colours_waits_for_the_device(matrix: Matrix, depth: int) -> None:
    source = YuvEncoding(matrix, depth=depth, subsampling="444" if matrix == "rgb" else "420")
    assert _traffic(source, YuvEncoding("bt709"), alpha=True) == []


@pytest.mark.parametrize("target", [YuvEncoding("bt709"), YuvEncoding("bt601"), _RGB])
def test_keeping_colours_does_not_wait_for_the_device(target: YuvEncoding) -> None:
    assert _traffic(YuvEncoding("bt709"), target, keep_colors=True) == []


@pytest.mark.parametrize("mapping", [ToneMapping("pq"), ToneMapping("hlg", primaries="p3")])
def test_tone_mapping_does_not_wait_for_the_device(mapping: ToneMapping) -> None:
    source = YuvEncoding("bt2020", depth=10, siting="topleft")
    assert _traffic(source, YuvEncoding("bt709"), tone_mapping=mapping) == []


@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - {"texture"}))
def test_no_network_waits_for_the_device(architecture: str) -> None:
    network = generator_class(architecture)(width=4).eval()
    tensors = dict(chain(network.named_parameters(), network.named_buffers()))
    with watched() as traffic:
        on_device = {
            name: torch.empty(tensor.shape, dtype=tensor.dtype, device=CUDA)
            for name, tensor in tensors.items()
        }
        images = torch.empty(1, 3, 61, 90, device=CUDA)
        torch.func.functional_call(network, on_device, (images,))
    assert traffic.found == []


def test_what_waits_is_found() -> None:
    with watched() as traffic:
        images = torch.empty(1, 3, 4, 4, device=CUDA)
        images * 2 + torch.tensor(3.0)  # numbers of the CPU travel with the kernels
        assert traffic.found == []
        images.new_tensor((1.0, 2.0))
        images.cpu()
        torch.ones(3).to(CUDA)
        assert traffic.found == ["torch.Tensor.new_tensor", "torch.Tensor.cpu", "torch.Tensor.to"]
        with pytest.raises(Exception, match=r"Data dependent|data-dependent|_local_scalar"):
            images.sum().item()
