"""The plan of an image job: every input is failed at once, reused, or in a task."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nst_core.errors import EnvironmentProblem, InputError
from pipeline.pictures.judging import OutputFolder
from pipeline.pictures.outputs.names import OutputNames
from pipeline.pictures.plan import ImagePlan
from pipeline.pictures.records import ImageRecord
from pipeline.pictures.settings import FormatChoice
from pipeline.storage.files import StoredFile
from pipeline.storage.local import LocalStorage

SOURCE = StoredFile("/in/a.jpg", "a.jpg", 100, "version", "/in/a.jpg")
DONE = ImageRecord("a.jpg", "/in/a.jpg", "version", "as asked", "digest", 5, "done")
BEGUN = ImageRecord("a.jpg", "/in/a.jpg", "version", "as asked", is_new=True)


@pytest.fixture
def plan() -> Iterator[ImagePlan]:
    with ImagePlan() as made:
        yield made


def _file(name: str, folder: str = "/in", **changes: Any) -> StoredFile:
    found = StoredFile(f"{folder}/{name}", name, 100, "version", f"{folder}/{name}")
    return replace(found, **changes)


def _names(chosen: FormatChoice = "same", styles: tuple[str, ...] = ("wave",)) -> OutputNames:
    return OutputNames(chosen, styles, len(styles), 0)


def _folder(path: Path, *, resume: bool = True, overwrite: bool = False) -> OutputFolder:
    identities = {"wave": "as asked", "candy": "with candy"}
    return OutputFolder(LocalStorage(), str(path), identities, resume, overwrite)


def _add(plan: ImagePlan, files: Sequence[StoredFile], names: OutputNames | None = None) -> None:
    assert list(plan.add(files, names or _names()))[-1] == plan.inputs()


def _sampled(plan: ImagePlan, count: int) -> list[tuple[str, list[str]]]:
    return [(task.source, names) for task, names in plan.sample(count)]


def _outputs(plan: ImagePlan, folder: Path) -> dict[str, list[str]]:
    """What is to do: sources to the names of their outputs."""
    return {
        task.source: [os.path.relpath(output.path, folder) for output in task.outputs]
        for task in plan.tasks(_folder(folder))
    }


def test_inputs_are_counted_as_they_come_and_the_same_one_once(plan: ImagePlan) -> None:
    files = [_file("a.jpg"), _file("b.jpg"), _file("a.jpg"), _file("c.jpg")]
    assert list(plan.add(files, _names())) == [1, 2, 2, 3]


def test_files_are_taken_in_while_others_are_still_looked_for(plan: ImagePlan) -> None:
    def endless() -> Iterator[StoredFile]:
        number = 0
        while True:
            number += 1
            yield _file(f"{number}.jpg")

    counts = plan.add(endless(), _names())
    assert [next(counts) for _ in range(5)] == [1, 2, 3, 4, 5]


def test_every_input_is_failed_reused_or_waiting_and_no_two_of_them(
    plan: ImagePlan, tmp_path: Path
) -> None:
    files = [
        _file("reused.jpg"),
        _file("half reused.jpg"),
        _file("new.jpg"),
        _file("loop", problem="/in/loop: links to a folder above it"),
        _file("unknown.ending"),
        _file("foreign.jpg"),
    ]
    names = _names("same", ("wave", "candy"))
    _add(plan, files, names)
    for name in ("reused-wave", "reused-candy", "half reused-wave", "foreign-wave"):
        (tmp_path / f"{name}.jpg").write_bytes(b"12345")
    identities = _folder(tmp_path).identities
    plan.remember(
        replace(DONE, output=f"{name}-{style}.jpg", source=f"/in/{name}.jpg", identity=identity)
        for name in ("reused", "half reused")
        for style, identity in identities.items()
    )
    plan.judge(_folder(tmp_path))
    failures = {Path(path).name: problem for _, path, problem in plan.failures()}
    assert set(failures) == {"loop", "unknown.ending", "foreign.jpg"}
    assert "--overwrite" in failures["foreign.jpg"]
    assert plan.reused() == 1
    tasks = _outputs(plan, tmp_path)
    assert tasks["/in/half reused.jpg"] == ["half reused-candy.jpg"]
    assert tasks["/in/new.jpg"] == ["new-candy.jpg", "new-wave.jpg"]
    # One output of the foreign one may be made: the input has failed all the same.
    assert tasks.pop("/in/foreign.jpg") == ["foreign-candy.jpg"]
    assert plan.waiting() == len(tasks) + 1
    assert plan.inputs() == len(failures) + plan.reused() + len(tasks)


def test_outputs_of_one_name_keep_the_endings_of_their_sources(
    plan: ImagePlan, tmp_path: Path
) -> None:
    _add(plan, [_file("a.png"), _file("a.bmp"), _file("b.bmp"), _file("x/a.png")], _names("webp"))
    plan.judge(_folder(tmp_path))
    assert _outputs(plan, tmp_path) == {
        "/in/a.png": ["a.png.webp"],
        "/in/a.bmp": ["a.bmp.webp"],
        "/in/b.bmp": ["b.webp"],
        "/in/x/a.png": ["x/a.webp"],
    }


@pytest.mark.parametrize(
    ("files", "output"),
    [
        ([_file("a.jpg", "/one"), _file("a.jpg", "/two")], "a.jpg.webp"),
        ([_file("a.png"), _file("a.bmp"), _file("a.bmp.png")], "a.bmp.webp"),
    ],
)
def test_outputs_that_cannot_be_told_apart_are_refused_with_both_sources(
    plan: ImagePlan, files: list[StoredFile], output: str
) -> None:
    with pytest.raises(InputError, match=r"would both become .*; stylize them into") as caught:
        _add(plan, files, _names("webp"))
    assert output in str(caught.value)
    assert sum(file.path in str(caught.value) for file in files) == 2


def test_an_output_that_would_replace_an_input_is_refused(plan: ImagePlan) -> None:
    _add(plan, [_file("x/a.jpg"), _file("b.jpg", real="/out/x/a.jpg")])
    plan.spare_inputs("/elsewhere")
    plan.spare_inputs("/out/x")
    plan.spare_inputs("/ou")
    with pytest.raises(InputError, match=r"^/out/x/a\.jpg: .* replace an input, /in/b\.jpg;"):
        plan.spare_inputs("/out")


def _known(**changes: Any) -> ImageRecord:
    return replace(DONE, **changes)


@pytest.mark.parametrize(
    ("known", "size", "verdict"),
    [
        (None, None, "missing"),
        (None, 5, "refused"),
        (None, 0, "refused"),
        (DONE, None, "missing"),
        (DONE, 5, "reused"),
        (DONE, 6, "refused"),  # edited since
        (DONE, 0, "missing"),  # a disk that was full
        (_known(version="other"), 5, "unsure"),
        (_known(identity="otherwise"), 5, "refused"),
        (_known(source="/in/b.jpg"), 5, "refused"),
        (_known(status="begun"), 5, "unsure"),
        (_known(status="begun", digest=""), 5, "missing"),
        (_known(status="begun", digest="", size=0), 5, "missing"),  # killed before the record
        (_known(status="begun", identity="otherwise"), 5, "refused"),
        (_known(status="failed", digest="digest", size=0), 5, "missing"),
        (_known(status="failed", digest="digest", size=0), None, "missing"),
        (BEGUN, 5, "whole"),  # killed between the picture and its record
        (BEGUN, 0, "missing"),
        (BEGUN, None, "missing"),
        (replace(BEGUN, version="other"), 5, "missing"),
        (replace(BEGUN, identity="otherwise"), 5, "refused"),
    ],
)
def test_what_lies_in_the_output_folder_is_judged_by_its_record(
    plan: ImagePlan, tmp_path: Path, known: ImageRecord | None, size: int | None, verdict: str
) -> None:
    if size is not None:
        (tmp_path / "a.jpg").write_bytes(bytes(size))
    _add(plan, [SOURCE])
    plan.remember([known] if known else [])
    plan.judge(_folder(tmp_path))
    failed, tasks = list(plan.failures()), list(plan.tasks(_folder(tmp_path)))
    assert len(failed) == (verdict == "refused")
    assert plan.reused() == (verdict == "reused")
    assert plan.waiting() == len(tasks) == (verdict in ("missing", "unsure", "whole"))
    for task in tasks:
        (output,) = task.outputs
        assert output.made_from == ("digest" if verdict == "unsure" else None)
        assert output.is_whole == (verdict == "whole")
        assert output.is_new == (size is None or verdict == "whole")


@pytest.mark.parametrize(
    ("known", "size", "words"),
    [
        (_known(identity="before"), 5, "was made with another --strength and --quality"),
        (_known(identity="of an earlier version"), 5, "was made otherwise"),
        (None, 5, "was made otherwise"),
        (DONE, 6, "was changed since it was made"),
        (_known(source="/in/b.jpg"), 5, "was made from another file"),
    ],
)
def test_a_refused_output_is_told_with_what_is_otherwise(
    plan: ImagePlan, tmp_path: Path, known: ImageRecord | None, size: int, words: str
) -> None:
    (tmp_path / "a.jpg").write_bytes(bytes(size))
    _add(plan, [SOURCE])
    plan.remember([known] if known else [])
    now = {"--style": "x", "--strength": 1.0, "--quality": 95}
    before = {"--style": "x", "--strength": 0.5}
    plan.judge(_folder(tmp_path), {"as asked": now, "before": before})
    ((_, _, problem),) = plan.failures()
    assert problem == f"{tmp_path}/a.jpg exists and {words}; --overwrite replaces it"


@pytest.mark.parametrize(
    ("known", "options", "verdict"),
    [
        (None, {"overwrite": True}, "missing"),
        (_known(identity="otherwise"), {"overwrite": True}, "missing"),
        (_known(size=4), {"overwrite": True}, "missing"),
        (DONE, {"overwrite": True}, "reused"),  # there is nothing to replace
        (DONE, {"resume": False}, "missing"),
        (BEGUN, {"resume": False}, "missing"),
        (None, {"resume": False}, "refused"),
        (_known(identity="otherwise"), {"resume": False}, "refused"),
    ],
)
def test_overwrite_is_for_what_is_not_ours_and_no_resume_for_what_is(
    plan: ImagePlan,
    tmp_path: Path,
    known: ImageRecord | None,
    options: dict[str, bool],
    verdict: str,
) -> None:
    (tmp_path / "a.jpg").write_bytes(bytes(5))
    _add(plan, [SOURCE])
    plan.remember([known] if known else [])
    plan.judge(_folder(tmp_path, **options))
    assert (len(list(plan.failures())), plan.reused(), plan.waiting()) == (
        *(verdict == "refused", verdict == "reused", verdict == "missing"),
    )
    assert all(task.outputs[0].made_from is None for task in plan.tasks(_folder(tmp_path)))


def test_the_last_record_of_an_output_counts(plan: ImagePlan, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(bytes(5))
    _add(plan, [SOURCE])
    plan.remember([_known(status="begun", digest="", size=0), _known(size=9), DONE])
    plan.judge(_folder(tmp_path))
    assert plan.reused() == 1


def test_a_folder_that_a_link_leads_out_of_the_output_is_refused(
    plan: ImagePlan, tmp_path: Path
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "out elsewhere"
    (out / "inside").mkdir(parents=True)
    elsewhere.mkdir()
    (out / "x").symlink_to(elsewhere)
    (out / "y").symlink_to(out / "inside")
    _add(plan, [_file("a.jpg"), _file("x/a.jpg"), _file("x/deep/a.jpg"), _file("y/a.jpg")])
    plan.judge(_folder(out))
    failed = {path: problem for _, path, problem in plan.failures()}
    assert set(failed) == {"/in/x/a.jpg", "/in/x/deep/a.jpg"}
    assert failed["/in/x/a.jpg"] == f"{out}/x/a.jpg: a link leads out of the output folder"
    assert set(_outputs(plan, out)) == {"/in/a.jpg", "/in/y/a.jpg"}


def test_tasks_come_by_name_and_carry_what_was_listed(plan: ImagePlan, tmp_path: Path) -> None:
    _add(
        plan,
        [_file(name, size=number) for number, name in enumerate(("c.jpg", "a/z.jpg", "b.jpg"))],
    )
    plan.judge(_folder(tmp_path))
    tasks = list(plan.tasks(_folder(tmp_path)))
    assert [(task.source, task.size, task.version) for task in tasks] == [
        ("/in/a/z.jpg", 1, "version"),
        ("/in/b.jpg", 2, "version"),
        ("/in/c.jpg", 0, "version"),
    ]


def test_names_that_are_no_text_pass_through_the_plan(plan: ImagePlan, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / name).write_bytes(bytes(5))
    _add(plan, [_file(name), _file(f"x/{name}")])
    plan.remember([replace(DONE, output=name, source=f"/in/{name}")])
    plan.judge(_folder(tmp_path))
    assert plan.reused() == 1
    assert _outputs(plan, tmp_path) == {f"/in/x/{name}": [f"x/{name}"]}


def test_a_plan_that_outgrows_memory_waits_in_a_file_that_a_kill_leaves_no_trace_of(
    plan: ImagePlan,
) -> None:
    before = _open_files()
    _add(plan, [_file(f"{number:06}.jpg") for number in range(20_000)])
    (added,) = _open_files() - before
    assert added.name.endswith(" (deleted)")  # what the system says of a file without a name


def _open_files() -> set[Path]:
    links = [Path(link.path) for link in os.scandir("/proc/self/fd")]
    targets = {link.readlink() for link in links if link.is_symlink()}
    return {target for target in targets if target.is_absolute() and "/proc" not in str(target)}


def test_a_disk_that_does_not_hold_the_plan_is_told_in_one_line() -> None:
    with pytest.raises(EnvironmentProblem, match=r"kept on disk .*TMPDIR"):
        _plan_on_a_small_disk()


def _plan_on_a_small_disk() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ImagePlan() as plan:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            _add(plan, [_file(f"{number:06}.jpg") for number in range(20_000)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_sample_is_spread_evenly_and_leaves_out_what_has_no_output(plan: ImagePlan) -> None:
    _add(plan, [_file(f"{number:02}.jpg") for number in reversed(range(40))])
    assert _sampled(plan, 4) == [(f"/in/{n:02}.jpg", [f"{n:02}.jpg"]) for n in (0, 10, 20, 30)]
    assert len(list(plan.sample(50))) == 40
    with ImagePlan() as other:
        _add(other, [_file("a.jpg"), _file("b.ending"), _file("c", problem="c: broken")])
        assert _sampled(other, 12) == [("/in/a.jpg", ["a.jpg"])]


def test_a_sample_has_all_styles_of_each_input(plan: ImagePlan) -> None:
    _add(plan, [_file(f"{n}.jpg") for n in range(4)], _names(styles=("wave", "candy")))
    assert _sampled(plan, 2) == [
        (f"/in/{n}.jpg", [f"{n}-wave.jpg", f"{n}-candy.jpg"]) for n in (0, 2)
    ]
