from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.applying.stylize_images import stylize_images
from jobs.specs.applying import StylizeImages
from jobs.specs.training import TrainStyle
from nst_core.checkpoints.library import Style, find_style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.color.pixels import to_tensor
from nst_core.errors import InputError
from nst_core.objectives.loss_network import load_loss_network_weights
from nst_core.objectives.refinement import Refinement
from nst_core.objectives.settings import ObjectiveSettings
from nst_core.objectives.trained_objective import trained_objective, trained_settings
from nst_core.pictures.reading import read_rgb
from nst_core.stylizer import Stylizer
from pipeline.pictures.report import StylizeImagesReport
from tests.kit.image_jobs import contents, counts, images_job
from tests.kit.media import moving_picture
from tests.kit.trained_styles import style_training, trained


@pytest.fixture(scope="module")
def training(
    photos: Path, vgg19_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> TrainStyle:
    """That of a style which is there; its objective looks at the first layers, to be fast."""
    folder = tmp_path_factory.mktemp("trained")
    paintings = (folder / "wave.png", folder / "scream.png")
    picture = Image.fromarray(moving_picture(0))
    picture.save(paintings[0])
    picture.point(lambda value: 255 - value // 2).save(paintings[1])
    training = style_training(paintings[:1], photos, vgg19_file, folder / "style.safetensors")
    layers = ObjectiveSettings(style_layers=("relu1_1@0.5",), content_layers=("relu2_1@0.25",))
    training = dataclasses.replace(training, objective=layers)
    trained(training)
    return training


@pytest.fixture
def job(training: TrainStyle, tmp_path: Path) -> StylizeImages:
    pictures = tmp_path / "in"
    for number, name in enumerate(("a.png", "b/c.jpg")):
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(moving_picture(number, 64, 48)).save(pictures / name)
    job = images_job(
        pictures,
        tmp_path / "out",
        str(training.output),
        refine=3,
        refine_styles=training.style_images,
    )
    style = dataclasses.replace(job.styles[0], loss_network_weights=training.loss_network_weights)
    return dataclasses.replace(job, styles=(style,))


def _run(job: StylizeImages, **changes: object) -> StylizeImagesReport:
    return stylize_images(dataclasses.replace(job, **changes))  # type: ignore[arg-type]


def test_refined_pictures_have_a_lower_objective_than_the_generators(
    job: StylizeImages, tmp_path: Path
) -> None:
    report = _run(job, refine=15)
    assert counts(report) == (2, 2, 0, 0), report.failures
    assert counts(_run(job, output=str(tmp_path / "plain"), refine=0, refine_styles=())) == (
        *(2, 2),
        *(0, 0),
    )
    style = find_style(job.styles[0].style)
    weights = load_loss_network_weights("vgg19", job.styles[0].loss_network_weights)
    objective = trained_objective(style, read_rgb(job.refine_styles[0]), weights)
    totals = [
        objective(to_tensor(read_rgb(folder / "a.png")), _source(job, "a.png")).total.item()
        for folder in (Path(job.output), tmp_path / "plain")
    ]
    assert totals[0] < 0.9 * totals[1]


def _source(job: StylizeImages, name: str) -> torch.Tensor:
    return to_tensor(read_rgb(Path(job.sources[0]) / name))


def test_the_report_says_hybrid(job: StylizeImages) -> None:
    assert _run(job).engine.startswith("hybrid: ")


def test_it_goes_on_with_what_was_refined_alike_and_with_nothing_else(
    job: StylizeImages, tmp_path: Path
) -> None:
    _run(job)
    refined = contents(Path(job.output))
    assert counts(_run(job)) == (2, 0, 2, 0)
    assert contents(Path(job.output)) == refined
    assert counts(_run(job, refine=4, overwrite=True)) == (2, 2, 0, 0)
    other = Image.open(job.refine_styles[0]).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    other.rotate(90).save(tmp_path / "other.png")
    other_painting = (tmp_path / "other.png",)
    changed = dataclasses.replace(job, refine=4, refine_styles=other_painting, overwrite=True)
    assert counts(_run(changed)) == (2, 2, 0, 0)
    assert counts(_run(changed, refine=0, refine_styles=())) == (2, 2, 0, 0)


def test_strength_and_colours_come_after_the_refinement(job: StylizeImages, tmp_path: Path) -> None:
    _run(job, format="png")
    spec = dataclasses.replace(job.styles[0], strength=0.5)
    _run(job, format="png", styles=(spec,), output=str(tmp_path / "half"))
    source = np.asarray(Image.open(Path(job.sources[0]) / "a.png").convert("RGB"), float)
    whole = np.asarray(Image.open(Path(job.output) / "a.png"), float)
    half = np.asarray(Image.open(tmp_path / "half" / "a.png"), float)
    np.testing.assert_allclose(half, (source + whole) / 2, atol=1.01)


def test_a_painting_given_as_a_style_need_not_be_named_again(
    job: StylizeImages, training: TrainStyle
) -> None:
    painting = training.style_images[0]
    own = dataclasses.replace(job, styles=(StyleSpec(str(painting)),), refine_styles=())
    assert own.refine_styles == (painting,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"refine_styles": ()}, "0 paintings for 1 style.*--refine-style PICTURE"),
        ({"refine": 0}, "--refine-style without --refine"),
        ({"refine": -1}, "--refine -1"),
        ({"styles": (StyleSpec("identity"),)}, "identity"),
        ({"tile": 64}, "--tile"),
        ({"refine_styles": (Path("missing.jpg"),)}, "--refine-style missing.jpg: no such file"),
        (
            {"styles": (StyleSpec("wave", loss_network_weights=Path("missing.pth")),)},
            "missing.pth: no such file",
        ),
    ],
)
def test_what_a_refinement_lacks_is_told_before_any_work(
    changes: dict[str, object], message: str, job: StylizeImages
) -> None:
    with pytest.raises(InputError, match=message):
        _run(job, **changes)
    assert not Path(job.output).exists()


def test_a_style_without_an_objective_and_a_mixture_are_refused(
    job: StylizeImages, training: TrainStyle, style: Style, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"--refine 3.*no style objective"):
        _run(job, styles=(dataclasses.replace(job.styles[0], style=str(style.path)),))
    wave = training.style_images[0]
    paintings = (wave, wave.with_name("scream.png"))
    pack = dataclasses.replace(
        training, style_images=paintings, output=tmp_path / "pack.safetensors"
    )
    trained(pack)
    mixture = dataclasses.replace(job.styles[0], style=f"{pack.output}:wave=1,scream=1")
    with pytest.raises(InputError, match=r"--refine 3.*mixture"):
        _run(job, styles=(mixture,))
    for name, painting in zip(("wave", "scream"), paintings, strict=True):
        chosen = (dataclasses.replace(job.styles[0], style=f"{pack.output}:{name}"),)
        report = _run(job, styles=chosen, refine_styles=(painting,), overwrite=True)
        assert report.done == 2


def test_pictures_too_large_and_too_small_are_among_the_failures_and_the_rest_is_done(
    job: StylizeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nst_core.objectives.refinement.MOST_PIXELS", 70 * 70)
    for name, size in (("large.png", (80, 80)), ("least.png", (8, 40)), ("small.png", (7, 40))):
        Image.fromarray(moving_picture(0, *size)).save(Path(job.sources[0]) / name)
    report = _run(job, refine=1)
    assert counts(report) == (5, 3, 0, 2)
    errors = {Path(each["path"]).name: each["error"] for each in report.failures}
    assert "large.png: --refine: 80x80" in errors["large.png"]
    assert "--max-side 70" in errors["large.png"]
    assert "8x8 at least" in errors["small.png"]


def test_the_objective_is_that_of_the_stroke(job: StylizeImages, training: TrainStyle) -> None:
    """Painting and weight are those that the stroke was trained with; between two, of both."""
    record = {
        **find_style(str(training.output)).training,
        "styles": ["wave", "scream"],
        "strokes": [0.5, 1.0, 2.0],
        "style_factors": [1.0, 1.0, 1.0, 0.5, 1.0, 4.0],
    }
    info = find_style(str(training.output)).info
    assert info is not None
    told = dataclasses.replace(
        info, training=record, styles=("wave", "scream"), strokes=(0.5, 1.0, 2.0)
    )
    weights = load_loss_network_weights("vgg19", job.styles[0].loss_network_weights)
    for stroke, factor in ((0.5, 0.5), (1.0, 1.0), (2**0.5, 2.0), (2.0, 4.0)):
        style = Style("scream", Path("pack"), told, (("scream", 1.0),), stroke=stroke)
        settings = trained_settings(style, weights)
        assert settings.style_weight == pytest.approx(5 * factor), stroke


def test_noise_that_a_generator_draws_is_refined_too(
    job: StylizeImages, training: TrainStyle, tmp_path: Path
) -> None:
    trained(
        dataclasses.replace(
            training, architecture="texture", width=32, output=tmp_path / "t.safetensors"
        )
    )
    style = find_style(str(tmp_path / "t.safetensors"))
    weights = load_loss_network_weights("vgg19", job.styles[0].loss_network_weights)
    refinement = Refinement(2, read_rgb(job.refine_styles[0]), weights)
    picture = moving_picture(0, 64, 48)
    refined = Stylizer(style, refinement=refinement, threads=1).stylize(picture)
    plain = Stylizer(style, threads=1).stylize(picture)
    assert refined.shape == plain.shape
    assert not np.array_equal(refined, plain)
