"""`nst.Stylizer` and `nst.StylizeBatches`: pictures in memory, here and in other processes."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import nst
from nst_core.checkpoints.library import Style
from nst_core.errors import InputError
from nst_core.stylizer import Stylizer
from tests.kit.media import moving_picture
from tests.kit.stroke_packs import save_stroke_pack

_ROUNDING = 1
"""By which a picture computed alone differs from the same one among others."""


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == threads  # they are the caller's


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_stroke_pack(tmp_path_factory.mktemp("pack") / "pack.safetensors")


def test_a_picture_gets_the_pixels_that_the_command_gives_it(
    pack: Path, photos: Path, tmp_path: Path
) -> None:
    how = {"strength": 0.8, "keep_colors": True, "engine": "torch", "stroke": 2.0}
    nst.stylize_images(photos, tmp_path, style=f"{pack}:wave", format="png", **how)  # type: ignore[arg-type]
    stylizer = nst.Stylizer(f"{pack}:wave", **how)  # type: ignore[arg-type]
    for name in ("even/0", "odd/9"):
        picture = Image.open(photos / f"{name}.jpg")
        with Image.open(tmp_path / f"{name}.png") as written:
            np.testing.assert_array_equal(np.asarray(stylizer(picture)), np.asarray(written))
    assert stylizer.engine.startswith("torch")


def test_arrays_come_alone_or_together(style: Style) -> None:
    stylizer = nst.Stylizer(style, engine="torch")
    pictures = np.stack([moving_picture(number) for number in range(2)])
    together = stylizer(pictures)
    np.testing.assert_array_equal(together, Stylizer(style, engine="torch").stylize(pictures))
    np.testing.assert_allclose(together[1].astype(int), stylizer(pictures[1]), atol=_ROUNDING)


def test_it_goes_to_other_processes_without_the_file(pack: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    own.write_bytes(pack.read_bytes())
    stylizer = nst.Stylizer(f"{own}:scream", engine="torch")
    picture = moving_picture(0)
    expected = stylizer(picture)
    sent = pickle.dumps(stylizer)
    own.unlink()
    np.testing.assert_array_equal(pickle.loads(sent)(picture), expected)  # noqa: S301


def test_what_a_style_cannot_do_is_said_at_once(style: Style) -> None:
    with pytest.raises(InputError, match="one size of strokes"):
        nst.Stylizer(style, stroke=2)
    with pytest.raises(InputError, match="draws no noise"):
        nst.Stylizer(style, noise=1)
    with pytest.raises(nst.NstError, match="did you mean wave"):
        nst.load_style("wavee")


def test_a_strength_of_another_style_is_refused() -> None:
    with pytest.raises(InputError, match="none of the styles is called so"):
        nst.Stylizer("wave", strengths={"wavee": 0.1})


def test_batches_of_one_size_and_of_several_are_stylized(style: Style) -> None:
    stylize = nst.StylizeBatches(style, column="photo", engine="torch")
    pictures = np.stack([moving_picture(number) for number in range(3)])
    batch = {"photo": pictures, "label": np.arange(3)}
    stylized = pickle.loads(pickle.dumps(stylize))(batch)  # noqa: S301
    assert stylized["label"] is batch["label"]
    np.testing.assert_array_equal(
        stylized["photo"], Stylizer(style, engine="torch").stylize(pictures)
    )
    ragged = np.empty(2, object)
    ragged[:] = [moving_picture(0), moving_picture(1, 80, 48)]
    several = stylize({"photo": ragged})["photo"]
    assert [each.shape for each in several] == [(64, 96, 3), (48, 80, 3)]
    np.testing.assert_allclose(several[0].astype(int), stylized["photo"][0], atol=_ROUNDING)
    np.testing.assert_array_equal(ragged[0], moving_picture(0))
    with pytest.raises(InputError, match="column photo: the batches have image, label"):
        stylize({"image": pictures, "label": np.arange(3)})


def test_a_dataset_of_ray_is_stylized_by_actors(photos: Path, ray_here: None) -> None:
    import ray

    paths = sorted(map(str, photos.rglob("*.jpg")))[:4]
    read = ray.data.read_images(paths, include_paths=True)
    stylized = read.map_batches(
        nst.StylizeBatches,
        fn_constructor_kwargs={"style": nst.load_style("identity"), "strength": 0.5},
        concurrency=1,
    )
    rows = {row["path"]: row["image"] for row in stylized.take_all()}
    for path in paths:
        np.testing.assert_array_equal(rows[path], np.asarray(Image.open(path)))
