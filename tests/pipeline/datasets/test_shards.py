"""Tar shards: what is found in them, also where they are damaged."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from PIL import Image

from jobs.applying.stylize_images import stylize_images
from pipeline.datasets.shards import expanded, key_of
from pipeline.pictures.inputs.sources import find_images
from pipeline.storage.files import StoredFile
from tests.kit.image_jobs import contents, counts, images_job, save_pictures, tree
from tests.kit.shards import make_shard, make_shards, picture


def _found(*sources: Path | str) -> list[StoredFile]:
    return list(find_images([str(source) for source in sources], with_members=True))


@pytest.mark.parametrize(
    ("source", "shards"),
    [
        ("a/d-{000..002}.tar", ["a/d-000.tar", "a/d-001.tar", "a/d-002.tar"]),
        ("d{9..10}.tar", ["d9.tar", "d10.tar"]),
        ("{train,val}-{0..1}.tar", ["train-0.tar", "train-1.tar", "val-0.tar", "val-1.tar"]),
        ("d-{5..4}.tar", ["d-4.tar", "d-5.tar"]),
        ("d-{a}.tar", ["d-{a}.tar"]),
        ("{1..3}.png", ["{1..3}.png"]),
    ],
)
def test_braces_stand_for_shards(source: str, shards: list[str]) -> None:
    assert expanded(source) == shards


def test_a_key_ends_at_the_first_dot_of_the_name() -> None:
    assert [key_of(name) for name in ("a.jpg", "a.seg.png", "v1.0/a.b.c", "x/a")] == [
        *("a", "a", "v1.0/a", "x/a"),
    ]


def test_members_come_in_the_order_of_the_shard_and_know_where_they_lie(tmp_path: Path) -> None:
    long = "folder/" * 20 + "z.jpg"  # in a header of its own
    names = ["./b/2.png", "1.PNG", "1.json", "1.seg.png", long, "noextension", ".hidden.png"]
    shard = make_shard(tmp_path / "s.tar", {name: picture(n) for n, name in enumerate(names)})
    found = _found(shard)
    assert [(each.name, each.is_carried) for each in found] == [
        ("s/b/2.png", False),
        ("s/1.PNG", False),
        ("s/1.json", True),
        ("s/1.seg.png", True),
        (f"s/{long}", False),
        ("s/noextension", True),
    ]
    content = shard.read_bytes()
    for number, each in enumerate(found):
        assert each.path == f"{shard}/{each.name.removeprefix('s/')}"
        assert content[each.offset : each.offset + each.size] == picture(number)


def test_shards_become_a_tree_in_which_each_picture_is_as_from_a_file(tmp_path: Path) -> None:
    shards = make_shards(tmp_path / "in")
    output = tmp_path / "out"
    report = stylize_images(images_job(f"{shards}/data-{{000000..000001}}.tar", output))
    assert counts(report) == (10, 10, 0, 0)
    assert tree(output) == {f"data-{n // 5:06}/{n:04}.jpg" for n in range(10)}
    with Image.open(output / "data-000001" / "0007.jpg") as image:
        assert image.size == (40, 30)
    loose = tmp_path / "loose"
    loose.mkdir()
    (loose / "0007.jpg").write_bytes(picture(7, "JPEG"))
    stylize_images(images_job(loose, tmp_path / "expected"))
    of_file = (tmp_path / "expected" / "0007.jpg").read_bytes()
    assert (output / "data-000001" / "0007.jpg").read_bytes() == of_file
    again = stylize_images(images_job(f"{shards}/*.tar", output))
    assert counts(again) == (10, 0, 10, 0)


def test_a_shard_that_is_cut_loses_what_is_cut_and_says_so(tmp_path: Path) -> None:
    whole = make_shards(tmp_path / "in", shards=1) / "data-000000.tar"
    content = whole.read_bytes()
    last = max(_found(whole), key=lambda each: each.offset if not each.is_carried else 0)
    cut = tmp_path / "cut.tar"
    cut.write_bytes(content[: last.offset + 100])
    report = stylize_images(images_job(cut, tmp_path / "out", sheet=True))
    assert counts(report) == (6, 4, 0, 2)
    assert {failure["path"] for failure in report.failures} == {
        *(str(cut), str(cut / Path(last.path).name)),
    }
    assert {failure["error"].partition(": ")[2] for failure in report.failures} == {
        *("cut short, as the archive is", "damaged (unexpected end of data)"),
    }
    assert (tmp_path / "out" / "sheet.jpg").exists()


def test_members_behind_damage_are_found_and_the_damage_is_named(tmp_path: Path) -> None:
    shard = make_shards(tmp_path / "in", shards=1) / "data-000000.tar"
    pictures = [each for each in _found(shard) if not each.is_carried]
    content = bytearray(shard.read_bytes())
    header = pictures[2].offset - 512
    content[header : header + 512] = b"not a header " * 39 + b"." * 5
    shard.write_bytes(content)
    report = stylize_images(images_job(shard, tmp_path / "out"))
    assert counts(report) == (5, 4, 0, 1)
    assert report.failures == [
        {
            "path": str(shard),
            "error": f"{shard}: damaged at byte {header}; members may be missing",
        }
    ]
    assert len(tree(tmp_path / "out")) == 4


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("zipped.tar", gzip.compress(b"x" * 2000, mtime=0), "compressed archive; unpack"),
        ("empty.tar", b"", "damaged (empty file)"),
        ("zeros.tar", bytes(10240), "no tar archive"),
        ("text.tar", b"no archive\n" * 1000, "no tar archive"),
    ],
)
def test_what_is_no_shard_is_named_and_the_rest_goes_on(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(content)
    good = make_shard(tmp_path / "good.tar", {"a.png": picture(0)})
    report = stylize_images(images_job(f"{tmp_path}/*.tar", tmp_path / "out"))
    assert counts(report) == (2, 1, 0, 1)
    assert report.failures[0]["path"] == str(tmp_path / name)
    assert problem in report.failures[0]["error"]
    assert good.exists()


def test_names_that_lead_out_and_missing_shards_are_refused(tmp_path: Path) -> None:
    members = {"../../evil.png": picture(0), "/abs.png": picture(1), "ok.png": picture(2)}
    make_shard(tmp_path / "s-0.tar", members)
    report = stylize_images(images_job(f"{tmp_path}/s-{{0..1}}.tar", tmp_path / "deep" / "out"))
    assert counts(report) == (4, 2, 0, 2)
    assert any("leads out" in failure["error"] for failure in report.failures)
    assert any(
        "s-1.tar: cannot be read (No such file" in failure["error"] for failure in report.failures
    )
    assert tree(tmp_path / "deep") == {"out/s-0/ok.png", "out/s-0/abs.png"}


def test_archives_beside_pictures_in_a_folder_are_left(tmp_path: Path) -> None:
    shards = save_pictures(make_shards(tmp_path / "in"), "a.png")
    assert counts(stylize_images(images_job(shards, tmp_path / "out"))) == (1, 1, 0, 0)
    assert set(contents(tmp_path / "out")) == {"a.png"}


def test_a_shard_without_pictures_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    make_shard(tmp_path / "labels.tar", {"a.json": b"{}"})
    make_shard(tmp_path / "good.tar", {"a.png": picture(0)})
    report = stylize_images(images_job(f"{tmp_path}/*.tar", tmp_path / "out"))
    assert counts(report) == (2, 1, 0, 1)
    assert "labels.tar: no pictures in this archive" in report.failures[0]["error"]


def test_braces_may_stand_for_a_single_shard(tmp_path: Path) -> None:
    make_shard(tmp_path / "d-000.tar", {"a.png": picture(0)})
    job = images_job(f"{tmp_path}/d-{{000..000}}.tar", tmp_path / "out")
    assert counts(stylize_images(job)) == (1, 1, 0, 0)
