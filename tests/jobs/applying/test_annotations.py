"""`--annotations`: what is annotated in pictures is annotated in their outputs."""

from __future__ import annotations

from pathlib import Path
from time import process_time
from xml.etree import ElementTree

import pytest
from PIL import Image

from jobs.applying.stylize_images import stylize_images
from nst_core.checkpoints.library import Style
from nst_core.errors import InputError
from pipeline.datasets.annotations import Annotations
from pipeline.storage.local import LocalStorage
from pipeline.storage.open import storage_for
from tests.kit.annotated_pictures import (
    coco_image,
    coco_of,
    read_json,
    stylize_annotated,
    voc_of,
    write_text,
)
from tests.kit.command_line import nst
from tests.kit.image_jobs import contents, images_job, save_pictures


def test_one_style_keeps_names_ids_and_numbers(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "train2017/a.png", "train2017/b.png", "c.png")
    (source / "train2017" / "broken.png").write_bytes(b"no picture")
    names = ["a.png", "b.png", "broken.png", "elsewhere.png"]
    given = write_text(tmp_path / "annotations" / "instances.json", coco_of(*names))
    report = stylize_annotated(source, tmp_path / "out", given.parent)
    path = tmp_path / "out" / "annotations" / "instances.json"
    (carried,) = report.annotations
    assert (carried.output, carried.images, carried.annotations) == (str(path), 2, 4)
    assert (report.failed, carried.left_out) == (1, 2)
    expected = coco_of(*names)
    found = read_json(path)
    assert found["info"].pop("nst")
    for key in ("images", "annotations"):
        expected[key] = [each for each in expected[key] if each.get("image_id", each["id"]) < 52]
    assert found == expected


def test_several_styles_and_another_size_make_images_of_their_own(
    style: Style, lean_style: Style, tmp_path: Path
) -> None:
    source = save_pictures(tmp_path / "in", "sub/a.png", "sub/b.png")
    given = write_text(tmp_path / "labels.json", coco_of("sub/a.png", "sub/b.png"))
    styles = (str(style.path), str(lean_style.path))
    report = stylize_annotated(source, tmp_path / "out", given, *styles, max_side=20)
    found = read_json(tmp_path / "out" / "labels.json")
    names = [f"sub/{name}-{kind}.png" for name in "ab" for kind in ("lean", "random")]
    assert [each["file_name"] for each in found["images"]] == names
    assert [each["id"] for each in found["images"]] == [1, 2, 3, 4]
    assert {(each["width"], each["height"]) for each in found["images"]} == {(20, 15)}
    for name in names:
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.size == (20, 15)
    annotations = found["annotations"]
    assert [each["id"] for each in annotations] == [*range(1, 9)]
    assert [each["image_id"] for each in annotations] == [1, 1, 2, 2, 3, 3, 4, 4]
    first, crowd = annotations[:2]
    assert first["bbox"] == [5, 3, 10, 6]
    assert first["area"] == 60
    assert first["segmentation"] == [[5, 3, 15, 3, 15, 9]]
    assert first["keypoints"] == [5, 3, 2, 0, 0, 0]
    assert crowd["segmentation"] == {"counts": [0, 150, 150], "size": [15, 20]}
    assert report.annotations[0].images == 4


def test_voc_has_a_file_for_each_output(style: Style, lean_style: Style, tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "JPEGImages/1.png", "JPEGImages/2.png")
    for name in ("1", "2", "3"):
        write_text(source / "Annotations" / f"{name}.xml", voc_of(f"{name}.png"))
    styles = (str(style.path), str(lean_style.path))
    given = source / "Annotations"
    report = stylize_annotated(source, tmp_path / "out", given, *styles, max_side=20)
    folder = tmp_path / "out" / "Annotations"
    (carried,) = report.annotations
    assert (carried.output, carried.images, carried.annotations) == (str(folder), 4, 4)
    assert carried.left_out == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{name}-{kind}.xml" for name in "12" for kind in ("lean", "random")
    )
    root = ElementTree.fromstring((folder / "1-lean.xml").read_bytes())  # noqa: S314
    output = tmp_path / "out" / "JPEGImages" / "1-lean.png"
    assert root.findtext("filename") == output.name
    assert root.findtext("folder") == "JPEGImages"
    assert root.findtext("path") == str(output)
    assert [each.text for each in root.find("size") or ()] == ["20", "15", "3"]
    assert root.findtext("object/pose") == "Left"
    assert [each.text for each in root.find("object/bndbox") or ()] == ["6", "4", "15", "9"]


def test_voc_of_the_same_size_keeps_its_numbers(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "photo.1.png")
    given = write_text(tmp_path / "photo.1.xml", voc_of("stale.png", box="0 1.5 40 30"))
    stylize_annotated(source, tmp_path / "out", given)
    root = ElementTree.fromstring((tmp_path / "out" / "photo.1.xml").read_bytes())  # noqa: S314
    assert [each.text for each in root.find("object/bndbox") or ()] == ["0", "1.5", "40", "30"]
    assert root.findtext("filename") == "photo.1.png"


def test_files_of_one_name_are_told_apart_by_folders(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "train/a.png", "valid/a.png", "x/a.png")
    write_text(source / "train" / "_annotations.coco.json", coco_of("a.png"))
    stylize_annotated(source, tmp_path / "out", source, resume=False)
    there = read_json(tmp_path / "out" / "train" / "_annotations.coco.json")
    assert there["images"][0]["file_name"] == "a.png"
    given = write_text(tmp_path / "annotations" / "instances_val2017.json", coco_of("..\\a.png"))
    warned = stylize_annotated(source, tmp_path / "out", given.parent)
    assert warned.annotations[0].images == 1
    write_text(given.parent / "labels.json", coco_of("a.png"))
    with pytest.raises(InputError, match=r"labels\.json: a\.png may be .*; stylize the folders"):
        stylize_annotated(source, tmp_path / "other", given.parent)
    assert not (tmp_path / "other").exists()


def test_a_picture_that_was_annotated_before_it_was_turned_is_left_out(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.jpg")
    with Image.open(source / "b.jpg") as picture:
        exif = picture.getexif()
        exif[0x0112] = 6
        picture.save(source / "b.jpg", exif=exif)
    given = write_text(tmp_path / "labels.json", coco_of("a.png", "b.jpg"))
    report = stylize_annotated(source, tmp_path / "out", given)
    assert report.annotations[0].left_out == 1
    (warning,) = (each["warning"] for each in report.warnings if each["path"] == "b.jpg")
    assert "annotated as 40x30" in warning
    assert [each["id"] for each in read_json(tmp_path / "out" / "labels.json")["images"]] == [50]
    write_text(tmp_path / "voc" / "b.xml", voc_of("b.jpg"))
    report = stylize_annotated(source, tmp_path / "out", tmp_path / "voc")
    assert report.annotations[0].left_out == 1
    assert not (tmp_path / "out" / "voc").exists()


def test_without_a_size_only_outputs_of_the_same_size_are_annotated(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    labels = coco_of("a.png")
    del labels["images"][0]["width"]
    given = write_text(tmp_path / "labels.json", labels)
    assert stylize_annotated(source, tmp_path / "out", given).annotations[0].images == 1
    assert read_json(tmp_path / "out" / "labels.json")["images"][0]["width"] == 40
    report = stylize_annotated(source, tmp_path / "small", given, max_side=20)
    assert report.annotations[0].left_out == 1
    for width, height in ((10**400, 10**400), (1e-300, 0.75e-300), (True, [30])):
        labels["images"][0] |= {"width": width, "height": height}
        report = stylize_annotated(
            source, tmp_path / "small", write_text(given, labels), max_side=20
        )
        assert report.annotations[0].left_out == 1
        assert "do not tell the picture's size" in report.warnings[0]["warning"]


def test_a_mask_that_would_be_too_large_is_left_out_with_its_picture(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.png")
    labels = coco_of("a.png", "b.png")
    labels["annotations"][1]["segmentation"] = {"counts": [2**62], "size": [2**31, 2**31]}
    given = write_text(tmp_path / "labels.json", labels)
    report = stylize_annotated(source, tmp_path / "out", given, max_side=20)
    assert (report.annotations[0].images, report.annotations[0].left_out) == (1, 1)
    assert "a mask would have" in report.warnings[0]["warning"]
    found = read_json(tmp_path / "out" / "labels.json")
    assert {each["image_id"] for each in found["annotations"]} == {51}


def test_outputs_of_earlier_runs_have_their_own_sizes(
    style: Style, lean_style: Style, tmp_path: Path
) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    given = write_text(tmp_path / "labels.json", coco_of("a.png"))
    styles = (str(style.path), str(lean_style.path))
    stylize_annotated(source, tmp_path / "out", given, *styles, max_side=20)
    stylize_annotated(source, tmp_path / "out", given)
    found = read_json(tmp_path / "out" / "labels.json")
    sizes = {each["file_name"]: (each["width"], each["height"]) for each in found["images"]}
    assert sizes == {"a-lean.png": (20, 15), "a-random.png": (20, 15), "a.png": (40, 30)}
    boxes = [each["bbox"] for each in found["annotations"] if "bbox" in each]
    assert boxes == [[5, 3, 10, 6], [5, 3, 10, 6], [10, 6, 20, 12]]


def test_pictures_of_one_name_in_thousands_of_folders_are_found_at_once(tmp_path: Path) -> None:
    names = [f"{number}/0.jpg" for number in range(6000)]
    given = write_text(tmp_path / "labels.json", coco_of(*names))
    folder = str(tmp_path / "out")
    storage = LocalStorage()
    annotations = Annotations(str(given), [], storage=storage, folder=folder, are_resized=False)
    began = process_time()
    annotations.match(lambda: ((f"/in/{name}", name) for name in names), overwrite=False)
    assert process_time() - began < 10  # 1 s; with each compared with each 100 s


def test_a_run_again_writes_them_anew_and_an_interrupted_one_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save_pictures(tmp_path / "in", "a.png", "b.png")
    given = write_text(tmp_path / "labels.json", coco_of("a.png", "b.png"))
    write = LocalStorage.write

    def interrupt(self: LocalStorage, path: str, content: bytes) -> None:
        if path.endswith("b.png"):
            raise KeyboardInterrupt
        write(self, path, content)

    monkeypatch.setattr(LocalStorage, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        stylize_annotated(source, tmp_path / "out", given)
    monkeypatch.undo()
    path = tmp_path / "out" / "labels.json"
    assert not path.exists()
    report = stylize_annotated(source, tmp_path / "out", given)
    assert report.done + report.reused == 2
    before = path.read_bytes()
    assert len(read_json(path)["images"]) == 2
    assert stylize_annotated(source, tmp_path / "out", given).reused == 2
    assert path.read_bytes() == before
    write_text(given, coco_of("b.png"))
    assert stylize_annotated(source, tmp_path / "out", given).reused == 2
    assert [each["file_name"] for each in read_json(path)["images"]] == ["b.png"]


def test_no_file_of_the_user_s_is_replaced(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    given = write_text(tmp_path / "labels.json", coco_of("a.png"))
    theirs = write_text(tmp_path / "out" / "labels.json", "{}")
    with pytest.raises(InputError, match="--overwrite replaces it"):
        stylize_annotated(source, tmp_path / "out", given)
    assert contents(tmp_path / "out") == {}
    assert theirs.read_text() == "{}"
    stylize_annotated(source, tmp_path / "out", given, overwrite=True)
    assert len(read_json(theirs)["images"]) == 1
    with pytest.raises(InputError, match="replace their own source"):
        stylize_annotated(source, tmp_path, given, overwrite=True)
    assert read_json(given) == coco_of("a.png")


def test_behind_uris_they_are_the_same(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    given = write_text(tmp_path / "labels.json", coco_of("a.png"))
    stylize_annotated(source, tmp_path / "out", given)
    remote = "memory://annotated"
    storage = storage_for(remote)
    storage.write(f"{remote}/in/a.png", (source / "a.png").read_bytes())
    storage.write(f"{remote}/labels/labels.json", given.read_bytes())
    try:
        for _ in range(2):
            annotations = f"{remote}/labels"
            job = images_job(f"{remote}/in", f"{remote}/out", annotations=annotations)
            assert stylize_images(job).annotations[0].images == 1
            new = storage.read(f"{remote}/out/labels/labels.json")
            assert new == (tmp_path / "out" / "labels.json").read_bytes()
    finally:
        for found in list(storage.walk(remote)):
            storage.remove(found.path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "{", "a.json: no JSON"),
        ("a.json", "[]", "a list of images"),
        ("a.json", {"images": [{"id": 1}]}, "images[0] lacks its id or its file_name"),
        (
            "a.json",
            {"images": [coco_image(1, "a.png"), coco_image(1, "b.png")]},
            "has the id of another",
        ),
        ("a.json", {"images": [], "annotations": {}}, "they are no list"),
        ("a.json", coco_of("a.png") | {"annotations": [{"id": 1}]}, "annotations[0] is malformed"),
        (
            "a.json",
            coco_of("a.png") | {"annotations": [{"image_id": 50, "bbox": [1, "2", 3, 4]}]},
            "annotations[0] is malformed",
        ),
        (
            "a.json",
            coco_of("a.png")
            | {"annotations": [{"image_id": 50, "segmentation": {"counts": "0", "size": [9, 9]}}]},
            "do not fill 9x9",
        ),
        *(
            (
                "a.json",
                coco_of("a.png") | {"annotations": [malformed]},
                "annotations[0] is malformed",
            )
            for malformed in (
                {"image_id": [50]},
                {"image_id": 50, "bbox": [0, 0, 10**400, 1]},
                {"image_id": 50, "area": 10**400},
                {"image_id": 50, "keypoints": [10**400, 1, 2]},
                {"image_id": 50, "segmentation": [[10**400, 1]]},
                {"image_id": 50, "segments_info": [{"area": 10**400}]},
                *(
                    {"image_id": 50, "segmentation": {"counts": [1200], "size": size}}
                    for size in ([30.0, 40.0], [-30, -40], [10**400, 1], [1e999, 1])
                ),
            )
        ),
        ("a.json", coco_of("z.png"), "none of its pictures is among the sources, such as z.png"),
        ("a.xml", "<annotation>", "a.xml: no XML"),
        ("a.xml", "<html/>", "<annotation> is needed"),
        ("a.xml", voc_of("a.png", box="1 2 three 4"), "'three' is not a number"),
        *(
            (
                "a.xml",
                voc_of("a.png", box=f"{number} 2 3 4"),
                f"{number!r} is not a number of pixels",
            )
            for number in ("nan", "1e999", "-inf", "1e300")
        ),
        ("a.txt", "", "neither COCO's .json nor VOC's .xml"),
        ("none/a.json", {"images": []}, "no such file or folder"),
    ],
)
def test_mistakes_are_one_line_before_any_work(
    name: str, text: object, words: str, tmp_path: Path
) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    path = tmp_path / name
    write_text(tmp_path / Path(name).name, text)
    how = ("--style", "identity", "--annotations", path)
    ended = nst("stylize", "images", source, "-o", tmp_path / "out", *how)
    assert ended.code == 2
    assert words in ended.error_line
    assert not (tmp_path / "out").exists()


def test_the_command_tells_them_and_refuses_shards(tmp_path: Path) -> None:
    source = save_pictures(tmp_path / "in", "a.png")
    given = write_text(tmp_path / "labels.json", coco_of("a.png", "b.png"))
    how = ("--style", "identity", "--annotations", given)
    ended = nst("stylize", "images", source, "-o", tmp_path / "out", *how)
    assert ended.code == 0, ended.error
    line = "labels.json: 2 annotations of 1 picture; 1 annotated picture without an output"
    assert line in ended.out
    ended = nst("stylize", "images", source, "-o", tmp_path / "d-%d.tar", *how)
    assert "tar shards; name a folder" in ended.error_line
    ended = nst("stylize", "images", source / "a.png", "-o", tmp_path / "one.png", *how)
    assert "a picture's name; name a folder" in ended.error_line
