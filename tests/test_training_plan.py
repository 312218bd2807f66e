"""Every kind of training, from its job to a step and to what is kept, without Ray."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from jobs import training_records
from jobs.training_plan import (
    TrainingPlan,
    build_network,
    build_trainer,
    describe,
    make_plan,
    read_base,
    training_pictures,
)
from jobs.training_records import TrainingRecords, final_sheet, picture_rows, preview_photos
from jobs.training_specs import (
    TrainGenerator,
    TrainStyle,
    TrainSuperResolution,
    TrainTexture,
)
from nst_core.checkpoint import (
    CheckpointInfo,
    build_generator,
    load_generator,
    save_generator,
    save_state,
)
from nst_core.conditional_norm import MultiStyleGenerator, joined
from nst_core.errors import CheckpointError, InputError
from nst_core.loss_network import LossNetworkWeights
from nst_core.settings import ObjectiveSettings, ReconstructionSettings, TrainingSettings
from nst_core.super_resolution_net import SuperResolutionNet
from nst_core.texture_net import TextureNet
from nst_core.training import GeneratorTrainer, plain
from nst_core.training_photos import Batch
from nst_core.transformer_net import TransformerNet
from tests.media import moving_picture

_CPU = torch.device("cpu")
KINDS = (
    *("johnson", "johnson-paper", "styles", "extended", "extended-pack"),
    *("texture-style", "texture-styles", "texture", "super-resolution", "pixel"),
)
_OBJECTIVE = ObjectiveSettings(style_layers=("relu1_1", "relu1_2"), content_layer="relu2_1")
_GAP, _CELL = 6, (80, 64)
"""Of the sheets of these tests, in pixels."""


@pytest.fixture(autouse=True)
def _small_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_records, "_PREVIEW_SIZE", _CELL)
    monkeypatch.setattr(training_records, "_PREVIEW_SIDE", _CELL[1])


@pytest.fixture(scope="session")
def shallow_file(vgg19: LossNetworkWeights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first two blocks of the random VGG-19: all that these objectives look at."""
    path = tmp_path_factory.mktemp("shallow") / "shallow.safetensors"
    save_file(dict(list(vgg19.tensors.items())[:8]), path, metadata={"architecture": "vgg19"})
    return path


@pytest.fixture
def paintings(tmp_path: Path) -> tuple[Path, ...]:
    """Three pictures: as it is, darker and narrower, in grey."""
    picture = Image.fromarray(moving_picture(0))
    others = (picture, picture.point(lambda v: v // 2).resize((40, 64)), picture.convert("L"))
    paths = [tmp_path / f"{name}.png" for name in ("wave", "starry_night", "scream")]
    for path, other in zip(paths, others, strict=True):
        other.save(path)
    return tuple(paths)


@pytest.fixture
def bases(tmp_path: Path) -> dict[str, Path]:
    """What can be extended: a network of one style, and one of two."""
    paths = {name: tmp_path / f"{name}.safetensors" for name in ("alone", "pack")}
    torch.manual_seed(11)
    save_generator(paths["alone"], TransformerNet(4), CheckpointInfo("johnson", {"width": 4}))
    network = MultiStyleGenerator(TransformerNet(4), 2)
    for parameter in network.style_parameters():
        nn.init.uniform_(parameter, 0.2, 1)
    info = CheckpointInfo("johnson", {"width": 4}, {"steps": 9}, ("monet", "klimt"))
    save_generator(paths["pack"], network.generator, info)
    return paths


@pytest.fixture
def jobs(
    photos: Path,
    shallow_file: Path,
    paintings: tuple[Path, ...],
    bases: dict[str, Path],
    tmp_path: Path,
) -> dict[str, TrainGenerator]:
    settings = TrainingSettings(
        steps=30, batch_size=3, image_size=32, seed=5, precision="float32", warmup_steps=2
    )
    common: dict[str, Any] = {
        "output": tmp_path / "out.safetensors",
        "training": settings,
        "loss_network_weights": shallow_file,
    }
    content = (str(photos),)
    style = TrainStyle(
        style_images=paintings[:1],
        content=content,
        objective=_OBJECTIVE,
        width=4,
        style_size=32,
        **common,
    )
    styles = dataclasses.replace(style, style_images=paintings)
    stable = dataclasses.replace(settings, stability_weight=1.0)
    faster = dataclasses.replace(settings, learning_rate=2e-2)
    new = dataclasses.replace(style, style_images=paintings[:2], training=faster)
    texture = dataclasses.replace(style, architecture="texture", width=32, training=faster)
    texture_objective = dataclasses.replace(_OBJECTIVE, content_weight=0.0)
    enlarging = TrainSuperResolution(content=content, width=4, **common)
    pixel = ReconstructionSettings("pixel")
    return {
        "johnson": dataclasses.replace(style, training=stable),
        "johnson-paper": dataclasses.replace(style, architecture="johnson-paper", norm="batch"),
        "styles": dataclasses.replace(styles, training=stable),
        "extended": dataclasses.replace(new, extend=bases["alone"]),
        "extended-pack": dataclasses.replace(new, extend=bases["pack"]),
        "texture-style": texture,
        "texture-styles": dataclasses.replace(texture, style_images=paintings),
        "texture": TrainTexture(
            texture_image=paintings[0],
            scales=3,
            objective=texture_objective,
            **{**common, "training": faster},
        ),
        "super-resolution": enlarging,
        "pixel": dataclasses.replace(enlarging, objective=pixel, norm="instance"),
    }


def _step(plan: TrainingPlan, trainer: GeneratorTrainer) -> dict[str, float]:
    pictures = training_pictures(plan)
    size = plan.samples_per_step
    first = trainer.steps_done * size
    return trainer.step([Batch.of([pictures[number] for number in range(first, first + size)])])


def _same_state(ours: nn.Module, theirs: nn.Module) -> bool:
    first, second = ours.state_dict(), theirs.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns(kind: str, jobs: dict[str, TrainGenerator]) -> None:
    plan = make_plan(jobs[kind])
    trainer = build_trainer(plan, _CPU)
    totals = [_step(plan, trainer)["total"] for _ in range(20)]
    assert sum(totals[-4:]) < 0.97 * sum(totals[:4])


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_goes_on_as_an_undisturbed_one(
    kind: str, jobs: dict[str, TrainGenerator]
) -> None:
    plan = make_plan(jobs[kind])
    torch.manual_seed(1)  # neither weights nor noise come from here
    undisturbed = build_trainer(plan, _CPU)
    for _ in range(2):
        _step(plan, undisturbed)
    file = io.BytesIO()
    torch.save(undisturbed.state_dict(), file)
    expected = _step(plan, undisturbed)
    torch.manual_seed(2)
    resumed = build_trainer(plan, _CPU)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    torch.manual_seed(3)
    assert _step(plan, resumed) == expected
    assert _same_state(resumed.generator, undisturbed.generator)
    assert _same_state(resumed.trained, undisturbed.trained)


@pytest.mark.parametrize("kind", KINDS)
def test_the_checkpoint_is_what_was_trained(
    kind: str, jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    plan = make_plan(jobs[kind])
    trainer = build_trainer(plan, _CPU)
    _step(plan, trainer)
    trained = trainer.state_dict()["trained"]
    info = dataclasses.replace(plan.info, training=describe(plan))
    save_state(tmp_path / "x.safetensors", trained, info)
    names = plan.info.styles or ("",)
    for number, name in enumerate(names):
        mixture = {name: 1.0} if name else None
        generator, read = load_generator(tmp_path / "x.safetensors", mixture)
        assert dataclasses.asdict(read) == json.loads(json.dumps(dataclasses.asdict(info))) | {
            "styles": plan.info.styles
        }
        image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
        row = [torch.eye(len(names))[number : number + 1]] if name else []
        torch.testing.assert_close(
            _run(generator, image), _run(trainer.trained.eval(), image, *row)
        )


def _run(network: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
    generator = plain(network)
    if isinstance(generator, TextureNet):
        generator.seed_noise(0)
    with torch.no_grad():
        output: torch.Tensor = network(*inputs)
    return output


@pytest.mark.parametrize(("kind", "base"), [("extended", "alone"), ("extended-pack", "pack")])
def test_an_extended_network_has_its_old_styles_as_they_were(
    kind: str, base: str, jobs: dict[str, TrainGenerator], bases: dict[str, Path], tmp_path: Path
) -> None:
    plan = make_plan(jobs[kind])
    assert plan.base is not None
    assert plan.base.styles == (("alone",) if base == "alone" else ("monet", "klimt"))
    assert plan.info.styles == ("wave", "starry_night")
    assert (plan.info.architecture, plan.info.arguments) == ("johnson", {"width": 4})
    trainer = build_trainer(plan, _CPU)
    for _ in range(3):
        _step(plan, trainer)
    trained = trainer.state_dict()["trained"]
    state = joined(build_generator(plan.info), plan.base.tensors, trained)
    styles = plan.base.styles + plan.info.styles
    save_state(tmp_path / "all.safetensors", state, dataclasses.replace(plan.info, styles=styles))
    for style in plan.base.styles:
        before, _ = load_generator(bases[base], None if base == "alone" else {style: 1.0})
        after, _ = load_generator(tmp_path / "all.safetensors", {style: 1.0})
        assert _same_state(before, after)
    new = [load_generator(tmp_path / "all.safetensors", {s: 1.0})[0] for s in plan.info.styles]
    assert not _same_state(*new)
    growth = (tmp_path / "all.safetensors").stat().st_size - bases[base].stat().st_size
    assert 0 < growth < 10_000


@pytest.mark.parametrize(
    ("kind", "rows", "columns"),
    [
        *(("johnson", 4, 2), ("styles", 4, 4), ("extended-pack", 4, 3), ("texture-styles", 4, 4)),
        *(("texture", 1, 3), ("pixel", 4, 3), ("super-resolution", 4, 3)),
    ],
)
def test_previews_have_a_row_for_each_photo_and_a_column_for_each_style(
    kind: str, rows: int, columns: int, jobs: dict[str, TrainGenerator]
) -> None:
    plan = make_plan(jobs[kind])
    network = build_network(plan)
    pictures = picture_rows(plan, network, preview_photos(plan.photos))
    assert [len(row) for row in pictures] == [columns] * rows
    sizes = {picture.size for row in pictures for picture in row}
    if kind == "texture":
        assert sizes == {plan.style_images[0].size, (_CELL[1], _CELL[1])}
        assert pictures[0][1].tobytes() != pictures[0][2].tobytes()  # two draws of the noise
    else:
        assert sizes == {_CELL}
    again = picture_rows(plan, network, preview_photos(plan.photos))
    assert [[p.tobytes() for p in row] for row in again] == [
        [p.tobytes() for p in row] for row in pictures
    ]


def test_a_row_has_the_photo_and_then_its_styles_in_their_order(
    jobs: dict[str, TrainGenerator],
) -> None:
    plan = make_plan(jobs["styles"])
    network = build_network(plan)
    assert isinstance(network, MultiStyleGenerator)
    with torch.no_grad():  # the last layer's input is black in the first style, and so on
        for style in range(3):
            network.norms[-1].weight[style] = 0
            network.norms[-1].bias[style] = -5.0 + 5.0 * style
    photos = preview_photos(plan.photos)[:1]
    (row,) = picture_rows(plan, network, photos)
    assert row[0].tobytes() == photos[0].tobytes()
    flat = [tuple(band for band in picture.getextrema()) for picture in row[1:]]
    assert all(low == high for bands in flat for low, high in bands)  # type: ignore[misc]
    assert flat[0] == flat[1] != flat[2]  # ReLU of -5 and of 0 are the same


@pytest.mark.parametrize(
    ("kind", "rows", "columns"),
    [("johnson", 5, 2), ("styles", 5, 4), ("extended", 5, 3), ("pixel", 4, 3)],
)
def test_the_final_sheet_has_the_paintings_above_the_photos(
    kind: str, rows: int, columns: int, jobs: dict[str, TrainGenerator]
) -> None:
    plan = make_plan(jobs[kind])
    sheet = final_sheet(plan, build_network(plan))
    width, height = (side + _GAP for side in _CELL)
    assert sheet.size == (columns * width + _GAP, rows * height + _GAP)
    if not plan.style_images:
        return
    for number, painting in enumerate(plan.style_images, start=1):
        cell = sheet.crop(
            (number * width + _GAP, _GAP, number * width + _GAP + _CELL[0], _GAP + _CELL[1])
        )
        middle = cell.getpixel((_CELL[0] // 2, _CELL[1] // 2))
        expected = painting.getpixel((painting.width // 2, painting.height // 2))
        assert isinstance(middle, tuple)
        assert isinstance(expected, tuple)
        # Enlarged eightfold, the centre is between two pixels.
        assert max(abs(a - b) for a, b in zip(middle, expected, strict=True)) < 25
    assert sheet.crop((_GAP, _GAP, _GAP + _CELL[0], _GAP + _CELL[1])).getextrema() == (
        ((255, 255),) * 3
    )


def test_the_final_sheet_of_a_texture_is_the_texture_and_two_draws(
    jobs: dict[str, TrainGenerator],
) -> None:
    plan = make_plan(jobs["texture"])
    sheet = final_sheet(plan, build_network(plan))
    side = _CELL[1]
    texture = round(plan.style_images[0].width * side / plan.style_images[0].height)
    assert sheet.size == (texture + 2 * side + 4 * _GAP, side + 2 * _GAP)


def test_previews_do_without_photos_that_cannot_be_read(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    good = sorted(map(str, photos.rglob("*.jpg")))[:3]
    with caplog.at_level("WARNING"):
        assert len(preview_photos([str(bad), *good])) == 4  # one of them twice
    assert "bad.jpg" in caplog.text
    assert preview_photos([str(bad)]) == []
    assert len(preview_photos(good[:1])) == 1


@pytest.mark.parametrize("kind", ["johnson-paper", "styles", "texture", "pixel"])
def test_the_preview_leaves_the_generator_as_it_was(
    kind: str, jobs: dict[str, TrainGenerator]
) -> None:
    plan = make_plan(jobs[kind])
    trainer = build_trainer(plan, _CPU)
    before = copy.deepcopy(trainer.generator)
    TrainingRecords(plan, 1).preview(7, trainer.generator)
    assert trainer.generator.training
    assert _same_state(trainer.generator, before)
    assert (plan.run_folder.previews / "step-000007.png").stat().st_size > 500


def test_noise_is_another_one_in_every_step(jobs: dict[str, TrainGenerator]) -> None:
    plan = make_plan(jobs["texture"])
    first, again = (build_trainer(plan, _CPU) for _ in range(2))
    losses = _step(plan, first)
    assert _step(plan, again) == losses
    third = build_trainer(plan, _CPU)
    third.steps_done = 1
    assert _step(plan, third) != losses


def test_super_resolution_learns_from_crops_at_the_photos_own_resolution(
    jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    # A checkerboard of single pixels survives only where nothing is resized.
    board = (torch.arange(80)[:, None] + torch.arange(90)[None]) % 2 * 255
    folder = tmp_path / "boards"
    folder.mkdir()
    Image.fromarray(board.byte().numpy()).save(folder / "board.png")
    job = dataclasses.replace(jobs["pixel"], content=(str(folder),))  # type: ignore[call-arg]
    crop = training_pictures(make_plan(job))[0].picture
    assert crop.shape == (3, 32, 32)
    assert set(crop.flatten().tolist()) == {0.0, 1.0}


def test_the_record_names_what_decides_the_result(jobs: dict[str, TrainGenerator]) -> None:
    records = {kind: describe(make_plan(job)) for kind, job in jobs.items()}
    assert len({json.dumps(record) for record in records.values()}) == len(KINDS)
    assert "loss_network" in records["super-resolution"]
    assert "loss_network" not in records["pixel"]
    assert "photos" not in records["texture"]
    assert records["styles"]["styles"] == ["wave", "starry_night", "scream"]
    assert "styles" not in records["johnson"]
    assert records["extended-pack"]["extends"]["styles"] == ["monet", "klimt"]
    assert len(records["styles"]["style_sha256"]) == 3


def _training(**changes: Any) -> Callable[[TrainGenerator], dict[str, Any]]:
    return lambda job: {"training": dataclasses.replace(job.training, **changes)}


@pytest.mark.parametrize(
    "changes",
    [
        {"checkpoint_every": 7},
        {"cpus_per_worker": 1},
        {"device": "cpu"},
        {"address": "auto"},
        {"output": Path("elsewhere.safetensors")},
        {"run_dir": Path("elsewhere")},
        {"resume": True, "overwrite": True},
    ],
)
def test_where_and_how_often_does_not_make_another_run(
    changes: dict[str, Any], jobs: dict[str, TrainGenerator]
) -> None:
    job = jobs["styles"]
    assert describe(make_plan(dataclasses.replace(job, **changes))) == describe(make_plan(job))


def test_fewer_workers_for_a_while_do_not_make_another_run(
    jobs: dict[str, TrainGenerator],
) -> None:
    two, elastic, one, four = (
        make_plan(dataclasses.replace(jobs["styles"], workers=workers))
        for workers in ((2, 2), (1, 2), (1, 1), (4, 4))
    )
    assert describe(two) == describe(elastic) != describe(one)
    assert (two.samples_per_step, one.samples_per_step) == (6, 3)
    assert len({json.dumps(describe(plan)) for plan in (two, one, four)}) == 3


@pytest.mark.parametrize(
    "changes",
    [
        *(_training(seed=6), _training(steps=31), _training(batch_size=2), _training(average=0.5)),
        *(_training(accumulate=2), _training(learning_rate=2e-3), _training(schedule="constant")),
        *(_training(clip_norm=1.0), _training(stability_weight=0.5), _training(decay=0.5)),
        _training(precision="bfloat16"),
        lambda job: {"objective": dataclasses.replace(job.objective, style_weight=6.0)},
        lambda job: {"objective": dataclasses.replace(job.objective, content_layer="relu1_1")},
        lambda job: {"style_images": job.style_images[::-1]},
        lambda job: {"style_images": job.style_images[:2]},
        lambda job: {"style_size": 40},
        lambda job: {"width": 8},
        lambda job: {"padding": "zeros"},
        lambda job: {"content": (f"{job.content[0]}/even",)},
    ],
)
def test_what_decides_the_result_makes_another_run(
    changes: Callable[[TrainGenerator], dict[str, Any]], jobs: dict[str, TrainGenerator]
) -> None:
    job = jobs["styles"]
    other = dataclasses.replace(job, **changes(job))
    assert describe(make_plan(other)) != describe(make_plan(job))


def test_another_picture_base_or_loss_network_of_the_same_name_makes_another_run(
    jobs: dict[str, TrainGenerator],
    paintings: tuple[Path, ...],
    bases: dict[str, Path],
    tmp_path: Path,
    vgg19: LossNetworkWeights,
) -> None:
    job = jobs["extended"]
    before = describe(make_plan(job))
    assert before == describe(make_plan(job))
    Image.fromarray(moving_picture(3)).save(paintings[0])
    after = describe(make_plan(job))
    assert {key for key in before if before[key] != after[key]} == {"style_sha256"}
    save_generator(bases["alone"], TransformerNet(4), CheckpointInfo("johnson", {"width": 4}))
    last = describe(make_plan(job))
    assert {key for key in after if after[key] != last[key]} == {"extends"}
    other = tmp_path / "shallow.safetensors"
    tensors = {name: 2 * tensor for name, tensor in list(vgg19.tensors.items())[:8]}
    save_file(tensors, other, metadata={"architecture": "vgg19"})
    changed = describe(make_plan(dataclasses.replace(job, loss_network_weights=other)))
    assert {key for key in last if last[key] != changed[key]} == {"loss_network_sha256"}


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("pixel", {"training": TrainingSettings(image_size=50)}, "multiple of the scale"),
        ("pixel", {"width": 2}, "--width 2"),
        ("texture", {"scales": 9}, "--scales 9"),
        ("texture", {"texture_size": 8}, "--texture-size 8"),
        ("texture-style", {"width": 16}, "--width 16"),
        ("texture-style", {"training": TrainingSettings(stability_weight=1)}, "new noise"),
        ("johnson-paper", {"padding": "zeros"}, "--padding zeros"),
        ("johnson", {"workers": (0, 1)}, "--workers 0:1"),
        ("johnson", {"workers": (3, 2)}, "--workers 3:2"),
        ("johnson", {"checkpoint_every": 0}, "--checkpoint-every 0"),
        ("johnson", {"cpus_per_worker": 0}, "--cpus-per-worker 0"),
        ("johnson", {"style_images": ()}, "no style image"),
        ("styles", {"norm": "batch"}, "--norm instance"),
        ("styles", {"style_images": (Path("a/x.jpg"), Path("b/x.png"))}, "two style images called"),
        ("extended", {"architecture": "johnson-paper"}, "leave out --architecture"),
        ("extended", {"norm": "batch"}, "leave out --architecture, --norm"),
    ],
)
def test_impossible_jobs_are_refused_at_birth(
    kind: str, changes: dict[str, Any], message: str, jobs: dict[str, TrainGenerator]
) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(jobs[kind], **changes)


@pytest.mark.parametrize("name", ["a:b", "a,b", "a=b"])
def test_names_that_a_mixture_could_not_name_are_refused(
    name: str, jobs: dict[str, TrainGenerator], bases: dict[str, Path], tmp_path: Path
) -> None:
    painting = tmp_path / f"{name}.png"
    for kind, images in (("styles", (painting, tmp_path / "c.png")), ("extended", (painting,))):
        with pytest.raises(InputError, match="rename it"):
            dataclasses.replace(jobs[kind], style_images=images)  # type: ignore[call-arg]
    # Alone its name is not a style's.
    dataclasses.replace(jobs["johnson"], style_images=(painting,))  # type: ignore[call-arg]
    shutil.copy(bases["alone"], tmp_path / f"{name}.safetensors")
    with pytest.raises(InputError, match="rename it"):
        read_base(tmp_path / f"{name}.safetensors")
    shutil.copy(bases["pack"], tmp_path / f"{name}.safetensors")
    assert read_base(tmp_path / f"{name}.safetensors").styles == ("monet", "klimt")


def test_a_name_that_the_base_has_already_is_refused(
    jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    for kind, taken in (("extended", "alone"), ("extended-pack", "klimt")):
        painting = tmp_path / f"{taken}.png"
        Image.fromarray(moving_picture(1)).save(painting)
        job = dataclasses.replace(jobs[kind], style_images=(painting,))  # type: ignore[call-arg]
        with pytest.raises(InputError, match=f"a style {taken} already"):
            make_plan(job)


def test_networks_that_cannot_take_in_a_style_are_refused(tmp_path: Path) -> None:
    networks: dict[str, tuple[nn.Module, CheckpointInfo]] = {
        "batch": (
            TransformerNet(4, norm="batch"),
            CheckpointInfo("johnson", {"width": 4, "norm": "batch"}),
        ),
        "texture": (TextureNet(2), CheckpointInfo("texture", {"scales": 2})),
        "texture-style": (
            TextureNet(2, stylizes=True),
            CheckpointInfo("texture", {"scales": 2, "stylizes": True}),
        ),
        "larger": (
            SuperResolutionNet(4, 4, norm="instance"),
            CheckpointInfo("super-resolution", {"scale": 4, "width": 4, "norm": "instance"}),
        ),
    }
    for name, (network, info) in networks.items():
        path = tmp_path / f"{name}.safetensors"
        save_generator(path, network, info)
        with pytest.raises(InputError, match=f"{name}.*cannot take in styles"):
            read_base(path)


def test_a_damaged_base_is_refused_before_any_work(bases: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    save_generator(path, TransformerNet(8), CheckpointInfo("johnson", {"width": 4}))
    with pytest.raises(CheckpointError, match="damaged"):
        read_base(path)
    path.write_bytes(bases["pack"].read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"damaged\.safetensors"):
        read_base(path)
    with pytest.raises(CheckpointError, match="no such file"):
        read_base(tmp_path / "nowhere.safetensors")


def test_a_large_texture_is_shrunk_unless_a_size_is_given(
    jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    Image.new("RGB", (1300, 600)).save(tmp_path / "large.png")
    job = dataclasses.replace(jobs["texture"], texture_image=tmp_path / "large.png")  # type: ignore[call-arg]
    assert make_plan(job).style_images[0].size == (1109, 512)
    job = dataclasses.replace(job, texture_size=64)  # type: ignore[call-arg]
    assert make_plan(job).style_images[0].size == (139, 64)


def test_a_texture_that_is_too_small_is_refused(
    jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "small.png")
    job = dataclasses.replace(jobs["texture"], texture_image=tmp_path / "small.png")  # type: ignore[call-arg]
    with pytest.raises(InputError, match="40x20"):
        make_plan(job)


def test_layers_that_the_loss_network_lacks_are_refused_by_the_driver(
    jobs: dict[str, TrainGenerator],
) -> None:
    objective = dataclasses.replace(_OBJECTIVE, content_layer="relu9_1")
    job = dataclasses.replace(jobs["johnson"], objective=objective)  # type: ignore[call-arg]
    with pytest.raises(InputError, match="relu9_1"):
        make_plan(job)


def test_an_output_that_is_a_folder_is_refused(
    jobs: dict[str, TrainGenerator], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="a folder"):
        make_plan(dataclasses.replace(jobs["johnson"], output=tmp_path))
