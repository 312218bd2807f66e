"""The plan of pictures: what a run would find and refuse, and nothing written for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from jobs.applying.stylize_images import stylize_images
from jobs.planning.pictures import plan_pictures
from jobs.planning.report import PicturesPlan
from jobs.specs.applying import StylizeImages
from nst_core.errors import InputError
from nst_core.files import lock
from tests.kit.image_jobs import images_job, save_pictures
from tests.kit.plans import nothing_written


@pytest.fixture(autouse=True)
def _short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.planning.pictures._SECONDS_OF_ROUNDS", 0.05)
    monkeypatch.setattr("jobs.planning.crew.usable_processors", lambda: 1)


def _plan(job: StylizeImages, folder: Path) -> PicturesPlan:
    with nothing_written(folder):
        return plan_pictures(job)


def test_a_folder_is_planned_as_it_is_then_done(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b/c.png", "d.png")
    output = tmp_path / "new" / "out"
    job = images_job(source, output)
    plan = _plan(job, tmp_path)
    assert (plan.total, plan.to_do, plan.reused, plan.failed) == (3, 3, 0, 0)
    assert plan.pixels == 3 * 40 * 30
    assert plan.looked_at == 3
    assert plan.images_measured > 0
    assert 0 < plan.seconds_to_start <= plan.seconds
    assert plan.memory is not None
    stylize_images(job)
    written = sum(path.stat().st_size for path in output.rglob("*.[pj][np]g"))
    assert plan.size == pytest.approx(written, rel=0.3)
    assert plan.disks[0].needed == plan.size


def test_what_was_done_is_kept_and_the_rest_is_to_do(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.png")
    job = images_job(source, tmp_path / "out")
    stylize_images(job)
    done = _plan(job, tmp_path)
    assert (done.total, done.to_do, done.reused) == (2, 0, 2)
    assert done.memory is None
    save_pictures(source, "c.png")
    more = _plan(job, tmp_path)
    assert (more.total, more.to_do, more.reused) == (3, 1, 2)


def test_what_a_run_would_refuse_is_refused_in_its_words(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.tga", "large.png")
    Image.new("RGB", (80, 60)).save(source / "large.png")
    (source / "broken.png").write_bytes(b"no picture")
    cut = (source / "a.png").read_bytes()
    (source / "cut.png").write_bytes(cut[: len(cut) // 2])
    job = images_job(source, tmp_path / "out", max_pixels=2000)
    plan = _plan(job, tmp_path)
    report = stylize_images(job)
    assert sorted(map(str, plan.failures)) == sorted(map(str, report.failures))
    assert (plan.total, plan.failed) == (report.total, report.failed)
    assert plan.to_do == report.done
    assert plan.some_fail
    assert not plan.nothing_starts


def test_names_that_collide_are_refused_as_by_the_run(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "a.png.png")
    Image.new("RGB", (40, 30)).save(source / "a.bmp")
    job = images_job(source, tmp_path / "out", format="png")
    with nothing_written(tmp_path), pytest.raises(InputError) as planned:
        plan_pictures(job)
    with pytest.raises(InputError) as run:
        stylize_images(job)
    assert str(planned.value) == str(run.value)
    assert "would both become" in str(planned.value)


def test_a_folder_that_another_run_writes_into_is_refused(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    job = images_job(source, tmp_path / "out")
    stylize_images(job)
    with (tmp_path / "out" / "progress.jsonl").open("rb") as held:
        assert lock(held)
        with pytest.raises(InputError, match="another run is writing into this folder"):
            _plan(job, tmp_path)


def test_outputs_of_several_styles_are_counted(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    one = _plan(images_job(source, tmp_path / "out"), tmp_path)
    two = _plan(images_job(source, tmp_path / "out", "identity", "wave"), tmp_path)
    assert two.styles_per_image == 2
    assert two.size > one.size


def test_pictures_far_too_many_are_judged_by_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.planning.pictures._MOST_LOOKED_AT", 4)
    source = save_pictures(tmp_path / "in", *(f"{number}.png" for number in range(9)))
    plan = _plan(images_job(source, tmp_path / "out"), tmp_path)
    assert plan.looked_at == 3
    assert plan.pixels == 9 * 40 * 30
