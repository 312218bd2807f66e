"""A folder of 300 awkward pictures, and what must become of each."""

from __future__ import annotations

import os
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tests.kit.awkward_modes import (
    pictures_of_every_mode,
    pictures_of_every_orientation,
    pictures_with_profiles,
)
from tests.kit.expected_pictures import LOSSLESS, LOSSY, AwkwardFile, Expected, comes_out, it_fails
from tests.kit.picture_bytes import (
    deep_tiff,
    format_of,
    png_of,
    quarters,
    saved,
    with_sizes_in_header,
)

NUMBER_OF_FILES = 300


def make_awkward_folder(folder: Path, *, big: bool = False) -> dict[str, Expected]:
    """Write the files; return what each becomes by its name in the folder, ``/`` between parts.

    ``big`` makes two of them 12000x9000 pixels instead of 1200x900. Beside the pictures lie a
    text and a folder that is named like a picture: both are no inputs.
    """
    files = [
        *pictures_of_every_mode(),
        *pictures_of_every_orientation(),
        *pictures_with_profiles(),
        *_extreme_sizes(big=big),
        *_broken(),
        *_names(),
    ]
    result = {}
    for file in files:
        _write(folder / file.name, file.content)
        result[file.name] = file.expected
    result |= _links_and_permissions(folder)
    (folder / "no picture, but a folder.jpg").mkdir()
    _write(folder / "notes.md", b"no picture")
    for number in range(NUMBER_OF_FILES - len(result)):
        name, pixels = f"plain/{number:03}.jpg", quarters(40 + number, 90 - number)
        _write(folder / name, saved(Image.fromarray(pixels), "JPEG", quality=95))
        result[name] = comes_out(pixels, tolerance=LOSSY)
    assert len(result) == NUMBER_OF_FILES
    return result


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _extreme_sizes(*, big: bool) -> Iterator[AwkwardFile]:
    sizes = [(1, 4000), (4000, 1), (12_000, 9000) if big else (1200, 900)]
    for width, height in sizes:
        pixels = quarters(width, height)
        for suffix, options in (("jpg", {"quality": 95}), ("png", {"compress_level": 1})):
            content = saved(Image.fromarray(pixels), format_of(suffix), **options)
            expected = comes_out(pixels, tolerance=LOSSY)
            yield AwkwardFile(f"sizes/{width}x{height}.{suffix}", content, expected)


def _broken() -> Iterator[AwkwardFile]:
    image = Image.fromarray(quarters(200, 150))
    whole = {
        "jpg": saved(image, "JPEG", quality=95),
        "png": saved(image, "PNG"),
        "webp": saved(image, "WEBP"),
        "tif": saved(image, "TIFF", compression="tiff_lzw"),
        "bmp": saved(image, "BMP"),
        "gif": saved(image, "GIF"),
        "avif": saved(image, "AVIF"),
    }
    for suffix, content in whole.items():
        yield AwkwardFile(f"broken/zero bytes.{suffix}", b"", it_fails("empty"))
        for share in (3, 2):
            name = f"broken/one {['half', 'third'][share - 2]} of it.{suffix}"
            yield AwkwardFile(name, content[: len(content) // share], it_fails(""))
    for suffix, side in (("png", 60_000), ("bmp", 60_000), ("gif", 65_535), ("jpg", 65_500)):
        content = with_sizes_in_header(whole[suffix], side, side)
        yield AwkwardFile(f"broken/bomb.{suffix}", content, it_fails("--max-pixels"))
    text = b"No picture, but a text that somebody gave the wrong ending.\n" * 20
    for name in ("text.jpg", "text.png", "text.webp", "text.tif"):
        yield AwkwardFile(f"broken/{name}", text, it_fails("not a picture"))
    yield AwkwardFile("broken/page.jpg", b"<!DOCTYPE html><html></html>", it_fails("not a picture"))
    yield AwkwardFile(
        "broken/postscript.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n", it_fails("not a picture")
    )
    header = struct.pack(">IIBBBBB", 48, 32, 8, 2, 0, 0, 0)
    chunk = whole["png"].index(b"IDAT") + 60
    damaged = whole["png"][:chunk] + bytes([whole["png"][chunk] ^ 4]) + whole["png"][chunk + 1 :]
    yield AwkwardFile("broken/checksum.png", damaged, it_fails("checksum"))
    text_bomb = b"Comment\0\0" + zlib.compress(bytes(80_000_000), 9)
    pixels = zlib.compress(bytes(32 * (1 + 3 * 48)))
    chunks = ((b"IHDR", header), (b"zTXt", text_bomb), (b"IDAT", pixels), (b"IEND", b""))
    black = comes_out(np.zeros((32, 48, 3), np.uint8), tolerance=0)
    yield AwkwardFile("broken/text bomb.png", png_of(*chunks), black)
    offset = struct.pack("<4sI", b"II*\0", 4_000_000_000)
    yield AwkwardFile("broken/offset.tif", offset + whole["tif"][8:], it_fails(""))
    unknown = deep_tiff(np.full((8, 8, 3), 1e6, np.float32))
    yield AwkwardFile("broken/light without bounds.tif", unknown, it_fails("scale them first"))


def _names() -> Iterator[AwkwardFile]:
    pixels = quarters(48, 32)
    expected = comes_out(pixels, tolerance=LOSSY)
    jpeg, png = (saved(Image.fromarray(pixels), kind) for kind in ("JPEG", "PNG"))
    composed = unicodedata.normalize("NFC", "Gemälde café")
    for stem in (
        composed,
        unicodedata.normalize("NFD", composed) + " decomposed",
        *("浮世絵 🌊", "with  two spaces ", " leading space", "'single' \"double\"", "new\nline"),
        *("%20", "#1", "[brackets]", "a?*", "-o", "~", "$HOME", "back\\slash", "semi;colon"),
        *("long" + "g" * 242, os.fsdecode(b"not utf-8 \xff"), "a.png", "dots...", "tab\tulator"),
    ):
        yield AwkwardFile(f"names/{stem}.jpg", jpeg, expected)
    yield AwkwardFile("names/a.jpg", jpeg, expected)
    yield AwkwardFile("names/a.png", png, expected)
    for suffix in ("JPG", "Jpeg"):
        yield AwkwardFile(f"names/upper.{suffix}", jpeg, expected)
    yield AwkwardFile("names/upper.PNG", png, expected)
    yield AwkwardFile("names/a png.jpg", png, expected)
    yield AwkwardFile("names/a jpeg.png", jpeg, expected)
    yield AwkwardFile("names/a folder with spaces/ü/a.webp", png, expected)


def _links_and_permissions(folder: Path) -> dict[str, Expected]:
    pixels = quarters(48, 32)
    png = saved(Image.fromarray(pixels), "PNG")
    links = folder / "links"
    links.mkdir()
    (links / "to a picture.png").symlink_to("../names/a.png")
    (links / "nowhere.png").symlink_to("missing.png")
    (links / "itself.png").symlink_to("itself.png")
    (links / "above").symlink_to("..", target_is_directory=True)
    secret = folder / "names" / "secret.png"
    secret.write_bytes(png)
    secret.chmod(0)
    shown = comes_out(pixels, tolerance=LOSSLESS)
    return {
        "links/to a picture.png": shown,
        "links/nowhere.png": it_fails(""),
        "links/itself.png": it_fails(""),
        "links/above": it_fails(""),
        "names/secret.png": replace(shown, is_unreadable=True),
    }
