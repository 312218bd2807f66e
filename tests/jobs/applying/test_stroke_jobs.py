"""Pictures and films with strokes in proportion to them; what is asked for beyond that."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from jobs.applying.stylize_images import stylize_images
from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeImages, StylizeVideo
from nst_core.checkpoints.library import Style, find_style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError
from nst_core.kept_stylizers import KeptStylizers
from nst_core.stylizer import Stylizer
from pipeline.segments.task import SegmentResult, SegmentTask
from pipeline.segments.worker import SegmentWorker
from pipeline.work.progress import Progress
from tests.kit.command_line import app
from tests.kit.image_jobs import contents, images_job
from tests.kit.media import make_clip, moving_picture
from tests.kit.stroke_packs import save_stroke_pack

HERE = PoolSpec(workers=0)
STROKES = FINE, MIDDLE, WIDE = (2**-4, 2**-3, 2**-2)
"""For pictures of 32, 64 and 128 pixels: small ones are enough to test with."""
SIZES = {
    "a.png": (40, 32, FINE),
    "b.png": (64, 90, MIDDLE),
    "c.png": (90, 120, 2**-2.5),
    "d.png": (128, 128, WIDE),
    "e.png": (45, 70, 2**-3.5),
    "f.png": (32, 41, FINE),
}
"""Width, height, stroke in proportion."""


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    return save_stroke_pack(folder / "pack.safetensors", strokes=STROKES)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, (name, (width, height, _)) in enumerate(SIZES.items()):
        Image.fromarray(moving_picture(number, width, height)).save(folder / name)
    return folder


def _wave(pack: Path, stroke: float | None = None) -> StyleSpec:
    """On torch, which has nothing to trace for each stroke."""
    return StyleSpec(f"{pack}:wave", stroke=stroke, engine="torch")


def _pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _stylized(pack: Path, stroke: float, source: Path) -> NDArray[np.uint8]:
    style = find_style(f"{pack}:wave").with_stroke(stroke)
    return Stylizer(style, engine="torch").stylize(_pixels(source))


@pytest.mark.parametrize("factor", [None, 1, 1.5])
def test_pictures_of_many_sizes_get_their_own_strokes(
    factor: float | None, pack: Path, pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    report = stylize_images(images_job(pictures, output, styles=(_wave(pack, factor),)))
    assert (report.done, report.failed) == (len(SIZES), 0)
    for name, (*_, in_proportion) in SIZES.items():
        stroke = in_proportion * (factor or 1)
        expected = _stylized(pack, stroke, pictures / name)
        np.testing.assert_array_equal(_pixels(output / name), expected, err_msg=name)


def test_what_the_network_sees_counts_and_not_the_file(
    pack: Path, pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    job = images_job(pictures / "d.png", output, styles=(_wave(pack),), max_side=64)
    assert stylize_images(job).done == 1
    small = tmp_path / "small.png"
    with Image.open(pictures / "d.png") as image:
        image.resize((64, 64), Image.Resampling.LANCZOS).save(small)
    found = _pixels(output / "d.png").astype(int)
    distances = {
        stroke: np.abs(found - _stylized(pack, stroke, small)).mean() for stroke in STROKES
    }
    assert min(distances, key=lambda stroke: distances[stroke]) == MIDDLE


def test_large_pictures_get_their_strokes_too(
    pack: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stylize_images(images_job(pictures, tmp_path / "together", styles=(_wave(pack),)))
    monkeypatch.setattr("pipeline.pictures.worker._LARGE_PIXELS", 0)
    stylize_images(images_job(pictures, tmp_path / "alone", styles=(_wave(pack),)))
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")


def test_pixels_depend_on_no_other_picture(pack: Path, pictures: Path, tmp_path: Path) -> None:
    stylize_images(images_job(pictures, tmp_path / "all", styles=(_wave(pack),)))
    for name in SIZES:
        stylize_images(images_job(pictures / name, tmp_path / "one", styles=(_wave(pack),)))
    assert contents(tmp_path / "all") == contents(tmp_path / "one")


def test_strokes_beyond_the_style_are_said_once_for_all_pictures(
    pack: Path, pictures: Path, tmp_path: Path
) -> None:
    report = stylize_images(images_job(pictures, tmp_path / "plain", styles=(_wave(pack),)))
    assert report.warnings == []
    report = stylize_images(images_job(pictures, tmp_path / "out", styles=(_wave(pack, 4),)))
    (warning,) = report.warnings
    assert "--stroke 4 is relative to the size of the picture: " in warning["warning"]
    for name in ("b.png", "d.png"):
        expected = _stylized(pack, WIDE, pictures / name)
        np.testing.assert_array_equal(_pixels(tmp_path / "out" / name), expected)


def test_pictures_of_other_strokes_are_not_taken_for_done(
    pack: Path, pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    stylize_images(images_job(pictures, output, styles=(_wave(pack),)))
    again = stylize_images(images_job(pictures, output, styles=(_wave(pack, 1),)))
    assert again.reused == len(SIZES)  # 1 is what none is
    other = stylize_images(images_job(pictures, output, styles=(_wave(pack, 2),)))
    assert (other.reused, other.failed) == (0, len(SIZES))


def test_several_styles_each_have_their_strokes(
    style: Style, pack: Path, pictures: Path, tmp_path: Path
) -> None:
    styles = (_wave(pack), StyleSpec(str(style.path), engine="torch"))
    report = stylize_images(images_job(pictures, tmp_path / "out", styles=styles))
    assert (report.done, report.failed) == (len(SIZES), 0)
    for name, (*_, stroke) in SIZES.items():
        stem = name.removesuffix(".png")
        with_strokes = _pixels(tmp_path / "out" / f"{stem}-pack-wave.png")
        np.testing.assert_array_equal(with_strokes, _stylized(pack, stroke, pictures / name))
        without = _pixels(tmp_path / "out" / f"{stem}-random.png")
        expected = Stylizer(style, engine="torch").stylize(_pixels(pictures / name))
        np.testing.assert_array_equal(without, expected)


def test_the_stylizers_used_least_recently_go_first() -> None:
    built: list[float] = []

    def build(stroke: float) -> Stylizer:
        built.append(stroke)
        return Stylizer(find_style("identity"))

    kept = KeptStylizers(build, most=2)
    assert kept.engine == "none"
    first = kept.at(1.0)
    kept.at(2.0)
    assert kept.at(1.0) is first
    kept.at(0.5)  # 2 goes
    assert kept.at(1.0) is first
    kept.at(2.0)
    assert built == [1.0, 2.0, 0.5, 2.0]


def _film(clip: Path, output: Path, style: StyleSpec, **options: object) -> StylizeVideo:
    job = StylizeVideo((clip,), output, style, HERE, segment_seconds=0.5)
    return dataclasses.replace(job, **options)  # type: ignore[arg-type]


@pytest.fixture
def strokes_done(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note the stroke of every segment that a worker does."""
    done: list[float] = []
    usual = SegmentWorker.process

    def process(worker: SegmentWorker, task: SegmentTask) -> SegmentResult[bytes]:
        done.append(task.looks[0].stroke)
        return usual(worker, task)

    monkeypatch.setattr(SegmentWorker, "process", process)
    return done


def test_a_film_has_one_stroke_by_the_size_of_what_the_network_sees(
    pack: Path, clip: Path, tmp_path: Path, strokes_done: list[float]
) -> None:
    (report,) = stylize_videos(_film(clip, tmp_path / "a.mp4", _wave(pack))).inputs
    assert report.status == "done", report.error
    assert report.warnings == []
    assert strokes_done == [MIDDLE] * 4  # 96x64
    strokes_done.clear()
    stylize_videos(_film(clip, tmp_path / "b.mp4", _wave(pack), max_side=48))
    assert strokes_done == [FINE] * 4
    strokes_done.clear()
    stylize_videos(_film(clip, tmp_path / "c.mp4", _wave(pack, 1.3)))
    assert strokes_done == [pytest.approx(1.3 * MIDDLE)] * 4


def test_a_film_is_stylized_with_its_stroke(pack: Path, clip: Path, tmp_path: Path) -> None:
    # A checkpoint of that row alone, without strokes, gives the same bytes.
    from nst_core.checkpoints.checkpoint import load_generator, save_generator
    from nst_core.checkpoints.info import CheckpointInfo

    generator, _ = load_generator(pack, {"wave": 1.0}, stroke=WIDE)
    alone = tmp_path / "alone.safetensors"
    save_generator(alone, generator, CheckpointInfo("johnson", {"width": 4}))
    outputs = []
    for name, style in (("row", StyleSpec(str(alone), engine="torch")), ("stroke", _wave(pack, 2))):
        output = tmp_path / f"{name}.mkv"
        assert stylize_videos(_film(clip, output, style, codec="ffv1")).inputs[0].status == "done"
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1]


def test_films_of_different_sizes_share_workers_and_not_strokes(
    pack: Path, clip: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.mp4"
    make_clip(large, frames=24, width=192, height=128)
    together, alone = tmp_path / "together", tmp_path / "alone"
    for folder, groups in ((together, [(clip, large)]), (alone, [(clip,), (large,)])):
        folder.mkdir()
        for inputs in groups:
            report = stylize_videos(_film(clip, folder, _wave(pack), inputs=inputs))
            assert {each.status for each in report.inputs} == {"done"}
    for name in ("clip.mp4", "large.mp4"):
        assert (together / name).read_bytes() == (alone / name).read_bytes()


def test_frames_of_another_size_keep_the_films_stroke(
    data: Path, tmp_path: Path, strokes_done: list[float]
) -> None:
    pack = save_stroke_pack(tmp_path / "pack.safetensors", strokes=(0.1, 4.0))
    film = data / "hostile" / "21_reschange.ts"
    job = _film(film, tmp_path / "out.mkv", _wave(pack), max_side=96)
    (report,) = stylize_videos(job).inputs
    assert report.frames_out > 0, report.error
    assert len(strokes_done) > 1
    assert len(set(strokes_done)) == 1


def test_segments_of_other_strokes_are_done_again(pack: Path, clip: Path, tmp_path: Path) -> None:
    def interrupted(style: StyleSpec) -> None:
        def interrupt(progress: Progress) -> None:
            if progress.done >= 24:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            stylize_videos(_film(clip, output, style), interrupt)

    def reused(style: StyleSpec) -> int:
        (report,) = stylize_videos(_film(clip, output, style, overwrite=True)).inputs
        assert report.status == "done", report.error
        return report.segments["reused"]

    output = tmp_path / "out.mp4"
    interrupted(_wave(pack))
    assert reused(_wave(pack, 2)) == 0
    interrupted_output = output.read_bytes()
    output.unlink()
    interrupted(_wave(pack))
    assert reused(_wave(pack, 1)) == 2  # 1 is what none is
    assert output.read_bytes() != interrupted_output


def test_a_film_beyond_the_strokes_of_a_style_says_so(
    pack: Path, clip: Path, tmp_path: Path, strokes_done: list[float]
) -> None:
    (report,) = stylize_videos(_film(clip, tmp_path / "out.mp4", _wave(pack, 4))).inputs
    assert report.status == "done"
    assert set(strokes_done) == {WIDE}
    (warning,) = report.warnings
    assert "--stroke 4 is relative to the size of the picture: " in warning
    assert f"the style has ({FINE:g} to {WIDE:g}); its widest are taken" in warning


def test_a_style_of_one_stroke_is_asked_for_no_other(
    style: Style, clip: Path, pictures: Path, tmp_path: Path
) -> None:
    spec = StyleSpec(str(style.path), stroke=2, engine="torch")
    with pytest.raises(InputError, match="--stroke 2: random was trained with one size"):
        stylize_videos(_film(clip, tmp_path / "out.mp4", spec))
    with pytest.raises(InputError, match="--stroke 2: random was trained with one size"):
        stylize_images(images_job(pictures, tmp_path / "out", styles=(spec,)))
    assert not (tmp_path / "out").exists()
    asked = stylize_images(
        images_job(pictures, tmp_path / "out", styles=(dataclasses.replace(spec, stroke=1),))
    )
    assert asked.done == len(SIZES)
    again = stylize_images(
        images_job(pictures, tmp_path / "out", styles=(dataclasses.replace(spec, stroke=None),))
    )
    assert again.reused == len(SIZES)


def _nst(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout


def test_the_commands_take_a_stroke(
    pack: Path, clip: Path, pictures: Path, tmp_path: Path, strokes_done: list[float]
) -> None:
    options = ("--style", f"{pack}:wave", "--stroke", "0.5", "--workers", "0", "--engine", "torch")
    assert _nst("stylize", "video", clip, "-o", tmp_path / "o.mp4", *options)[0] == 0
    assert set(strokes_done) == {FINE}
    output = tmp_path / "out"
    assert _nst("stylize", "images", pictures / "d.png", "-o", output, *options)[0] == 0
    expected = _stylized(pack, MIDDLE, pictures / "d.png")
    np.testing.assert_array_equal(_pixels(output / "d.png"), expected)


def test_styles_show_tells_the_strokes(pack: Path, style: Style) -> None:
    assert f"strokes: {FINE:.3g}, {MIDDLE:.3g}, {WIDE:.3g}" in _nst("styles", "show", pack)[1]
    assert json.loads(_nst("styles", "show", pack, "--json")[1])["strokes"] == list(STROKES)
    assert "strokes: 1\n" in _nst("styles", "show", style.path or "")[1]
    assert json.loads(_nst("styles", "show", style.path or "", "--json")[1])["strokes"] == []


def test_styles_list_tells_the_strokes_of_those_that_have_several(
    pack: Path, style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nst_core.checkpoints import library as style_library

    folder = tmp_path / "styles"
    folder.mkdir()
    (folder / "paintings.safetensors").write_bytes(pack.read_bytes())
    assert style.path is not None
    (folder / "plain.safetensors").write_bytes(style.path.read_bytes())
    monkeypatch.setitem(style_library._FOLDERS, "stylize", folder)
    lines = {line.split()[0]: line for line in _nst("styles", "list")[1].splitlines()}
    assert f"strokes of {FINE:.3g}, {MIDDLE:.3g}, {WIDE:.3g}" in lines["wave"]
    assert "strokes" not in lines["plain"]
    listed = json.loads(_nst("styles", "list", "--json")[1])
    assert listed["strokes"] == {"scream": list(STROKES), "wave": list(STROKES)}


def test_export_writes_the_stroke_that_is_named(pack: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    image = moving_picture(0, 64, 64).transpose(2, 0, 1)[None].astype(np.float32) / 255
    outputs = []
    for number, options in enumerate(((), ("--stroke", f"{WIDE}"))):
        path = tmp_path / f"{number}.onnx"
        assert _nst("styles", "export", f"{pack}:wave", "-o", path, *options)[0] == 0
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        outputs.append(session.run(None, {"image": image})[0])
    # Without --stroke it is the size nearest to 1, here the largest.
    np.testing.assert_array_equal(outputs[0], outputs[1])
    path = tmp_path / "fine.onnx"
    assert _nst("styles", "export", f"{pack}:wave", "-o", path, "--stroke", f"{FINE}")[0] == 0
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert np.abs(session.run(None, {"image": image})[0] - outputs[0]).max() > 0.02
    result = CliRunner().invoke(
        app, ["styles", "export", f"{pack}:wave", "-o", str(tmp_path / "o.onnx"), "--stroke", "2"]
    )
    assert isinstance(result.exception, InputError)
    assert f"has strokes of {FINE:g} to {WIDE:g}" in str(result.exception)
    assert not (tmp_path / "o.onnx").exists()


@pytest.mark.usefixtures("ray_here")
@pytest.mark.slow
def test_pictures_and_films_have_the_same_bytes_on_any_number_of_workers(
    pack: Path, clip: Path, pictures: Path, tmp_path: Path
) -> None:
    usual, twice = (StyleSpec(f"{pack}:wave", stroke=stroke) for stroke in (None, 2))
    films, folders = [], []
    for workers in (0, 1, 2):
        pool, output = PoolSpec(workers=workers), tmp_path / str(workers)
        film = stylize_videos(_film(clip, tmp_path / f"{workers}.mp4", twice, pool=pool))
        assert film.inputs[0].status == "done", film.inputs[0].error
        films.append((tmp_path / f"{workers}.mp4").read_bytes())
        report = stylize_images(StylizeImages((str(pictures),), str(output), (usual,), pool))
        assert report.done == len(SIZES)
        folders.append(contents(output))
    assert films[0] == films[1] == films[2]
    assert folders[0] == folders[1] == folders[2]
