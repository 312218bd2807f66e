"""A painting becomes a style: fitted once, found again by its content, or by a name."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.applying.stylize_images import stylize_images
from jobs.applying.stylize_video import stylize_videos
from jobs.cli.options import complete
from jobs.fitting import fit as fitting
from jobs.specs.applying import PoolSpec, StylizeImages, StylizeVideo
from jobs.specs.fitting import FitStyle
from nst_core.checkpoints.checkpoint import read_state
from nst_core.checkpoints.fitted import find_fitted, fitted_styles, path_by_content, remove_fitted
from nst_core.checkpoints.library import Style, find_style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import CheckpointError, InputError, StyleNotFitted, TrainingDiverged
from nst_core.networks.conditional_norm import row_keys
from nst_core.networks.lean import LeanNet
from nst_core.stylizer import Stylizer
from nst_core.training.trainer import GeneratorTrainer
from pipeline.work.progress import Progress
from tests.kit.command_line import nst
from tests.kit.image_jobs import counts, images_job
from tests.kit.media import moving_picture


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vgg19_file: Path) -> None:
    """Fit on small crops of a small painting, into folders of this test's own."""
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NST_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("NST_LOSS_NETWORK_WEIGHTS", str(vgg19_file))
    settings = dataclasses.replace(fitting.SETTINGS, image_size=32)
    monkeypatch.setattr(fitting, "SETTINGS", settings)
    monkeypatch.setattr(fitting, "STYLE_SIZE", 64)


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    path = tmp_path / "my, painting.png"
    pixels = np.random.default_rng(5).integers(0, 255, (12, 16, 3), np.uint8)
    Image.fromarray(pixels).resize((96, 72), Image.Resampling.NEAREST).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(moving_picture(number, 80, 64)).save(folder / f"{number}.png")
    return folder


def _fit(painting: Path, *content: Path, **options: object) -> Path:
    content_ = tuple(map(str, content))
    job = FitStyle(painting=painting, content=content_, fit_steps=2, calibrate=False)
    return fitting.fit_style(dataclasses.replace(job, **options))  # type: ignore[arg-type]


def _quick(job: StylizeImages, steps: int | None = 2) -> StylizeImages:
    style = dataclasses.replace(job.styles[0], fit_steps=steps, engine="torch")
    return dataclasses.replace(job, styles=(style,))


def test_only_the_normalisations_are_fitted_and_the_bundled_styles_stay(
    painting: Path, photos: Path
) -> None:
    base, base_info = read_state(find_style("wave").path or Path())
    state, info = read_state(_fit(painting, photos))
    assert info.styles == (*base_info.styles, "my_ painting")
    assert info.arguments == base_info.arguments | {"upsampling": "bilinear"}
    rows = row_keys(LeanNet(24))
    for name, tensor in base.items():
        kept = state[name][: len(tensor)] if name in rows else state[name]
        assert torch.equal(kept, tensor), name
    means = base[rows[0]].reshape(len(base_info.styles), 3, -1).mean(dim=0)
    assert not torch.allclose(state[rows[0]][-3:], means)


def test_what_one_stroke_learns_the_others_learn_too(
    painting: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only crop of the only step is of the first stroke."""
    settings = dataclasses.replace(fitting.SETTINGS, batch_size=1, average=0.0)
    monkeypatch.setattr(fitting, "SETTINGS", settings)
    base, info = read_state(find_style("wave").path or Path())
    state, _ = read_state(_fit(painting, photos, fit_steps=2))
    for name in row_keys(LeanNet(24))[:2]:
        means = base[name].reshape(len(info.styles), 3, -1).mean(dim=0)
        assert (state[name][-3:] - means).abs().amax(dim=1).min() > 1e-4


def test_a_fit_lowers_the_objective(painting: Path, photos: Path) -> None:
    losses = []
    for steps in (1, 12):
        path = _fit(painting, photos, fit_steps=steps)
        losses.append(read_state(path)[1].training["extensions"][-1]["losses"]["style"])
    assert losses[1] < 0.8 * losses[0]


def test_pictures_are_stylized_by_a_painting_which_is_fitted_once(
    painting: Path, photos: Path, tmp_path: Path
) -> None:
    told: list[Progress] = []
    job = _quick(images_job(photos, tmp_path / "out", str(painting)))
    assert counts(stylize_images(job, told.append)) == (3, 3, 0, 0)
    assert [each for each in told if each.unit == "steps" and each.done == 2]
    told.clear()
    again = dataclasses.replace(job, output=str(tmp_path / "again"))
    assert counts(stylize_images(again, told.append)) == (3, 3, 0, 0)
    assert not [each for each in told if each.unit == "steps"]
    for name in ("0.png", "2.png"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert counts(stylize_images(job)) == (3, 0, 3, 0)


def test_the_painting_is_known_by_its_content_wherever_it_lies(
    painting: Path, photos: Path, tmp_path: Path
) -> None:
    _fit(painting, photos)
    moved = tmp_path / "elsewhere" / "moved.png"
    moved.parent.mkdir()
    shutil.copy(painting, moved)
    style = find_style(str(moved))
    assert style.name == "moved"
    assert style.fingerprint == find_style(str(painting)).fingerprint
    Image.open(painting).transpose(Image.Transpose.ROTATE_90).save(moved)
    with pytest.raises(StyleNotFitted, match="nst styles fit"):
        find_style(str(moved))


def test_other_steps_fit_it_again(painting: Path, photos: Path, tmp_path: Path) -> None:
    _fit(painting, photos)
    for steps, fitted in ((1, 1), (None, 1)):
        job = images_job(photos, tmp_path / str(steps), str(painting))
        stylize_images(_quick(job, steps))
        found = find_fitted(str(painting))
        assert found is not None
        assert found.steps == fitted


@pytest.mark.slow
def test_a_film_is_stylized_by_a_painting_fitted_on_its_own_frames(
    painting: Path, clip: Path, tmp_path: Path
) -> None:
    job = StylizeVideo(
        inputs=(clip,),
        output=tmp_path / "out.mp4",
        style=StyleSpec(str(painting), fit_steps=1),
        pool=PoolSpec(workers=0),
    )
    assert stylize_videos(job).inputs[0].status == "done"
    style = find_style(str(painting))
    assert style.training["content"] == clip.name
    assert style.eight_bit is not None


def test_a_style_for_pictures_is_not_calibrated_nor_are_the_bundled_ones_beside_it(
    painting: Path, photos: Path, tmp_path: Path
) -> None:
    stylize_images(_quick(images_job(photos, tmp_path / "out", str(painting))))
    style = find_style(str(painting))
    assert style.eight_bit is None
    assert find_style(f"{painting}:wave").eight_bit is None  # its network enlarges otherwise


def test_a_named_style_is_found_by_its_name_and_mixes_with_bundled_ones(
    painting: Path, photos: Path
) -> None:
    _fit(painting, photos, name="mine")
    alone, mixed = find_style("mine"), find_style("mine:mine=0.25,wave=0.75")
    assert alone.mixture == (("mine", 1.0),)
    assert mixed.mixture == (("wave", 0.75), ("mine", 0.25))
    frame = moving_picture(0)
    pictures = [
        Stylizer(each.with_stroke(0.5), engine="torch").stylize(frame).astype(float)
        for each in (alone, mixed, find_style("wave"))
    ]
    assert np.abs(pictures[1] - pictures[2]).mean() < np.abs(pictures[0] - pictures[2]).mean()
    assert not path_by_content(painting).exists()


def test_a_painting_called_like_a_bundled_style_is_still_its_own(
    painting: Path, photos: Path, tmp_path: Path
) -> None:
    wave = tmp_path / "wave.png"
    shutil.copy(painting, wave)
    _fit(wave, photos)
    assert find_style(str(wave)).name == "wave"
    assert find_style(str(wave)).fingerprint != find_style("wave").fingerprint
    assert find_style("wave").path != find_style(str(wave)).path


def test_what_was_fitted_is_listed_and_removed(painting: Path, photos: Path) -> None:
    named, unnamed = _fit(painting, photos, name="mine"), _fit(painting, photos)
    assert [(style.name, style.is_named) for style in fitted_styles()] == [
        ("mine", True),
        ("my_ painting", False),
    ]
    listed = json.loads(nst("styles", "list", "--json").out)["fitted"]
    assert [each["name"] for each in listed] == ["mine", "my_ painting"]
    assert complete("stylize")("mi") == ["mine"]
    shown = nst("styles", "show", painting).out
    assert painting.name in shown
    assert "strokes" in shown
    assert remove_fitted("mine") == named
    assert remove_fitted(painting.name) == unnamed
    assert not named.exists()
    assert list(unnamed.parent.iterdir()) == []
    with pytest.raises(InputError, match="there are none"):
        remove_fitted("mine")


@pytest.mark.slow
def test_two_pictures_of_one_name_are_not_confused(
    painting: Path, photos: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / painting.name
    other.parent.mkdir()
    Image.open(painting).transpose(Image.Transpose.ROTATE_180).save(other)
    _fit(painting, photos)
    _fit(other, photos)
    with pytest.raises(InputError, match="2 pictures of this name"):
        remove_fitted(painting.name)
    assert remove_fitted(str(other)) == path_by_content(other)


def test_the_command_fits_ahead_and_only_once(painting: Path, photos: Path) -> None:
    how = ("--content", str(photos), "--fit-steps", "1", "--no-calibrate")
    line = ("styles", "fit", str(painting), *how)
    first = json.loads(nst(*line, "--json").out)
    preview = Path(first["preview"])
    drawn = preview.stat().st_mtime_ns
    with Image.open(preview) as picture:
        assert picture.height > 300
    assert "fitted before, in 1 step" in nst(*line).error
    assert preview.stat().st_mtime_ns == drawn
    assert nst(*line, "--overwrite").code == 0
    assert preview.stat().st_mtime_ns > drawn
    assert nst(*line, "--name", "mine").code == 0
    assert "--overwrite" in nst(*line, "--name", "mine").error_line


@pytest.mark.slow
def test_without_contents_the_scene_of_the_demo_is_fitted_on(painting: Path) -> None:
    assert read_state(_fit(painting))[1].training["extensions"][-1]["content"] == "the demo's scene"


def test_a_fit_that_diverges_begins_again_more_slowly(
    painting: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, rates = GeneratorTrainer.step, []

    def diverging(self: GeneratorTrainer, *args: object) -> dict[str, float]:
        rates.append(self.rate_factor)
        if len(rates) < 3:
            raise TrainingDiverged("too fast")
        return step(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(GeneratorTrainer, "step", diverging)
    _fit(painting, photos)
    assert rates == pytest.approx([1, 0.3, 0.09, 0.09])


def test_an_interrupted_fit_leaves_nothing_that_would_be_taken_for_a_style(
    painting: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(GeneratorTrainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _fit(painting, photos)
    assert fitted_styles() == []
    assert list(path_by_content(painting).parent.iterdir()) == []
    with pytest.raises(StyleNotFitted):
        find_style(str(painting))


def test_a_damaged_style_is_fitted_anew_or_removed(painting: Path, photos: Path) -> None:
    unnamed, named = _fit(painting, photos), _fit(painting, photos, name="mine")
    for path in (unnamed, named):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(StyleNotFitted):
        find_style(str(painting))
    with pytest.raises(CheckpointError, match="mine"):
        find_style("mine")
    assert remove_fitted("mine") == named
    _fit(painting, photos)
    assert find_style(str(painting)).path == unnamed


def test_what_is_no_picture_is_not_read_to_look_for_its_style(
    style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> str:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr("nst_core.checkpoints.fitted.fingerprint", read)
    assert find_style(str(style.path)).name == style.name


def test_a_folder_that_cannot_be_written_is_told_before_the_first_step(
    painting: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "file"))
    ended = nst("styles", "fit", painting, "--content", photos)
    assert ended.code == 2
    assert "file" in ended.error_line


def test_a_machine_without_weights_is_told_what_to_do(
    painting: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NST_LOSS_NETWORK_WEIGHTS")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    output = tmp_path / "out"
    ended = nst("stylize", "images", photos, "-o", output, "--style", painting)
    assert ended.code == 2
    last = ended.error.splitlines()[-1]
    assert last.startswith("error: no weights for the loss network vgg19")
    assert "--loss-network-weights FILE" in last
    assert not output.exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one pixel", "CMYK", "16 bits", "palette", "transparent"])
def test_paintings_of_every_kind_are_fitted(kind: str, photos: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (40, 50, 3), np.uint8)
    picture, name = Image.fromarray(noise), "p.png"
    if kind == "one pixel":
        picture = picture.crop((0, 0, 1, 1))
    elif kind == "CMYK":
        picture, name = picture.convert("CMYK"), "p.jpg"
    elif kind == "16 bits":
        picture = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    elif kind == "palette":
        picture, name = picture.quantize(16), "p.gif"
    else:
        picture = picture.convert("RGBA")
        picture.putalpha(100)
    path = tmp_path / name
    picture.save(path)
    _fit(path, photos, fit_steps=1)
    assert find_style(str(path)).name == "p"


def test_a_slender_picture_is_no_painting(photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "line.png"
    Image.new("RGB", (900, 100)).save(path)
    with pytest.raises(InputError, match="900x100 pixels, more than 8 times"):
        _fit(path, photos)
