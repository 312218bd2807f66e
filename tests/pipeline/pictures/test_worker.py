"""The worker for pictures: what it shares between them, and what it keeps apart."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nst_core.checkpoints.library import Style, find_style
from nst_core.stylizer import Stylizer
from pipeline.pictures.settings import PictureSettings
from pipeline.pictures.task import ImageResult, ImageTask, OutputResult, OutputTask
from pipeline.pictures.worker import ImageWorker
from tests.kit.media import moving_picture

SETTINGS = PictureSettings(quality=95, max_side=None, max_pixels=10_000_000)


class Negative:
    """A network whose output is known: the negative. It notes what it was given."""

    engine = "negative"
    computes = True
    pixels_on_gpu = 0

    def __init__(self, poison: NDArray[np.uint8] | None = None) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self._poison = poison

    def stylize(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self.shapes.append(pictures.shape)
        stack = pictures if pictures.ndim == 4 else pictures[None]
        poison = self._poison
        if poison is not None and any(np.array_equal(picture, poison) for picture in stack):
            raise RuntimeError("out of luck")
        return 255 - pictures


def _worker(
    stylizer: object, settings: PictureSettings = SETTINGS, *, threads: int = 1
) -> ImageWorker:
    return ImageWorker(lambda name, stroke: cast("Stylizer", stylizer), settings, threads=threads)


def _picture(number: int, width: int = 40, height: int = 30) -> NDArray[np.uint8]:
    return moving_picture(number, width, height)


def _source(folder: Path, number: int, width: int = 40, height: int = 30) -> Path:
    path = folder / f"{number}.png"
    Image.fromarray(_picture(number, width, height)).save(path)
    return path


def _task(
    source: Path, output: Path, *, number: int = 0, made_from: str | None = None
) -> ImageTask:
    outputs = (OutputTask("wave", str(output), made_from, size=7),)
    return ImageTask(number, str(source), outputs, 1000, "version")


def _tasks(folder: Path, sizes: list[tuple[int, int]]) -> list[ImageTask]:
    (folder / "out").mkdir()
    return [
        _task(_source(folder, number, *size), folder / "out" / f"{number}.png", number=number)
        for number, size in enumerate(sizes)
    ]


def _pixels(path: str) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


def _assert_negative(task: ImageTask, result: ImageResult) -> None:
    (output,) = result.outputs
    assert (result.number, output.error, output.reused) == (task.number, None, False)
    assert output.size == Path(output.path).stat().st_size
    assert result.digest == _digest(task.source)
    np.testing.assert_array_equal(_pixels(output.path), 255 - _pixels(task.source))


def _digest(path: str) -> str:
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()


@pytest.mark.parametrize("threads", [1, 4])
def test_pictures_of_one_size_share_a_batch_and_results_keep_the_order_of_tasks(
    tmp_path: Path, threads: int
) -> None:
    tasks = _tasks(tmp_path, [(40, 30), (30, 40), (40, 30), (40, 30), (1, 1)])
    network = Negative()
    results = _worker(network, threads=threads).process(tasks)
    for task, result in zip(tasks, results, strict=True):
        _assert_negative(task, result)
    assert sorted(network.shapes) == [(1, 1, 3), (3, 30, 40, 3), (40, 30, 3)]


def test_batches_hold_so_many_pictures_and_pixels_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.pictures.worker._BATCH_PICTURES", 3)
    monkeypatch.setattr("pipeline.pictures.worker._BATCH_PIXELS", 2 * 40 * 30)
    tasks = _tasks(tmp_path, [(40, 30)] * 5 + [(10, 10)] * 4 + [(90, 60)] * 2)
    network = Negative()
    for task, result in zip(tasks, _worker(network).process(tasks), strict=True):
        _assert_negative(task, result)
    assert sorted(network.shapes) == [
        *((2, 30, 40, 3), (2, 30, 40, 3), (3, 10, 10, 3)),
        *((10, 10, 3), (30, 40, 3), (60, 90, 3), (60, 90, 3)),
    ]


def test_a_large_picture_comes_out_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.pictures.worker._LARGE_PIXELS", 40 * 30)
    tasks = _tasks(tmp_path, [(41, 30), (40, 30), (41, 30)])
    network = Negative()
    for task, result in zip(tasks, _worker(network, threads=2).process(tasks), strict=True):
        _assert_negative(task, result)
    assert sorted(network.shapes) == [(30, 40, 3), (30, 41, 3), (30, 41, 3)]  # large ones alone


def test_a_gpu_with_room_takes_larger_pictures_and_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.pictures.worker._LARGE_PIXELS", 40 * 30)
    monkeypatch.setattr("pipeline.pictures.worker._BATCH_PIXELS", 40 * 30)
    first, *tasks = _tasks(tmp_path, [(41, 30)] * 4)
    network = Negative()
    network.pixels_on_gpu = 2 * 41 * 30
    worker = _worker(network, threads=2)
    _assert_negative(first, *worker.process([first]))
    for task, result in zip(tasks, worker.process(tasks), strict=True):
        _assert_negative(task, result)
    assert network.shapes == [(30, 41, 3), (2, 30, 41, 3), (30, 41, 3)]


def test_a_real_network_gives_a_batch_the_pixels_of_its_pictures_alone(
    style: Style, tmp_path: Path
) -> None:
    tasks = _tasks(tmp_path, [(40, 30)] * 4)
    stylizer = Stylizer(style, threads=1)
    worker = _worker(stylizer)
    assert worker.engine == "none"
    results = worker.process(tasks)
    assert worker.engine == stylizer.engine != "none"
    for task, result in zip(tasks, results, strict=True):
        alone = stylizer.stylize(_pixels(task.source))
        np.testing.assert_array_equal(_pixels(result.outputs[0].path), alone)
        assert result.network_seconds > 0


@pytest.mark.parametrize("large", [False, True])
def test_what_cannot_be_read_fails_alone_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    if large:
        monkeypatch.setattr("pipeline.pictures.worker._LARGE_PIXELS", 0)
    tasks = _tasks(tmp_path, [(40, 30)] * 4)
    Path(tasks[1].source).write_bytes(b"no picture")
    Path(tasks[2].source).unlink()
    whole = Path(tasks[3].source).read_bytes()
    Path(tasks[3].source).write_bytes(whole[: len(whole) // 2])
    good, *broken = _worker(Negative()).process(tasks)
    _assert_negative(tasks[0], good)
    for task, result in zip(tasks[1:], broken, strict=True):
        (output,) = result.outputs
        assert output.error is not None
        assert output.error.startswith(f"{task.source}: ")
        assert "\n" not in output.error
        assert not Path(output.path).exists()
    assert [bool(result.digest) for result in broken] == [True, False, True]


@pytest.mark.parametrize("large", [False, True])
def test_a_picture_that_the_network_fails_on_does_not_take_its_batch_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    if large:
        monkeypatch.setattr("pipeline.pictures.worker._LARGE_PIXELS", 0)
    tasks = _tasks(tmp_path, [(40, 30)] * 3)
    results = _worker(Negative(poison=_picture(1))).process(tasks)
    _assert_negative(tasks[0], results[0])
    _assert_negative(tasks[2], results[2])
    assert results[1].outputs[0].error == f"{tasks[1].source}: RuntimeError: out of luck"


@pytest.mark.parametrize("threads", [1, 3])
def test_an_output_that_cannot_be_written_fails_alone(tmp_path: Path, threads: int) -> None:
    source = _source(tmp_path, 0, 16_384, 20)  # one pixel more than WebP takes
    (tmp_path / "file").write_bytes(b"")
    outputs = tuple(
        OutputTask(style, f"{tmp_path}/{name}")
        for style, name in (("wave", "file/a.png"), ("candy", "b.png"), ("mosaic", "c.webp"))
    )
    task = ImageTask(0, str(source), outputs, 1000, "version")
    worker = _worker(Negative(), threads=threads)
    ((first, second, third),) = (result.outputs for result in worker.process([task]))
    assert str(first.error).startswith(f"{tmp_path}/file/a.png: cannot be written")
    assert str(third.error).startswith(f"{tmp_path}/c.webp: 16384x20 pixels do not fit")
    assert second.error is None
    np.testing.assert_array_equal(_pixels(second.path), 255 - _pixels(str(source)))


def test_each_style_has_its_own_network_and_it_is_built_once(tmp_path: Path) -> None:
    built: list[str] = []

    def build(name: str, stroke: float) -> Stylizer:
        built.append(name)
        network = Negative() if name == "wave" else Stylizer(find_style("identity"))
        return cast("Stylizer", network)

    worker = ImageWorker(build, SETTINGS)
    for number in range(3):
        source = _source(tmp_path, number)
        outputs = (
            OutputTask("wave", f"{tmp_path}/{number}-wave.png"),
            OutputTask("identity", f"{tmp_path}/{number}-identity.png"),
        )
        (result,) = worker.process([ImageTask(number, str(source), outputs, 9, "version")])
        assert [output.error for output in result.outputs] == [None, None]
        np.testing.assert_array_equal(_pixels(result.outputs[0].path), 255 - _picture(number))
        np.testing.assert_array_equal(_pixels(result.outputs[1].path), _picture(number))
    assert sorted(built) == ["identity", "wave"]


def test_a_style_that_cannot_be_built_is_the_error_of_its_outputs_alone(tmp_path: Path) -> None:
    def build(name: str, stroke: float) -> Stylizer:
        if name == "broken":
            raise MemoryError("no room for it")
        return cast("Stylizer", Negative())

    source = _source(tmp_path, 0)
    outputs = (OutputTask("broken", f"{tmp_path}/a.png"), OutputTask("wave", f"{tmp_path}/b.png"))
    (result,) = ImageWorker(build, SETTINGS).process([ImageTask(0, str(source), outputs, 9, "v")])
    errors = [output.error for output in result.outputs]
    assert errors == [f"{source}: MemoryError: no room for it", None]


@pytest.mark.parametrize("same", [True, False])
def test_an_output_is_reused_only_where_it_was_made_from_the_very_content(
    tmp_path: Path, same: bool
) -> None:
    source, output = _source(tmp_path, 0), tmp_path / "out.png"
    output.write_bytes(b"made earlier")
    digest = _digest(str(source)) if same else "0" * 32
    network = Negative()
    (result,) = _worker(network).process([_task(source, output, made_from=digest)])
    assert (result.outputs[0].reused, len(network.shapes)) == (same, not same)
    assert (output.read_bytes() == b"made earlier") == same
    assert result.outputs[0].size == (7 if same else output.stat().st_size)
    assert result.digest == _digest(str(source))


def test_an_output_that_a_killed_run_has_written_is_reused_with_its_size(tmp_path: Path) -> None:
    source, output = _source(tmp_path, 0), tmp_path / "out.png"
    task = ImageTask(
        0, str(source), (OutputTask("wave", str(output), is_new=True, is_whole=True),), 9, "v"
    )
    output.write_bytes(b"made earlier")
    network = Negative()
    (result,) = _worker(network).process([task])
    digest = hashlib.sha256(b"made earlier").hexdigest()
    assert result.outputs == (OutputResult(str(output), size=12, reused=True, sha256=digest),)
    assert (result.digest, network.shapes) == (_digest(str(source)), [])
    output.unlink()  # gone since the run was planned
    (result,) = _worker(network).process([task])
    assert not result.outputs[0].reused
    assert output.exists()


def test_of_several_outputs_only_those_made_otherwise_are_made(tmp_path: Path) -> None:
    source = _source(tmp_path, 0)
    outputs = (
        OutputTask("wave", f"{tmp_path}/a.png", _digest(str(source)), 7),
        OutputTask("candy", f"{tmp_path}/b.png"),
    )
    (result,) = _worker(Negative()).process([ImageTask(0, str(source), outputs, 9, "v")])
    assert [output.reused for output in result.outputs] == [True, False]
    assert not (tmp_path / "a.png").exists()
    assert (tmp_path / "b.png").exists()


def test_what_the_output_cannot_hold_is_noted(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    image = Image.fromarray(_picture(0)).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(source)
    (jpeg,) = _worker(Negative()).process([_task(source, tmp_path / "a.jpg")])
    (png,) = _worker(Negative()).process([_task(source, tmp_path / "b.png")])
    assert jpeg.notes == ("the output's format cannot hold its transparency",)
    assert png.notes == ()
    assert jpeg.outputs[0].error is None


def test_settings_reach_the_decoder_and_the_encoder(tmp_path: Path) -> None:
    source = _source(tmp_path, 0, 400, 300)
    sizes = []
    for quality in (30, 95):
        settings = PictureSettings(quality=quality, max_side=200, max_pixels=120_000)
        (result,) = _worker(Negative(), settings).process([_task(source, tmp_path / "a.jpg")])
        assert result.outputs[0].error is None
        assert _pixels(result.outputs[0].path).shape == (150, 200, 3)
        sizes.append(result.outputs[0].size)
    assert sizes[0] < sizes[1] / 2
    settings = PictureSettings(quality=95, max_side=200, max_pixels=119_999)
    (result,) = _worker(Negative(), settings).process([_task(source, tmp_path / "b.jpg")])
    assert "--max-pixels" in str(result.outputs[0].error)


def test_calls_at_the_same_time_do_not_mix_their_pictures_up(tmp_path: Path) -> None:
    tasks = _tasks(tmp_path, [(40, 30)] * 48)
    worker = _worker(Negative(), threads=3)
    with ThreadPoolExecutor(3) as calls:
        groups = [tasks[start : start + 8] for start in range(0, 48, 8)]
        for group, results in zip(groups, calls.map(worker.process, groups), strict=True):
            for task, result in zip(group, results, strict=True):
                _assert_negative(task, result)
