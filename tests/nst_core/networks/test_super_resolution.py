from __future__ import annotations

import pytest
import torch

from nst_core.networks.super_resolution import SuperResolutionNet


@pytest.mark.parametrize(("scale", "parameters"), [(4, 401_859), (8, 438_915)])
def test_parameter_counts_are_the_papers(scale: int, parameters: int) -> None:
    assert sum(p.numel() for p in SuperResolutionNet(scale).parameters()) == parameters


@pytest.mark.parametrize("scale", [4, 8])
@pytest.mark.parametrize("size", [(72, 72), (33, 21), (1, 1)])
def test_the_output_is_scale_times_larger(scale: int, size: tuple[int, int]) -> None:
    network = SuperResolutionNet(scale, width=4).eval()
    with torch.no_grad():
        output = network(torch.rand(2, 3, *size))
    assert output.shape == (2, 3, scale * size[0], scale * size[1])
    assert output.min() >= 0
    assert output.max() <= 1


def test_padding_is_zero_as_in_the_paper() -> None:
    network = SuperResolutionNet(4, width=4)
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 1 + 2 * 4 + 1
    assert all(conv.padding_mode == "zeros" for conv in convolutions)


def test_a_picture_does_not_depend_on_its_batch_at_test_time() -> None:
    network = SuperResolutionNet(4, width=4).eval()
    pictures = torch.rand(3, 3, 12, 10)
    with torch.no_grad():
        together = network(pictures)
        apart = torch.cat([network(picture[None]) for picture in pictures])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [1, 2, 3, 16])
def test_other_scales_are_refused(scale: int) -> None:
    with pytest.raises(ValueError, match="4 or 8"):
        SuperResolutionNet(scale)
