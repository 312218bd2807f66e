"""`nst evaluate`: one mode at a time, numbers that an independent computation gives too."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.evaluating.super_resolution import evaluate_super_resolution
from jobs.specs.evaluating import EvaluateGenerator, EvaluateSuperResolution
from nst_core.checkpoints.checkpoint import load_generator, save_generator
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.checkpoints.library import Style
from nst_core.color.histograms import match_histogram
from nst_core.color.pixels import to_picture, to_tensor
from nst_core.errors import InputError, MediaError
from nst_core.measures.image_quality import psnr_y, ssim_y
from nst_core.networks.super_resolution import SuperResolutionNet
from nst_core.objectives.settings import ReconstructionSettings
from nst_core.pictures.reading import read_rgb
from pipeline.work.progress import OnProgress
from tests.kit.command_line import app, nst
from tests.kit.media import moving_picture


@pytest.fixture(scope="module")
def enlarger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of width 4 with random weights that enlarges by 4."""
    path = tmp_path_factory.mktemp("enlarger") / "x4.safetensors"
    torch.manual_seed(6)
    save_generator(
        path,
        SuperResolutionNet(4, width=4),
        CheckpointInfo("super-resolution", {"scale": 4, "width": 4}),
    )
    return path


def _run(*arguments: str | Path) -> None:
    app(["evaluate", *map(str, arguments)], standalone_mode=False)


@pytest.mark.parametrize("match", [False, True])
def test_super_resolution_rows_are_what_pillow_and_the_network_give(
    match: bool, enlarger: Path, photos: Path
) -> None:
    report = evaluate_super_resolution(
        EvaluateSuperResolution(
            str(enlarger), photos, match_histogram=match, engine="torch", device="cpu"
        )
    )
    assert report.match_histogram == match
    assert (report.scale, report.failures, len(report.pictures)) == (4, (), 10)
    row = report.pictures[0]
    picture = read_rgb(photos / row.picture)
    width, height = picture.width // 4 * 4, picture.height // 4 * 4
    assert (row.width, row.height) == (width, height)
    original = picture.crop((0, 0, width, height))
    small = original.resize((width // 4, height // 4), Image.Resampling.BICUBIC)
    enlarged = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
    assert row.bicubic.psnr == pytest.approx(psnr_y(enlarged, np.asarray(original)))
    assert row.bicubic.ssim == pytest.approx(ssim_y(enlarged, np.asarray(original)))
    generator, _ = load_generator(enlarger)
    with torch.no_grad():
        expected = np.asarray(to_picture(generator(to_tensor(small))))
    if match:
        expected = match_histogram(expected, np.asarray(small))
    # A byte may be rounded otherwise here and there.
    assert row.model.psnr == pytest.approx(psnr_y(expected, np.asarray(original)), abs=0.01)
    psnrs = [one.model.psnr for one in report.pictures]
    assert report.model.psnr == pytest.approx(np.mean([psnr for psnr in psnrs if psnr is not None]))


def test_super_resolution_has_a_row_with_and_one_without_histogram_matching(
    enlarger: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--super-resolution", enlarger, "--images", photos / "odd", "--engine", "torch")
    _run(*options, "--json")
    plain = json.loads(capsys.readouterr().out)
    _run(*options, "--match-histogram", "--json")
    matched = json.loads(capsys.readouterr().out)
    assert plain["model_matched"] == matched["model_matched"] == matched["model"]
    assert plain["model"] != plain["model_matched"]
    _run(*options)
    said = capsys.readouterr().out
    assert all(word in said for word in ("bicubic", "model", "matched"))


def test_the_folder_may_be_named_from_the_current_one(
    enlarger: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos / "even")
    report = evaluate_super_resolution(
        EvaluateSuperResolution(str(enlarger), Path("../odd"), engine="torch")
    )
    assert [row.picture for row in report.pictures] == sorted(
        p.name for p in Path("../odd").iterdir()
    )


def test_pictures_are_shrunk_as_in_the_training_or_as_asked(
    enlarger: Path, photos: Path, tmp_path: Path
) -> None:
    record = {"objective": asdict(ReconstructionSettings(degradation="blurred"))}
    info = CheckpointInfo("super-resolution", {"scale": 4, "width": 4}, training=record)
    paper = tmp_path / "paper.safetensors"
    save_generator(paper, load_generator(enlarger)[0], info)
    found = {
        model: evaluate_super_resolution(
            EvaluateSuperResolution(str(model), photos / "odd", engine="torch")
        )
        for model in (enlarger, paper)
    }
    assert found[enlarger].degradation == "antialiased"
    assert found[paper].degradation == "blurred"
    assert found[paper].bicubic != found[enlarger].bicubic
    asked = evaluate_super_resolution(
        EvaluateSuperResolution(
            str(enlarger), photos / "odd", degradation="blurred", engine="torch"
        )
    )
    assert asked.model == found[paper].model


def test_bicubic_of_a_plain_picture_is_infinitely_near_and_json_can_say_so(
    enlarger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (48, 48), (80, 90, 100)).save(tmp_path / "plain.png")
    _run("--super-resolution", enlarger, "--images", tmp_path, "--engine", "torch", "--json")
    report = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert report["bicubic"] == {"psnr": None, "ssim": pytest.approx(1)}


def test_pictures_that_cannot_be_measured_are_named_and_the_rest_goes_on(
    enlarger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.png").write_text("no picture")
    Image.new("RGB", (11, 60)).save(tmp_path / "narrow.png")
    Image.fromarray(moving_picture(0)).save(tmp_path / "whole.png")
    code = app(
        [
            *("evaluate", "--super-resolution", str(enlarger), "--images", str(tmp_path)),
            *("--scale", "4", "--engine", "torch"),
        ],
        standalone_mode=False,
    )
    captured = capsys.readouterr()
    assert code == 1
    assert "whole.png" in captured.out
    assert "mean of 1" in captured.out
    errors = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert "narrow.png: 11x60 pixels; at scale 4 sides of 12 or more" in errors[1]
    (tmp_path / "whole.png").unlink()
    with pytest.raises(MediaError, match="none of its pictures"):
        evaluate_super_resolution(EvaluateSuperResolution(str(enlarger), tmp_path, engine="torch"))


def test_models_that_do_not_fit_are_refused(enlarger: Path, style: Style, photos: Path) -> None:
    assert style.path is not None
    with pytest.raises(InputError, match="`nst upscale` needs a super-resolution network"):
        evaluate_super_resolution(EvaluateSuperResolution(str(style.path), photos))
    with pytest.raises(InputError, match=r"--scale 8: .* enlarges by 4"):
        evaluate_super_resolution(EvaluateSuperResolution(str(enlarger), photos, scale=8))
    with pytest.raises(InputError, match="no such file"):
        evaluate_super_resolution(EvaluateSuperResolution(str(photos / "none.safetensors"), photos))


@dataclass(frozen=True)
class _Report:
    generator: float = 1.5

    def lines(self) -> list[str]:
        return [f"generator {self.generator}"]


def test_a_checkpoint_is_handed_to_the_job_with_all_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs: list[EvaluateGenerator] = []

    def evaluate_generator(job: EvaluateGenerator, on_progress: OnProgress) -> _Report:
        jobs.append(job)
        return _Report()

    module = SimpleNamespace(evaluate_generator=evaluate_generator)
    monkeypatch.setitem(sys.modules, "jobs.evaluating.generator", module)
    # Weights named by the environment are not taken for an option of another mode.
    monkeypatch.setenv("NST_LOSS_NETWORK_WEIGHTS", "vgg.safetensors")
    mode = ("--checkpoint", "wave", "--content", "photos", "--style", "wave.jpg")
    _run(*mode)
    assert capsys.readouterr().out == "generator 1.5\n"
    defaults = EvaluateGenerator(
        "wave", Path("photos"), Path("wave.jpg"), loss_network_weights=Path("vgg.safetensors")
    )
    assert jobs.pop() == defaults
    options = (
        *("--against-iterations", "50", "--image-size", "128", "--max-images", "3"),
        *("--init", "noise", "--loss-network", "vgg16", "--loss-network-weights", "other"),
        *("--device", "cpu", "--threads", "2", "--json"),
    )
    _run(*mode, *options)
    assert json.loads(capsys.readouterr().out) == {"generator": 1.5}
    assert jobs == [
        EvaluateGenerator(
            checkpoint="wave",
            content=Path("photos"),
            style_image=Path("wave.jpg"),
            against_iterations=50,
            image_size=128,
            max_images=3,
            init="noise",
            loss_network="vgg16",
            loss_network_weights=Path("other"),
            device="cpu",
            threads=2,
        )
    ]
    command = ("generator", *mode[1:])
    _run(*command, *options)
    assert jobs.pop() == jobs.pop()
    terms = ("--style-layers", "relu1_1,relu2_1=3", "--scales", "1,0.5", "--pooling", "average")
    _run(*mode, *terms)
    _run(*command, *terms)
    assert jobs[0] == jobs[1]
    assert jobs[0].objective == {
        "style_layers": ("relu1_1", "relu2_1=3"),
        "scales": (1.0, 0.5),
        "pooling": "average",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "nothing to measure"),
        ("--images a", "nothing to measure"),
        ("--video a b --checkpoint c", "--video and --checkpoint: exactly one"),
        ("--video a b --scale 4", "--scale with --video: no option but --json"),
        ("--video a b --threads 2", "--threads with --video"),
        ("--checkpoint a --content b --style c --scale 4", "--scale with --checkpoint"),
        ("--checkpoint a --content b", "--checkpoint without --style: add --style IMAGE"),
        ("--checkpoint a --style b", "--checkpoint without --content: add --content DIR"),
        ("--super-resolution a", "--super-resolution without --images: add --images DIR"),
        ("--super-resolution a --images b --init noise", "--init with --super-resolution"),
        ("--super-resolution a --images b --threads 0", "--threads 0: at least 1"),
        ("super-resolution a --images b --threads 0", "--threads 0: at least 1"),
        ("--scale 4 flicker a b", "--scale: options stand behind flicker"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _run(*arguments.split())


def test_a_wrong_combination_is_one_line_and_exit_2(tmp_path: Path) -> None:
    ended = nst("evaluate", "--video", "a.mp4", "b.mp4", "--scale", "4")
    assert ended.code == 2
    assert ended.error_line.startswith("error: --scale with --video")


def test_the_bicubic_row_of_set5_is_the_known_one(enlarger: Path, data: Path) -> None:
    report = evaluate_super_resolution(
        EvaluateSuperResolution(str(enlarger), data / "sr" / "Set5", engine="torch", device="cpu")
    )
    assert report.bicubic.psnr == pytest.approx(28.43, abs=0.006)
    assert report.bicubic.ssim == pytest.approx(0.8110, abs=0.0002)
