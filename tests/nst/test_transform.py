"""`nst.RandomStyle`: a transform among those of torchvision, for what is trained on."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

import nst
from nst_core.checkpoints.library import Style
from nst_core.errors import InputError
from nst_core.stylizer import Stylizer
from tests.kit.media import moving_picture


@pytest.fixture
def image() -> torch.Tensor:
    """3 x H x W, uint8."""
    return torch.from_numpy(moving_picture(0)).permute(2, 0, 1)


def _always(style: Style, **how: Any) -> Any:
    return nst.RandomStyle(style, p=1.0, engine="torch", **how)


def test_images_of_every_kind_are_stylized_alike(style: Style, image: torch.Tensor) -> None:
    transform = _always(style, strength=(1.0, 1.0))
    expected = Stylizer(style, engine="torch").stylize(moving_picture(0))
    np.testing.assert_array_equal(
        np.asarray(transform(Image.fromarray(moving_picture(0)))), expected
    )
    tensor = torch.from_numpy(expected).permute(2, 0, 1)
    assert torch.equal(transform(image), tensor)
    torch.testing.assert_close(transform(image.float() / 255), tensor.float() / 255)
    video = transform(tv_tensors.Video(image.expand(1, 2, 3, -1, -1)))
    assert isinstance(video, tv_tensors.Video)
    assert (video[0, 1].int() - tensor.int()).abs().max() <= 1  # two frames are computed at once


def test_what_is_no_image_passes(style: Style, image: torch.Tensor) -> None:
    sample = {
        "image": tv_tensors.Image(image),
        "boxes": tv_tensors.BoundingBoxes([[1, 2, 3, 4]], format="XYXY", canvas_size=(64, 96)),
        "mask": tv_tensors.Mask(image[0]),
        "label": 3,
    }
    both = v2.Compose([_always(style), v2.ToDtype(torch.float32, scale=True)])
    result = both(sample)
    assert isinstance(result["image"], tv_tensors.Image)
    assert result["image"].dtype == torch.float32
    assert not torch.equal(result["image"], image.float() / 255)
    assert torch.equal(result["boxes"], sample["boxes"])
    assert torch.equal(result["mask"], sample["mask"])
    assert result["label"] == 3


def test_chance_is_torchs_and_decides_whether_and_how_much(
    style: Style, image: torch.Tensor
) -> None:
    transform = nst.RandomStyle([style, "identity"], p=0.5, strength=(0.2, 0.9), engine="torch")
    torch.manual_seed(1)
    drawn = [transform.make_params([image]) for _ in range(400)]
    done = [each for each in drawn if each["stylizer"] is not None]
    assert 150 < len(done) < 250
    strengths = [each["strength"] for each in done]
    assert 0.2 <= min(strengths) < 0.25
    assert 0.85 < max(strengths) <= 0.9
    assert {each["stylizer"].style.name for each in done} == {style.name, "identity"}
    torch.manual_seed(1)
    assert transform.make_params([image])["stylizer"] is drawn[0]["stylizer"]
    half = _always(style, strength=(0.5, 0.5))(image).int()
    full = _always(style, strength=(1.0, 1.0))(image).int()
    assert (half - (image.int() + full) / 2).abs().max() <= 0.5


def test_it_goes_to_the_workers_of_a_loader(style: Style, image: torch.Tensor) -> None:
    transform = _always(style, strength=(1.0, 1.0))
    expected = transform(image)
    assert torch.equal(pickle.loads(pickle.dumps(transform))(image), expected)  # noqa: S301


def test_what_cannot_be_is_refused(style: Style, image: torch.Tensor) -> None:
    with pytest.raises(InputError, match="a probability"):
        nst.RandomStyle(style, p=1.5)
    with pytest.raises(InputError, match="ascending"):
        nst.RandomStyle(style, strength=(0.8, 0.2))
    with pytest.raises(InputError, match="3 x H x W is needed"):
        _always(style)(image[:1])
