"""The benchmark: its tables, what it counts, and that one failing section stops no other."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from jobs.benchmark import registry as sections
from jobs.benchmark.machine import describe_machine
from jobs.benchmark.material.films import film
from jobs.benchmark.material.generators import measured_generators, wave
from jobs.benchmark.material.pictures import photo_folder, still_frames
from jobs.benchmark.memory_watch import MemoryCurve
from jobs.benchmark.registry import SectionFailure, chosen_sections, run_sections
from jobs.benchmark.rendering import cell_text, section_fields, section_markdown
from jobs.benchmark.section import Section
from jobs.benchmark.sections import engines
from jobs.benchmark.sections.memory import Line
from jobs.benchmark.sections.peers import peers_network, stylize_as_peers
from jobs.benchmark.sections.training import write_random_vgg19
from jobs.benchmark.settings import BenchSettings
from jobs.benchmark.subjects.engine_choice import REFERENCE, build_engines
from jobs.benchmark.subjects.naive_script import stylize_film, stylize_folder
from jobs.benchmark.turns import median_ratio, take_turns, timed
from nst_core.errors import InputError
from nst_core.objectives.loss_network import LossNetwork, load_loss_network_weights
from nst_core.stylizer import Stylizer
from tests.kit.command_line import nst
from tests.kit.media import make_clip, moving_picture, psnr

_SECTION = Section(
    key="speeds",
    title="Speeds",
    columns=("what", "ms", "share"),
    rows=[("a | b", 12.345, 0.5), ("c", None, 0.01234)],
    notes=("How it was measured.",),
)


def _settings(folder: Path, **more: Any) -> BenchSettings:
    return BenchSettings(folder, quick=True, **more)


def test_a_section_is_a_markdown_table() -> None:
    assert section_markdown(_SECTION).splitlines() == [
        *("## Speeds", "", "- How it was measured.", ""),
        "| what | ms | share |",
        "| --- | --- | --- |",
        r"| a \| b | 12.3 | 0.50 |",
        "| c |  | 0.0123 |",
    ]


def test_a_section_is_an_object_whose_rows_name_their_columns() -> None:
    fields = json.loads(json.dumps(section_fields(_SECTION)))
    assert fields["key"] == "speeds"
    assert fields["rows"][0] == {"what": "a | b", "ms": 12.345, "share": 0.5}
    assert fields["rows"][1]["ms"] is None


@pytest.mark.parametrize(
    ("cell", "text"),
    [(1234.5, "1234"), (-12.34, "-12.3"), (1.0, "1.00"), (3, "3"), (None, ""), ("a\nb", "a\nb")],
)
def test_numbers_have_the_digits_that_were_measured(cell: Any, text: str) -> None:
    assert cell_text(cell) == text


def test_the_peers_network_has_the_parameters_of_theirs(tmp_path: Path) -> None:
    network = peers_network(_settings(tmp_path)).load()
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_679_235


def test_the_peers_way_gives_the_picture_that_this_program_gives() -> None:
    pixels = moving_picture(3)
    theirs = stylize_as_peers(wave().load(), Image.fromarray(pixels), "cpu")
    ours = Stylizer(wave().style, engine="torch", device="cpu").stylize(pixels)
    assert psnr(np.asarray(theirs), ours) > 45  # they cut where we round


def test_the_plain_script_writes_every_frame_and_every_picture(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", frames=5)
    assert stylize_film(wave().load(), tmp_path / "in.mp4", tmp_path / "out.mp4") == 5
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5
    photos = photo_folder(_settings(tmp_path), 2)
    assert stylize_folder(wave().load(), photos, tmp_path / "out") == 2
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 2


def test_an_engine_that_cannot_be_built_is_left_out_with_its_reason(tmp_path: Path) -> None:
    from jobs.benchmark.material.generators import MeasuredGenerator
    from nst_core.checkpoints.library import find_style

    texture = MeasuredGenerator("texture", find_style("bricks"), trained=True)
    engines = build_engines(texture)
    assert engines.built[0].name == REFERENCE
    assert not any("openvino" in engine.name for engine in engines.built)
    assert any("texture: no openvino cpu float32 (" in line for line in engines.left_out)


@pytest.mark.slow
def test_the_lean_network_is_measured_beside_the_papers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _settings(tmp_path)
    names = [generator.name.split(" (")[0] for generator in measured_generators(settings)]
    assert names == ["lean 24", "johnson 16", "johnson 32"]
    monkeypatch.setattr(engines, "_QUICK_SIZES", ((64, 64),))
    monkeypatch.setattr(engines, "measured_generators", lambda settings: [wave()])
    rows = section_fields(engines.engines(settings))["rows"]
    assert {row["generator"] for row in rows} == {"lean 24 (wave)"}
    assert "torch cpu float32" in {row["engine"] for row in rows}
    for row in rows:
        assert row["times eager width 32"] > 0
        assert row["times eager float32"] > 0


def test_a_film_repeats_its_frames_until_it_is_long_enough(tmp_path: Path) -> None:
    make_clip(tmp_path / "source.mp4", frames=24)
    settings = _settings(tmp_path, video=tmp_path / "source.mp4")
    path = film(settings, width=96, height=64, seconds=2.5)
    with av.open(str(path)) as container:
        frames = [frame.time for frame in container.decode(video=0)]
    assert len(frames) == 72
    assert frames == pytest.approx([number / 24 for number in range(72)])


def test_frames_and_photographs_are_taken_from_what_is_named(tmp_path: Path) -> None:
    make_clip(tmp_path / "source.mp4", frames=24)
    settings = _settings(tmp_path, video=tmp_path / "source.mp4", photos=tmp_path / "mine")
    frames = still_frames(settings, 3, width=48, height=32)
    assert frames.shape == (3, 32, 48, 3)
    assert psnr(frames[0], frames[1]) < 40
    settings.photos.mkdir()  # type: ignore[union-attr]
    with pytest.raises(InputError, match="no JPEG or PNG"):
        photo_folder(settings, 1)
    photo_folder(settings, 1).rmdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "mine" / "red.png")
    assert [path.name for path in photo_folder(settings, 5).iterdir()] == ["0000.png"]


def test_random_weights_are_a_loss_network_that_keeps_its_scale(tmp_path: Path) -> None:
    write_random_vgg19(tmp_path / "vgg.safetensors")
    weights = load_loss_network_weights("vgg19", tmp_path / "vgg.safetensors")
    seen = LossNetwork(weights, ("relu1_1", "relu5_1"))(torch.rand(1, 3, 64, 64))
    first, last = (float(seen[name].std()) for name in ("relu1_1", "relu5_1"))
    assert 0.1 < last / first < 10


def test_cases_take_turns_after_a_round_that_does_not_count() -> None:
    order = []

    def case(name: str, seconds: float) -> float:
        order.append(name)
        return seconds * len(order)

    seconds = take_turns(
        {"a": lambda: case("a", 1.0), "b": lambda: case("b", 1.0)}, rounds=2, warm_up=True
    )
    assert order == ["a", "b"] * 3
    assert seconds == {"a": [3.0, 5.0], "b": [4.0, 6.0]}
    assert median_ratio(seconds["b"], seconds["a"]) == pytest.approx((4 / 3 + 6 / 5) / 2)


def test_on_cuda_a_case_lasts_from_event_to_event(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            done.append("record")

        def synchronize(self) -> None:
            done.append("synchronize")

        def elapsed_time(self, end: Event) -> float:
            assert end is not self
            return 1500.0

    monkeypatch.setattr("torch.cuda.Event", Event)
    assert timed(lambda: done.append("work"), "cuda")() == 1.5
    assert done == ["record", "work", "record", "synchronize"]


def test_memory_is_read_from_a_line_and_from_the_ends_of_a_curve() -> None:
    line = Line.through([0.5, 1.0, 2.0], [700.0, 900.0, 1300.0])
    assert (line.per_megapixel, line.at_zero) == pytest.approx((400, 500))
    curve = MemoryCurve(samples=[(float(second), 100.0 + second) for second in range(101)])
    assert (curve.around(0.1), curve.around(1.0)) == (110.0, 200.0)


def test_the_machine_is_described_without_its_name() -> None:
    import platform

    machine = describe_machine()
    assert machine["cores"]
    assert all(machine[name] for name in ("processor", "memory, GB", "torch", "openvino", "ray"))
    assert platform.node() not in " ".join(map(str, machine.values())).split()


def test_an_unknown_section_is_answered_with_the_known_ones() -> None:
    assert chosen_sections(["peers", "engines"]) == ["engines", "peers"]
    assert chosen_sections(["machine"]) == []
    assert chosen_sections([]) == list(sections.SECTIONS)
    with pytest.raises(InputError, match=r"--only speed: no such section.*there are machine, eng"):
        chosen_sections(["speed"])


@pytest.mark.parametrize("name", sections.SECTIONS)
def test_every_section_is_found(name: str) -> None:
    assert callable(getattr(import_module(sections.SECTIONS[name]), name))


def test_a_section_that_fails_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    modules = {"missing": "jobs.benchmark.no_such_module", "failing": __name__, "fast": __name__}
    results = list(run_sections(list(modules), _settings(tmp_path), modules))
    assert [type(result) for result in results] == [SectionFailure, SectionFailure, Section]
    assert results[1] == SectionFailure("failing", "InputError: no frame in it")


def failing(settings: BenchSettings) -> Section:
    raise InputError("a first line\nno frame in it")


def fast(settings: BenchSettings) -> Section:
    return _SECTION


@pytest.fixture
def _more_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("failing", "fast"):
        monkeypatch.setitem(sections.SECTIONS, name, __name__)


@pytest.mark.usefixtures("_more_sections")
def test_the_command_prints_markdown_and_writes_it_too(tmp_path: Path) -> None:
    file = tmp_path / "bench.md"
    ended = nst("bench", "--quick", "--only", "fast", "-o", file)
    assert ended.code == 0, ended.error
    assert ended.out.startswith("# `nst bench`")
    assert "| processor | " in ended.out
    assert "## Speeds" in ended.out
    assert file.read_text() == ended.out
    assert "fast: begins" in ended.error


def test_the_command_prints_one_object_with_the_machine_first() -> None:
    ended = nst("bench", "--only", "machine", "--json")
    assert ended.code == 0, ended.error
    fields = json.loads(ended.out)
    assert next(iter(fields)) == "machine"
    assert fields["machine"]["cores"]
    assert fields["sections"] == []


@pytest.mark.usefixtures("_more_sections")
def test_the_command_ends_with_1_where_a_section_failed() -> None:
    ended = nst("bench", "--only", "failing", "--only", "fast")
    assert ended.code == 1
    assert "**failing failed**: InputError: no frame in it" in ended.out
    assert "## Speeds" in ended.out
    assert "error: failing: InputError: no frame in it" in ended.error


def test_files_that_are_not_there_are_named_before_anything_is_measured(tmp_path: Path) -> None:
    ended = nst("bench", "--video", tmp_path / "none.mp4")
    assert ended.code == 2
    assert ended.error_line.endswith("none.mp4: no such file")
