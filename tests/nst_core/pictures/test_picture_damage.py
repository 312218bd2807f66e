from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_core.errors import MediaError
from nst_core.pictures import decoding as picture_files
from nst_core.pictures import encoding as picture_codec
from nst_core.pictures.decoding import pixels_of
from nst_core.pictures.encoding import (
    Picture,
    can_write,
    decode_picture,
    encode_picture,
)
from nst_core.pictures.formats import PICTURE_FORMATS
from tests.kit.icc_profiles import (
    ADOBE_GAMMA,
    DISPLAY_P3_XY,
    rgb_profile,
)
from tests.kit.media import moving_picture
from tests.kit.picture_bytes import (
    SUFFIXES,
    camera_exif,
    deep_tiff,
    photo,
    quarters,
    saved,
    with_sizes_in_header,
)

# The program silences Pillow when it starts; pytest undoes that for each test.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_of_more_pixels_than_allowed_is_refused_by_its_header(suffix: str) -> None:
    content = encode_picture(
        moving_picture(0), Picture(moving_picture(0)), suffix=suffix, quality=90
    )
    assert pixels_of(content, name="a") == 96 * 64
    assert decode_picture(content, name="a", max_pixels=96 * 64).rgb.shape == (64, 96, 3)
    with pytest.raises(MediaError, match=r"^bomb: 96x64 pixels, .* 6143 are .*--max-pixels$"):
        decode_picture(content, name="bomb", max_pixels=96 * 64 - 1)


def test_a_tile_larger_than_the_bound_is_refused() -> None:
    tags = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 277: 1, 322: 60_000, 323: 60_000}
    tags |= {324: 200, 325: 10}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + bytes(100)
    with pytest.raises(MediaError, match=r"a tile of 3600000000, where .*--max-pixels"):
        decode_picture(content, name="tile.tif")


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0 half a jpeg"])
def test_what_is_no_picture_is_refused_in_one_line(content: bytes) -> None:
    for read in (decode_picture, pixels_of):
        with pytest.raises(MediaError, match=r"^broken\.jpg: ") as caught:
            read(content, name="broken.jpg")
        assert "\n" not in str(caught.value)
        assert "BytesIO" not in str(caught.value)


def _damaged(content: bytes, random: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    for _ in range(random.integers(1, 5)):
        place = int(random.integers(len(damaged)))
        match random.integers(4):
            case 0:
                damaged[place] ^= 1 << int(random.integers(8))
            case 1:
                damaged[place] = random.choice([0, 127, 128, 255])
            case 2:
                del damaged[place : place + int(random.integers(1, 9))]
            case _:
                del damaged[max(place, 1) :]
    return bytes(damaged)


def _intact() -> Iterator[bytes]:
    exif, profile = camera_exif(), rgb_profile(DISPLAY_P3_XY, ADOBE_GAMMA)
    for suffix, file_format in PICTURE_FORMATS.items():
        if not can_write(suffix) or suffix in (".jpe", ".jfif", ".jpeg", ".apng", ".heif"):
            continue
        keeps = {} if file_format in ("GIF", "BMP") else {"exif": exif, "icc_profile": profile}
        for mode in ("RGB", "P", "RGBA"):
            if mode == "RGB" or file_format in ("PNG", "TIFF", "WEBP"):
                yield saved(photo(48, 32).convert(mode), file_format, **keeps)
    yield deep_tiff(np.random.default_rng(0).random((8, 9, 3)).astype(np.float32))


def test_damage_of_any_kind_is_one_kind_of_error() -> None:
    random = np.random.default_rng(5)
    reasons, read = [], 0
    for content in _intact():
        for _ in range(60):
            try:
                decode_picture(_damaged(content, random), name="damaged", max_pixels=10**6)
            except MediaError as error:
                reasons.append(str(error))
            else:
                read += 1
    assert all(reason.startswith("damaged: ") and "\n" not in reason for reason in reasons)
    assert len(reasons) > 300
    assert read > 50


def test_pixels_of_a_png_are_never_damaged_in_silence() -> None:
    image = photo(24, 16)
    content = saved(image, "PNG")
    start = content.index(b"IDAT") + 4
    for place in range(start, len(content) - 16):  # the checksum of IEND, and IEND, do not count
        damaged = content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]
        with pytest.raises(MediaError):
            decode_picture(damaged, name="a.png")


def test_heic_without_its_package_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(picture_files, "heif_is_possible", lambda: False)
    monkeypatch.setattr(picture_codec, "heif_is_possible", lambda: False)
    header = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"heic", 0, b"mif1", b"heic")
    with pytest.raises(MediaError, match=r"^a\.heic: HEIC needs .*pip install pillow-heif$"):
        decode_picture(header + bytes(100), name="a.heic")
    assert not can_write(".heic")
    with pytest.raises(MediaError, match=r"written as \.heic"):
        encode_picture(quarters(4, 4), Picture(quarters(4, 4)), suffix=".heic", quality=90)


def test_threads_neither_share_bounds_nor_colours() -> None:
    profiles = [rgb_profile(DISPLAY_P3_XY, gamma) for gamma in (1.8, 2.0, 2.2, 2.4)]
    files = [saved(photo(), "PNG", icc_profile=profile) for profile in profiles] * 8
    alone = [decode_picture(content, name="a").rgb.tobytes() for content in files]

    def tight_or_loose(number: int) -> bytes | str:
        bound = 96 * 64 - number % 2
        try:
            return decode_picture(files[number], name="a", max_pixels=bound).rgb.tobytes()
        except MediaError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(tight_or_loose, range(len(files))))
    for number, result in enumerate(together):
        if number % 2:
            assert isinstance(result, str)
            assert "--max-pixels" in result
        else:
            assert result == alone[number]


def test_nothing_is_printed_about_a_picture_that_is_read(tmp_path: Path) -> None:
    palette = Image.fromarray(quarters(8, 8)).quantize(8)
    warned_of = saved(palette, "PNG", transparency=bytes([0, 100, 255]))
    big = with_sizes_in_header(saved(photo(), "PNG"), 12_000, 9_000)  # more than Pillow's bound
    floating = deep_tiff(np.ones((4, 4, 4), np.float32))
    for number, content in enumerate((warned_of, big, floating, saved(photo(), "JPEG")[:700])):
        (tmp_path / str(number)).write_bytes(content)
    code = (
        "import sys; from pathlib import Path; from nst_core.errors import MediaError\n"
        "from nst_core.libraries import configure\n"
        "from nst_core.pictures.encoding import decode_picture\n"
        "configure()\n"
        "for path in sys.argv[1:]:\n"
        "    try: decode_picture(Path(path).read_bytes(), name=path)\n"
        "    except MediaError as error: print(error)\n"
    )
    paths = [str(tmp_path / str(number)) for number in range(4)]
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code, *paths],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert len(done.stdout.splitlines()) == 2  # the one without data and the cut one
    assert done.stderr == ""
