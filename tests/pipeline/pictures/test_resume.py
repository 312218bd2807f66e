"""An image job run again: nothing is done twice, and nothing is taken for what it is not."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from jobs.applying.stylize_images import stylize_images
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError
from pipeline.pictures.records import ImageRecords
from pipeline.storage.local import LocalStorage
from pipeline.work.progress import OnProgress, Progress
from tests.kit.image_jobs import contents, images_job, save_pictures, tree


def _interrupt_after(count: int) -> OnProgress:
    def interrupt(progress: Progress) -> None:
        if progress.done == count:
            raise KeyboardInterrupt

    return interrupt


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each picture has been written."""
    count: Counter[str] = Counter()
    write = LocalStorage.write

    def counted(self: LocalStorage, path: str, content: bytes) -> None:
        if not path.endswith(".json"):
            count[Path(path).name] += 1
        write(self, path, content)

    monkeypatch.setattr(LocalStorage, "write", counted)
    return count


def test_a_second_run_does_nothing_twice(photos: Path, style: Style, tmp_path: Path) -> None:
    output = tmp_path / "out"
    job = images_job(photos, output, str(style.path))
    with pytest.raises(KeyboardInterrupt):
        stylize_images(job, _interrupt_after(4))
    report = stylize_images(job)
    assert (report.total, report.reused, report.done) == (10, 4, 6)
    again = stylize_images(job)
    assert (again.reused, again.done, again.engine, again.workers) == (10, 0, "none", 0)
    assert json.loads((output / "report.json").read_text())["reused"] == 10


def test_what_was_written_and_not_recorded_is_not_done_again(
    tmp_path: Path, written: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number:02}.jpg" for number in range(60)]
    source = save_pictures(tmp_path / "in", *names)
    job = images_job(source, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(ImageRecords, "add", _killed)
        with pytest.raises(KeyboardInterrupt):
            stylize_images(job)
    assert set(written.values()) == {1}
    finished = len(written)
    assert finished > 1
    (tmp_path / "in" / names[0]).touch()  # as if it were another now: that one is done again
    report = stylize_images(job)
    assert (report.reused, report.done) == (finished - 1, 60 - finished + 1)
    assert Counter(written.values()) == {1: 59, 2: 1}
    assert written[names[0]] == 2
    again = stylize_images(job)
    assert (again.reused, again.done, again.engine) == (60, 0, "none")


def test_after_interruptions_all_is_as_if_there_had_been_none(
    tmp_path: Path, written: Counter[str]
) -> None:
    names = [f"{number:02}.jpg" for number in range(60)]
    source = save_pictures(tmp_path / "in", *names)
    (source / "07.jpg").write_bytes(b"no picture")
    undisturbed = stylize_images(images_job(source, tmp_path / "undisturbed"))
    written.clear()
    job = images_job(source, tmp_path / "out")
    for progress in (5, 19, 32, 50):
        with pytest.raises(KeyboardInterrupt):
            stylize_images(job, _interrupt_after(progress))
    report = stylize_images(job)
    assert (report.done + report.reused, report.failed) == (undisturbed.done, 1)
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")
    assert set(written) == set(names) - {"07.jpg"}
    assert set(written.values()) == {1}
    lines = (tmp_path / "out" / "progress.jsonl").read_text().splitlines()
    done = Counter(
        record["output"] for record in map(json.loads, lines) if record["status"] == "done"
    )
    assert set(done.values()) == {1}


def test_what_was_made_otherwise_is_not_taken_for_done(
    photos: Path, style: Style, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    stylize_images(images_job(photos, output))
    before = contents(output)
    report = stylize_images(images_job(photos, output, str(style.path)))
    assert (report.total, report.reused, report.failed) == (10, 0, 10)
    assert "--overwrite" in report.failures[0]["error"]
    assert contents(output) == before
    report = stylize_images(images_job(photos, output, str(style.path), overwrite=True))
    assert (report.done, report.failed) == (10, 0)
    assert not contents(output).items() & before.items()


@pytest.mark.parametrize("options", [{"quality": 50}, {"max_side": 20}])
def test_every_setting_that_decides_the_pixels_counts(
    tmp_path: Path, options: dict[str, object]
) -> None:
    source = save_pictures(tmp_path / "in", "a.jpg")
    stylize_images(images_job(source, tmp_path / "out"))
    report = stylize_images(images_job(source, tmp_path / "out", **options))
    assert (report.reused, report.failed) == (0, 1)


@pytest.mark.parametrize("options", [{"strength": 0.5}, {"keep_colors": True}])
def test_so_does_what_is_made_of_the_style(
    style: Style, tmp_path: Path, options: dict[str, Any]
) -> None:
    source = save_pictures(tmp_path / "in", "a.jpg")
    stylize_images(images_job(source, tmp_path / "out", str(style.path)))
    styles = (StyleSpec(str(style.path), **options),)
    report = stylize_images(images_job(source, tmp_path / "out", styles=styles))
    assert (report.reused, report.failed) == (0, 1)


def test_a_changed_source_is_done_again(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.png")
    stylize_images(images_job(source, tmp_path / "out"))
    (source / "b.png").write_bytes((source / "a.png").read_bytes())
    os.utime(source / "b.png", ns=(1, 1))
    report = stylize_images(images_job(source, tmp_path / "out"))
    assert (report.done, report.reused, report.failed) == (1, 1, 0)
    assert len(set(contents(tmp_path / "out").values())) == 1


def test_a_source_that_was_touched_but_not_changed_is_reused(
    tmp_path: Path, written: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.png")
    stylize_images(images_job(source, tmp_path / "out"))
    (source / "a.png").touch()
    content = (source / "b.png").read_bytes()
    (source / "b.png").unlink()
    (source / "b.png").write_bytes(content)
    written.clear()
    report = stylize_images(images_job(source, tmp_path / "out"))
    assert (report.done, report.reused, report.failed) == (0, 2, 0)
    assert not written
    # The new times have been recorded: the next run need not read the files again.
    monkeypatch.setattr(LocalStorage, "read", _killed)
    assert stylize_images(images_job(source, tmp_path / "out")).reused == 2


def test_an_output_that_somebody_edited_is_not_replaced_unasked(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.png")
    stylize_images(images_job(source, tmp_path / "out"))
    edited = tmp_path / "out" / "a.png"
    edited.write_bytes(b"edited")
    report = stylize_images(images_job(source, tmp_path / "out"))
    assert (report.reused, report.failed) == (1, 1)
    assert report.failures[0]["path"] == str(source / "a.png")
    assert str(edited) in report.failures[0]["error"]
    assert edited.read_bytes() == b"edited"
    report = stylize_images(images_job(source, tmp_path / "out", overwrite=True))
    assert (report.done, report.reused, report.failed) == (1, 1, 0)


def test_outputs_that_are_gone_or_empty_are_made_again(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.png", "c.png")
    stylize_images(images_job(source, tmp_path / "out"))
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "a.png").unlink()
    (tmp_path / "out" / "b.png").write_bytes(b"")  # as a power cut may leave it
    report = stylize_images(images_job(source, tmp_path / "out"))
    assert (report.done, report.reused, report.failed) == (2, 1, 0)
    assert contents(tmp_path / "out") == before


def test_no_resume_does_all_anew_but_replaces_only_its_own(
    tmp_path: Path, written: Counter[str]
) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.png")
    stylize_images(images_job(source, tmp_path / "out"))
    (tmp_path / "out" / "b.png").write_bytes(b"edited")
    written.clear()
    report = stylize_images(images_job(source, tmp_path / "out", resume=False))
    assert (report.done, report.reused, report.failed) == (1, 0, 1)
    assert written == {"a.png": 1}


def test_new_pictures_are_added_to_what_is_there(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    stylize_images(images_job(source, tmp_path / "out"))
    save_pictures(source, "a0.png", "b/c.png")
    os.utime(source / "a.png")
    report = stylize_images(images_job(source, tmp_path / "out"))
    assert (report.total, report.done, report.reused) == (3, 2, 1)


def test_a_style_added_later_needs_only_its_own_outputs(
    style: Style, tmp_path: Path, written: Counter[str]
) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.png")
    stylize_images(images_job(source, tmp_path / "out", "identity", str(style.path)))
    written.clear()
    job = images_job(source, tmp_path / "out", "identity", str(style.path), "wave")
    report = stylize_images(job)
    assert (report.total, report.done, report.reused) == (2, 2, 0)
    assert written == {"a-wave.png": 1, "b-wave.png": 1}


def test_an_input_is_done_where_one_of_its_outputs_is_made_and_the_others_reused(
    style: Style, tmp_path: Path, written: Counter[str]
) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.png")
    job = images_job(source, tmp_path / "out", "identity", str(style.path))
    stylize_images(job)
    written.clear()
    for name in ("a.png", "b.png"):  # touched: reused by their content
        (source / name).touch()
    (tmp_path / "out" / "a-identity.png").unlink()
    report = stylize_images(job)
    assert (report.total, report.done, report.reused) == (2, 1, 1)
    assert written == {"a-identity.png": 1}


def test_failures_are_tried_again(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.png")
    whole = (source / "b.png").read_bytes()
    (source / "b.png").write_bytes(whole[:100])
    assert stylize_images(images_job(source, tmp_path / "out")).failed == 1
    (source / "b.png").write_bytes(whole)
    report = stylize_images(images_job(source, tmp_path / "out"))
    assert (report.done, report.reused, report.failed) == (1, 1, 0)


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    (tmp_path / "out").mkdir()
    other = ImageRecords(LocalStorage(), str(tmp_path / "out"))
    with pytest.raises(InputError, match="another run is writing into this folder"):
        stylize_images(images_job(source, tmp_path / "out"))
    assert tree(tmp_path / "out") == set()
    other.close()
    assert stylize_images(images_job(source, tmp_path / "out")).done == 1
