from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from nst_core.errors import InputError, MediaError
from pipeline.image_files import find_images, output_path, read_picture, write_picture
from tests.media import moving_picture

ORIENTATION, ARTIST = 0x0112, 0x013B


def test_folders_give_their_tree_files_their_name_and_globs_their_matches(photos: Path) -> None:
    tree = {relative: path for path, relative in find_images([str(photos)])}
    assert len(tree) == 10
    assert tree[Path("even/4.jpg")] == photos / "even" / "4.jpg"
    single = list(find_images([str(photos / "odd" / "3.jpg")]))
    assert single == [(photos / "odd" / "3.jpg", Path("3.jpg"))]
    matches = list(find_images([str(photos / "**" / "[0-3].jpg")]))
    assert [relative.name for _, relative in matches] == ["0.jpg", "2.jpg", "1.jpg", "3.jpg"]


def test_a_source_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match="no pictures"):
        list(find_images([str(tmp_path)]))
    with pytest.raises(InputError, match="no such file"):
        list(find_images([str(tmp_path / "*.png")]))


def test_a_link_back_to_its_own_folder_does_not_loop(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(moving_picture(0)).save(folder / "a.png")
    (folder / "again").symlink_to(folder, target_is_directory=True)
    assert [relative for _, relative in find_images([str(folder)])] == [Path("a.png")]


def test_a_photo_lying_on_its_side_is_turned_once_and_for_all(tmp_path: Path) -> None:
    path, out = tmp_path / "turned.jpg", tmp_path / "out.jpg"
    exif = Image.Exif()
    exif[ORIENTATION], exif[ARTIST] = 6, "Hokusai"
    Image.fromarray(moving_picture(0)).save(path, exif=exif, quality=95)
    picture = read_picture(path)
    assert picture.rgb.shape == (96, 64, 3)  # 96 x 64 pixels, a quarter turn
    write_picture(out, picture.rgb, picture, quality=95)
    with Image.open(out) as written:
        assert written.size == (64, 96)
        assert written.getexif().get(ORIENTATION, 1) == 1
        assert written.getexif()[ARTIST] == "Hokusai"


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_transparency_survives(tmp_path: Path, suffix: str) -> None:
    path, out = tmp_path / "in.png", tmp_path / f"out{suffix}"
    image = Image.fromarray(moving_picture(0)).convert("RGBA")
    alpha = Image.fromarray(np.linspace(0, 255, 96 * 64).astype(np.uint8).reshape(64, 96))
    image.putalpha(alpha)
    image.save(path)
    picture = read_picture(path)
    write_picture(out, picture.rgb, picture, quality=95)
    with Image.open(out) as written:
        np.testing.assert_array_equal(np.asarray(written.getchannel("A")), np.asarray(alpha))


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "I;16", "LA"])
def test_pictures_of_every_mode_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "picture.tif"
    if mode == "I;16":
        image = Image.fromarray(moving_picture(0)[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(moving_picture(0)).convert(mode)
    image.save(path)
    picture = read_picture(path)
    assert picture.rgb.shape == (64, 96, 3)
    assert picture.rgb.dtype == np.uint8
    assert 20 < picture.rgb.mean() < 235  # neither black nor white


def test_max_side_shrinks_and_never_enlarges(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(moving_picture(0)).save(path)
    assert read_picture(path, max_side=48).rgb.shape == (32, 48, 3)
    assert read_picture(path, max_side=500).rgb.shape == (64, 96, 3)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0 half a jpeg"])
def test_what_is_no_picture_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"broken\.jpg") as caught:
        read_picture(path)
    assert "\n" not in str(caught.value)


def test_a_truncated_photo_is_refused(photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    whole = (photos / "even" / "0.jpg").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MediaError, match=r"cut\.jpg"):
        read_picture(path)


def test_a_picture_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.png"
    Image.fromarray(moving_picture(0)).save(path)
    picture = read_picture(path)

    def full_disk(self: Image.Image, file: Path, **_: object) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(MediaError, match="No space left"):
        write_picture(tmp_path / "out.png", picture.rgb, picture, quality=95)
    assert [file.name for file in tmp_path.iterdir()] == ["in.png"]


def test_the_ending_follows_the_format() -> None:
    assert output_path(Path("a/b.tif"), "same") == Path("a/b.tif")
    assert output_path(Path("a/b.tif"), "jpeg") == Path("a/b.jpg")


def test_the_colour_profile_goes_along(tmp_path: Path) -> None:
    path, out = tmp_path / "in.png", tmp_path / "out.jpg"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(moving_picture(0)).save(path, icc_profile=profile)
    picture = read_picture(path)
    write_picture(out, picture.rgb, picture, quality=95)
    with Image.open(out) as written:
        assert written.info["icc_profile"] == profile


def test_exif_against_the_rules_does_not_cost_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "strange.jpg"
    # One entry: Orientation as a text of four bytes, where a number is due.
    entry = struct.pack("<HHI4s", ORIENTATION, 2, 4, b"odd\0")
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    Image.fromarray(moving_picture(0)).save(path, exif=exif)
    picture = read_picture(path)
    assert picture.rgb.shape == (64, 96, 3)
    write_picture(tmp_path / "out.jpg", picture.rgb, picture, quality=95)
    assert (tmp_path / "out.jpg").exists()
