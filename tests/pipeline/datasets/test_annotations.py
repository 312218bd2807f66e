"""Annotations: which picture is meant, where the new ones go, and what is moved in them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from nst_core.errors import InputError
from nst_core.pictures.decoding import heif_is_possible
from tests.kit.annotated_pictures import (
    coco_of,
    read_json,
    stylize_annotated,
    voc_of,
    write_text,
)
from tests.kit.image_jobs import save_pictures


def _text(path: Path, name: str) -> str | None:
    return ElementTree.fromstring(path.read_bytes()).findtext(name)  # noqa: S314


def test_a_picture_in_the_annotations_own_folder_is_meant(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "x/a.png", "y/a.png")
    given = write_text(source / "y" / "labels.json", coco_of("a.png"))
    (source / "x" / "a.png").write_bytes(b"no picture")
    report = stylize_annotated(source, tmp_path / "out", given)
    assert report.annotations[0].images == 1


@pytest.mark.parametrize("stem", ["a", "its own"])
@pytest.mark.parametrize("folder", ["in", "clips/in", "..\\clips\\in"])
def test_a_picture_in_the_folder_that_voc_names_is_meant(
    folder: str, stem: str, tmp_path: Path
) -> None:
    others = "other/a.png", "other/in/a.png"
    source = save_pictures(tmp_path / "pictures", *others[: 1 + (folder != "in")], "clips/in/a.png")
    (source / "other" / "a.png").write_bytes(b"no picture")
    voc = voc_of("a.png").replace("<folder>in<", f"<folder>{folder}<")
    given = write_text(tmp_path / "labels" / f"{stem}.xml", voc)
    report = stylize_annotated(source, tmp_path / "out", given)
    assert report.annotations[0].images == 1


@pytest.mark.parametrize("folders", [("",), ("x/", "y/")])
def test_of_pictures_of_one_stem_that_is_meant_which_voc_names(
    folders: tuple[str, ...], tmp_path: Path
) -> None:
    names = [f"{folder}a{suffix}" for folder in folders for suffix in (".jpg", ".png", ".webp")]
    source = save_pictures(tmp_path / "in", *names)
    given = write_text(source / folders[0] / "a.xml", voc_of("a.png"))
    for name in set(names) - {f"{folders[0]}a.png"}:
        (source / name).write_bytes(b"no picture")
    report = stylize_annotated(source, tmp_path / "out", given)
    assert report.annotations[0].images == 1


def test_two_files_for_one_place_are_refused_before_any_work(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "0.png", "sub/0.png")
    given = tmp_path / "labels"
    write_text(given / "a.xml", voc_of("in/0.png"))
    write_text(given / "b.xml", voc_of("sub/0.png"))
    with pytest.raises(InputError, match=r"labels/0\.xml has the annotations of .*/a\.xml, not"):
        stylize_annotated(source, tmp_path / "out", given)
    write_text(given / "0.xml", voc_of("0.png"))
    (given / "b.xml").unlink()
    with pytest.raises(InputError, match=r"has the annotations of 0\.png by .*/0\.xml, not"):
        stylize_annotated(source, tmp_path / "out", given)
    assert not (tmp_path / "out").exists()


def test_an_earlier_output_does_not_replace_the_annotations_of_this_one(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    given = write_text(tmp_path / "a.xml", voc_of("a.png"))
    for suffix in ("webp", "png"):
        report = stylize_annotated(source, tmp_path / "out", given, format=suffix)
        assert _text(tmp_path / "out" / "a.xml", "filename") == f"a.{suffix}"
        assert report.annotations[0].images == 1
    (warning,) = report.warnings
    assert warning["path"] == "a.webp"
    assert "a.xml has the annotations of a.png" in warning["warning"]


def test_an_output_folder_is_a_source_of_annotations_for_the_next_run(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    given = write_text(tmp_path / "labels.json", coco_of("a.png"))
    stylize_annotated(source, tmp_path / "one", given, max_side=20)
    report = stylize_annotated(tmp_path / "one", tmp_path / "two", tmp_path / "one")
    assert report.annotations[0].images == 1
    assert read_json(tmp_path / "two" / "labels.json")["images"][0]["width"] == 20
    with pytest.raises(InputError, match="reports have that name"):
        stylize_annotated(source, tmp_path / "out", given.rename(tmp_path / "report.json"))
    assert not (tmp_path / "out").exists()


def test_outputs_below_the_annotations_are_no_annotations(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    write_text(source / "labels.json", coco_of("a.png"))
    for _ in range(2):
        report = stylize_annotated(source, source / "out", source)
        assert len(report.annotations) == 1
    assert not (source / "out" / "out").exists()


def test_segments_within_annotations_are_moved(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    labels = coco_of("a.png")
    segments = [{"id": 7, "bbox": [10, 6, 20, 12], "area": 240}]
    labels["annotations"] = [{"image_id": 50, "segments_info": segments}]
    given = write_text(tmp_path / "labels.json", labels)
    stylize_annotated(source, tmp_path / "out", given, max_side=20)
    (annotation,) = read_json(tmp_path / "out" / "labels.json")["annotations"]
    assert annotation["segments_info"] == [{"id": 7, "bbox": [5, 3, 10, 6], "area": 60}]


def test_a_run_that_begins_nothing_leaves_the_annotations_of_a_copy(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    given = write_text(tmp_path / "labels.json", coco_of("a.png"))
    stylize_annotated(source, tmp_path / "out", given)
    (tmp_path / "out" / "progress.jsonl").unlink()  # pictures and annotations were copied
    assert stylize_annotated(source, tmp_path / "out", given).failed == 1
    assert len(read_json(tmp_path / "out" / "labels.json")["images"]) == 1


def test_annotations_of_no_image_are_told(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    labels = coco_of("a.png")
    labels["annotations"].append({"id": 7, "image_id": "50"})
    given = write_text(tmp_path / "labels.json", labels)
    report = stylize_annotated(source, tmp_path / "out", given)
    assert report.annotations[0].annotations == 2
    (warning,) = report.warnings
    assert warning["warning"] == "1 annotation of no image in it (image_id '50'): left out"


def test_points_of_voc_are_moved(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    shapes = (
        "<point><x>10</x><y>6</y></point>"
        "<polygon><x1>10</x1><y1>6</y1><x2>30.5</x2><y2>7</y2><note>x1</note></polygon>"
    )
    given = write_text(tmp_path / "a.xml", voc_of("a.png", more=shapes))
    stylize_annotated(source, tmp_path / "out", given, max_side=20)
    root = ElementTree.fromstring((tmp_path / "out" / "a.xml").read_bytes())  # noqa: S314
    moved = {
        each.tag: each.text
        for name in ("point", "polygon")
        for each in root.find(f"object/{name}") or ()
    }
    assert moved == {
        "x": "5.00",
        "y": "3.00",
        "x1": "5.00",
        "y1": "3.00",
        "x2": "15.25",
        "y2": "3.50",
        "note": "x1",
    }


def test_a_box_that_counts_from_zero_begins_there_in_a_larger_picture(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    given = write_text(tmp_path / "a.xml", voc_of("a.png", 20, 15, box="0 0 20 15"))
    stylize_annotated(source, tmp_path / "out", given)
    root = ElementTree.fromstring((tmp_path / "out" / "a.xml").read_bytes())  # noqa: S314
    assert [each.text for each in root.find("object/bndbox") or ()] == ["0", "0", "40", "30"]


def test_outputs_in_heic_are_opened_in_a_process_that_has_made_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not heif_is_possible():
        pytest.skip("HEIC takes pillow-heif")
    source = save_pictures(tmp_path / "in", "a.heic")
    given = write_text(tmp_path / "labels.json", coco_of("a.heic"))
    stylize_annotated(source, tmp_path / "out", given)
    stylize_annotated(source, tmp_path / "out", given, format="png")
    monkeypatch.setattr(Image, "ID", [each for each in Image.ID if each != "HEIF"])
    monkeypatch.delitem(Image.OPEN, "HEIF")
    heif_is_possible.cache_clear()
    report = stylize_annotated(source, tmp_path / "out", given, format="png")
    assert (report.reused, report.annotations[0].images) == (1, 2)  # of the earlier run's, too
