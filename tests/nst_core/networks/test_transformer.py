from __future__ import annotations

import pytest
import torch

from nst_core.networks.transformer import TransformerNet


@pytest.mark.parametrize(("width", "parameters"), [(32, 1_679_235), (16, 424_899)])
def test_parameter_counts_are_the_papers(width: int, parameters: int) -> None:
    assert sum(p.numel() for p in TransformerNet(width).parameters()) == parameters


@pytest.mark.parametrize("size", [(64, 96), (333, 217), (17, 16), (5, 70), (1, 1)])
def test_any_size_comes_back_the_same_size(size: tuple[int, int]) -> None:
    with torch.no_grad():
        output = TransformerNet(4)(torch.rand(1, 3, *size))
    assert output.shape == (1, 3, *size)
    assert torch.isfinite(output).all()


def test_output_is_in_the_unit_range() -> None:
    with torch.no_grad():
        output = TransformerNet(4)(torch.rand(2, 3, 32, 32) * 3 - 1)
    assert output.min() >= 0
    assert output.max() <= 1


def test_input_is_not_changed() -> None:
    image = torch.rand(1, 3, 30, 31)
    before = image.clone()
    with torch.no_grad():
        TransformerNet(4)(image)
    torch.testing.assert_close(image, before, rtol=0, atol=0)


def test_shift_and_scale_of_the_input_do_not_matter() -> None:
    # What instance normalisation promises, and why no mean is subtracted on the way in.
    image = torch.rand(1, 3, 32, 32)
    network = TransformerNet(8).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(image * 2 + 0.5), network(image), rtol=1e-3, atol=1e-3)


def test_a_batch_is_stylized_picture_by_picture() -> None:
    pictures = torch.rand(3, 3, 32, 32)
    network = TransformerNet(4).eval()
    with torch.no_grad():
        together = network(pictures)
        apart = torch.cat([network(picture[None]) for picture in pictures])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)


def test_width_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="width 0"):
        TransformerNet(0)
