from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from PIL import Image

from jobs.applying.optimize import optimize
from jobs.specs.single import OPTIMIZE_OBJECTIVE, Optimize
from nst_core.errors import InputError
from pipeline.work.progress import Progress
from tests.kit.command_line import nst
from tests.kit.media import moving_picture


@pytest.fixture
def job(vgg19_file: Path, tmp_path: Path) -> Optimize:
    Image.fromarray(moving_picture(0)).save(tmp_path / "photo.png")
    Image.fromarray(moving_picture(20)).rotate(90).save(tmp_path / "painting.png")
    return Optimize(
        content=tmp_path / "photo.png",
        style_image=tmp_path / "painting.png",
        output=tmp_path / "painted.png",
        steps=6,
        image_size=48,
        loss_network_weights=vgg19_file,
        device="cpu",
    )


@pytest.mark.parametrize("init", ["content", "noise", "generator:wave"])
def test_the_picture_is_written_and_the_objective_falls(init: str, job: Optimize) -> None:
    seen: list[Progress] = []
    report = optimize(dataclasses.replace(job, init=init), seen.append)
    with Image.open(job.output) as picture:
        assert picture.size == (48, 32)
        assert picture.format == "PNG"
    assert report.steps == 6
    assert (report.method, report.init) == (
        "hybrid" if init == "generator:wave" else "optimisation",
        init,
    )
    assert report.losses["total"] < report.losses_before["total"]
    assert [progress.done for progress in seen] == list(range(7))


def test_it_starts_from_what_the_nearest_style_makes_of_the_content(
    job: Optimize, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = ["wave", "the_scream"]
    monkeypatch.setattr("jobs.applying.optimization_start.bundled_styles", lambda: chosen)
    totals = {}
    for style in chosen:
        one = dataclasses.replace(job, init=f"generator:{style}", steps=1, overwrite=True)
        totals[style] = optimize(one).losses_before["total"]
    report = optimize(dataclasses.replace(job, init="generator", steps=1, overwrite=True))
    nearest = min(totals, key=lambda style: totals[style])
    assert report.init == f"generator:{nearest}"
    assert report.losses_before["total"] == pytest.approx(totals[nearest], rel=1e-5)
    assert len(set(totals.values())) == 2


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("sky", "content, noise, generator or generator:STYLE"),
        ("noise:wave", "content, noise, generator or generator:STYLE"),
        ("generator:", "content, noise, generator or generator:STYLE"),
        ("generator:waves", "did you mean wave"),
        ("generator:identity", "--init content"),
        ("generator:x4", "nst upscale"),
    ],
)
def test_a_start_that_there_is_not_is_told(init: str, message: str, job: Optimize) -> None:
    with pytest.raises(InputError, match=message):
        optimize(dataclasses.replace(job, init=init))
    assert not job.output.exists()


def test_it_looks_at_the_layers_of_gatys_et_al() -> None:
    assert OPTIMIZE_OBJECTIVE.content_layers == ("relu4_2",)
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    assert OPTIMIZE_OBJECTIVE.style_layers == layers


def test_the_same_seed_gives_the_same_picture(job: Optimize) -> None:
    pictures = []
    for seed in (1, 1, 2):
        optimize(dataclasses.replace(job, init="noise", seed=seed, overwrite=True))
        pictures.append(job.output.read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output": Path("painted.gif")}, r"\.png"),
        ({"output": Path("nowhere/painted.png")}, "no such folder"),
        ({"content": Path("missing.jpg")}, "missing.jpg: no such file"),
        ({"style_image": Path("missing.jpg")}, "missing.jpg: no such file"),
        ({"image_size": 40, "content": "wide"}, "at least 32"),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_written(
    changes: dict[str, object], message: str, job: Optimize, tmp_path: Path
) -> None:
    if changes.get("content") == "wide":
        Image.new("RGB", (400, 50)).save(tmp_path / "wide.png")
        changes = changes | {"content": tmp_path / "wide.png"}
    with pytest.raises(InputError, match=message):
        optimize(dataclasses.replace(job, **changes))  # type: ignore[arg-type]
    assert not job.output.exists()
    assert not list(tmp_path.glob(".*"))


def test_an_output_is_replaced_only_when_told_and_an_input_never(job: Optimize) -> None:
    job.output.write_text("precious")
    with pytest.raises(InputError, match="--overwrite"):
        optimize(job)
    with pytest.raises(InputError, match="its own input"):
        optimize(dataclasses.replace(job, output=job.content, overwrite=True))
    assert job.output.read_text() == "precious"


def test_the_command_reports_json(job: Optimize, vgg19_file: Path) -> None:
    ended = nst(
        *("optimize", job.content, "--style", job.style_image, "-o", job.output),
        *("--steps", "3", "--image-size", "48", "--json", "--loss-network-weights", vgg19_file),
    )
    assert ended.code == 0, ended.error
    report = json.loads(ended.out)
    assert report["steps"] == 3
    assert report["output"] == str(job.output)
    by_hand = optimize(dataclasses.replace(job, steps=3, overwrite=True))
    assert report["losses_before"] == pytest.approx(by_hand.losses_before, rel=1e-3)
    assert job.output.exists()
