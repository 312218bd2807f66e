from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_core.errors import MediaError
from nst_core.pictures.encoding import (
    Picture,
    can_write,
    decode_picture,
    encode_picture,
    lost_in,
)
from nst_core.pictures.formats import PICTURE_FORMATS
from tests.kit.awkward_pictures import make_awkward_folder
from tests.kit.expected_pictures import Expected, mistake
from tests.kit.media import moving_picture
from tests.kit.picture_bytes import (
    SUFFIXES,
    deep_png,
    deep_tiff,
    half_opaque,
    interlaced_png,
    photo,
    quarters,
    reopened,
    saved,
)

# The program silences Pillow when it starts; pytest undoes that for each test.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")


def test_each_awkward_picture_comes_out_right_or_says_why_not(tmp_path: Path) -> None:
    """Modes, formats, sizes, orientations, profiles, damage: see ``awkward_pictures``."""
    files = {
        name: expected
        for name, expected in make_awkward_folder(tmp_path).items()
        if not name.startswith(("links/", "plain/")) and not expected.is_unreadable
    }
    assert len(files) > 250
    wrong = [name for name, expected in files.items() if _outcome(tmp_path, name, expected)]
    assert not wrong, [(name, _outcome(tmp_path, name, files[name])) for name in wrong]


def _outcome(folder: Path, name: str, expected: Expected) -> str:
    """Empty for what was expected."""
    output = folder / "out"
    try:
        picture = decode_picture((folder / name).read_bytes(), name=name)
        suffix = Path(name).suffix
        output.write_bytes(encode_picture(picture.rgb, picture, suffix=suffix, quality=95))
    except MediaError as error:
        is_right = expected.fails and str(error).startswith(name) and expected.reason in str(error)
        return "" if is_right else str(error)
    return "did not fail" if expected.fails else mistake(output, folder / name, expected)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".avif", ".heic"])
def test_transparency_survives_and_is_enlarged_with_the_picture(suffix: str) -> None:
    image = photo()
    ramp = np.linspace(0, 255, 64 * 96).astype(np.uint8).reshape(64, 96)
    image.putalpha(Image.fromarray(ramp))
    picture = decode_picture(saved(image, "PNG"), name="alpha.png")
    again = decode_picture(
        encode_picture(picture.rgb, picture, suffix=suffix, quality=95), name="again"
    )
    assert again.alpha is not None
    tolerance = {".avif": 3, ".heic": 6}.get(suffix, 0)  # these two compress it with losses
    np.testing.assert_allclose(again.alpha.astype(int), ramp, atol=tolerance)
    twice = np.repeat(np.repeat(picture.rgb, 2, axis=0), 2, axis=1)
    larger = decode_picture(encode_picture(twice, picture, suffix=suffix, quality=95), name="x2")
    assert larger.alpha is not None
    reference = np.repeat(np.repeat(ramp, 2, axis=0), 2, axis=1)
    assert np.abs(larger.alpha.astype(int) - reference).mean() < 3


def test_colours_under_premultiplied_alpha_are_restored() -> None:
    pixels = quarters(8, 8)
    alpha = half_opaque(pixels)
    multiplied = np.dstack([np.rint(pixels * (alpha / 255)[..., None]).astype(np.uint8), alpha])
    content = saved(Image.fromarray(multiplied), "TIFF")
    straight = struct.pack("<HHIH", 338, 3, 1, 2)  # ExtraSamples: unassociated alpha
    assert content.count(straight) == 1
    content = content.replace(straight, struct.pack("<HHIH", 338, 3, 1, 1))
    picture = decode_picture(content, name="premultiplied.tif")
    np.testing.assert_allclose(picture.rgb.astype(int), pixels, atol=1)
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, alpha)


def test_a_gif_keeps_what_is_wholly_transparent_and_dithers_the_rest() -> None:
    pixels = np.asarray(photo(), dtype=np.uint8)
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:, :10], alpha[:, 10:20] = 0, 200
    content = encode_picture(pixels, Picture(pixels, alpha), suffix=".gif", quality=95)
    with reopened(content) as image:
        written = np.asarray(image.convert("RGBA"))
    np.testing.assert_array_equal(written[..., 3] == 0, alpha == 0)
    difference = written[:, 10:, :3].astype(float) - pixels[:, 10:]
    assert np.abs(difference.mean(axis=(0, 1))).max() < 2  # dithering keeps the mean
    assert np.abs(difference).mean() < 8


@pytest.mark.parametrize("depth", ["RGB", "RGBA", "RGB floating"])
def test_sixteen_bits_and_floats_are_scaled_not_clipped(depth: str) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (12, 10, len(depth[:4].strip())))
    reference = values / 257
    if "floating" in depth:
        content = deep_tiff((values / 65535).astype(np.float32))
    else:
        content = deep_tiff(values.astype(np.uint16))
    picture = decode_picture(content, name="deep.tif")
    # Pillow takes the high byte, which lies up to one level below the right value.
    np.testing.assert_allclose(picture.rgb, reference[..., :3], atol=0.51 if "f" in depth else 1)
    assert "became 8" in picture.notes[0]


def test_samples_without_a_known_white_are_refused() -> None:
    for samples in (
        np.full((4, 4, 3), 5.0, np.float32),
        np.full((4, 4), np.nan, np.float32),
        np.full((4, 4), -3, np.int32),
    ):
        content = deep_tiff(samples)
        with pytest.raises(MediaError, match=r"light\.tif: .*can be taken; scale them first"):
            decode_picture(content, name="light.tif")


def test_a_tiff_whose_white_is_zero_is_inverted_at_any_depth() -> None:
    deep = np.random.default_rng(2).integers(0, 65536, (6, 8), dtype=np.uint16)
    for order in "<", ">":
        data = deep.astype(f"{order}u2").tobytes()
        content = _grey_tiff(order, data, width=8, height=6, bits=16, photometric=0)
        picture = decode_picture(content, name="negative.tif")
        np.testing.assert_allclose(picture.rgb[..., 0], 255 - deep / 257, atol=0.51)


def _grey_tiff(
    order: str, data: bytes, *, width: int, height: int, bits: int, photometric: int
) -> bytes:
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1}
    tags |= {278: height, 279: len(data)}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    directory = struct.pack(f"{order}H", len(tags))
    for tag, value in tags.items():
        directory += struct.pack(f"{order}HHII", tag, 4, 1, value)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}I", 8) + directory + bytes(4) + data


def test_an_interlaced_png_shows_its_pixels() -> None:
    pixels = np.asarray(photo(19, 13), dtype=np.uint8)
    picture = decode_picture(interlaced_png(pixels), name="adam7.png")
    np.testing.assert_array_equal(picture.rgb, pixels)


def test_the_transparent_colour_of_a_deep_png_is_found() -> None:
    pixels = quarters(8, 8).astype(np.uint16) * 257
    plain = deep_png(pixels)
    header_end = 33
    data = b"tRNS" + struct.pack(">3H", *map(int, pixels[0, 0]))
    chunk = struct.pack(">I", 6) + data + struct.pack(">I", zlib.crc32(data))
    picture = decode_picture(plain[:header_end] + chunk + plain[header_end:], name="key.png")
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha == 0, (pixels == pixels[0, 0]).all(axis=-1))


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_of_an_animation_the_first_frame_is_taken_and_that_is_noted(suffix: str) -> None:
    frames = [Image.fromarray(moving_picture(number)) for number in range(3)]
    options = {"lossless": True} if suffix == ".webp" else {}
    content = saved(
        frames[0], PICTURE_FORMATS[suffix], save_all=True, append_images=frames[1:], **options
    )
    picture = decode_picture(content, name=f"three{suffix}")
    what = "pages" if suffix == ".tif" else "frames"
    assert picture.notes == (f"of 3 {what} only the first is taken",)
    tolerance = 40 if suffix == ".gif" else 0  # 256 colours
    np.testing.assert_allclose(picture.rgb.astype(int), np.asarray(frames[0]), atol=tolerance)


def test_max_side_shrinks_and_never_enlarges() -> None:
    content = saved(photo(), "PNG")
    assert decode_picture(content, name="a.png", max_side=48).rgb.shape == (32, 48, 3)
    assert decode_picture(content, name="a.png", max_side=500).rgb.shape == (64, 96, 3)
    large = Image.fromarray(moving_picture(0, 1600, 1200))
    shrunk = decode_picture(saved(large, "JPEG", quality=95), name="a.jpg", max_side=160)
    reference = np.asarray(large.resize((160, 120), Image.Resampling.LANCZOS), dtype=float)
    assert np.abs(shrunk.rgb - reference).mean() < 2  # decoded at a quarter, then filtered


def test_sizes_that_a_format_cannot_hold_are_refused_in_one_line() -> None:
    wide = np.zeros((1, 66_000, 3), np.uint8)
    for suffix, name in ((".jpg", "JPEG"), (".webp", "WEBP"), (".gif", "GIF"), (".avif", "AVIF")):
        with pytest.raises(MediaError, match=rf"66000x1 pixels do not fit into {name}.*--max-side"):
            encode_picture(wide, Picture(wide), suffix=suffix, quality=90)
    assert (
        reopened(encode_picture(wide, Picture(wide), suffix=".png", quality=90)).size[0] == 66_000
    )


def test_endings_without_a_format_are_refused_with_those_that_have_one() -> None:
    assert can_write(".JPG")
    assert not can_write(".txt")
    with pytest.raises(MediaError, match=r"as \.txt; try .*\.png"):
        encode_picture(quarters(4, 4), Picture(quarters(4, 4)), suffix=".txt", quality=90)


def test_what_a_format_cannot_hold_is_named() -> None:
    pixels = quarters(4, 4)
    picture = Picture(pixels, half_opaque(pixels), exif=b"Exif\0\0...")
    assert lost_in(picture, ".png") == ()
    assert lost_in(picture, ".JPG") == ("its transparency",)
    assert lost_in(picture, ".bmp") == ("its transparency", "its EXIF")
    assert lost_in(Picture(pixels), ".bmp") == ()


@pytest.mark.parametrize(("quality", "sampling"), [(95, (1, 1)), (90, (1, 1)), (80, (2, 2))])
def test_colour_keeps_its_resolution_at_high_quality(
    quality: int, sampling: tuple[int, int]
) -> None:
    pixels = moving_picture(0)
    content = encode_picture(pixels, Picture(pixels), suffix=".jpg", quality=quality)
    with reopened(content) as image:
        luma = getattr(image, "layer")[0]  # noqa: B009 - Pillow does not type it
    assert luma[1:3] == sampling


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_written_is_the_picture_given(suffix: str) -> None:
    pixels = quarters(97, 65)
    content = encode_picture(pixels, Picture(pixels), suffix=suffix, quality=95)
    assert content == encode_picture(pixels, Picture(pixels), suffix=suffix, quality=95)
    again = decode_picture(content, name="again")
    is_exact = suffix in (".png", ".tif", ".bmp", ".gif")  # four colours fit into a palette
    tolerance = 0 if is_exact else 3 if suffix == ".webp" else 1.5  # WebP halves its colour
    assert np.abs(again.rgb.astype(int) - pixels).mean() <= tolerance


def test_an_ordinary_photo_is_decoded_and_encoded_as_by_pillow_alone(data: Path) -> None:
    contents = [path.read_bytes() for path in sorted((data / "photos").glob("*.jpg"))[:20]]
    assert contents
    for content in contents:
        picture = decode_picture(content, name="photo.jpg")
        copy = encode_picture(picture.rgb, picture, suffix=".jpg", quality=95)
        with reopened(content) as image:
            plain = saved(image.convert("RGB"), "JPEG", quality=95, subsampling=0)
        assert copy == plain
