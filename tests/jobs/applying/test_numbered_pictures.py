"""Films that are numbered pictures, in and out, in this process."""

from __future__ import annotations

import dataclasses
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import pipeline.films.film
import pipeline.numbered.output_files
from jobs.applying.list_shots import list_shots
from jobs.applying.stylize_video import stylize_videos
from jobs.applying.upscale import sort_sources
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError, MediaError
from pipeline.films.film_frames import frames_at, spread_frames
from pipeline.films.paired_frames import open_pair
from pipeline.films.report import VideoReport
from pipeline.numbered.writing import write_pictures
from pipeline.segments.work_folder import publish
from tests.kit.exr import exr_bytes, read_exr

_SIZE = (12, 20)


def _stylized(source: Path, output: Path | str, **options: Any) -> VideoReport:
    style = StyleSpec(options.pop("style", "identity"))
    job = StylizeVideo((source,), output, style, PoolSpec(workers=0), segment_seconds=0.1)
    (report,) = stylize_videos(dataclasses.replace(job, **options)).inputs
    return report


def _codes(seed: int, channels: int, dtype: type[Any]) -> NDArray[Any]:
    shape = (*_SIZE, channels)[: 2 if channels == 1 else 3]
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def _save(path: Path, pixels: NDArray[Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def _read(path: Path) -> NDArray[Any]:
    """Read a picture in OpenCV's order: BGR."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    if path.suffix == ".tif" and pixels.dtype == np.uint8 and pixels.ndim == 3:
        with Image.open(path) as image:  # OpenCV multiplies alpha into the colours
            return np.asarray(image)[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return pixels


def _shot(folder: Path, numbers: range = range(8, 16), name: str = "{:04}.png") -> Path:
    """Eight noisy pictures of 16 bits."""
    for number in numbers:
        _save(folder / name.format(number), _codes(number, 3, np.uint16))
    return folder


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_codes_names_numbers_and_alpha_are_kept(
    tmp_path: Path, suffix: str, channels: int, dtype: type[Any]
) -> None:
    for number in range(98, 102):
        _save(tmp_path / "in" / f"a{number}{suffix}", _codes(number, channels, dtype))
    report = _stylized(tmp_path / "in", f"{tmp_path}/out/")
    assert (report.status, report.warnings) == ("done", []), report.error
    assert report.output == f"{tmp_path}/out/a%02d{suffix}"
    assert report.segments["total"] > 1
    assert _names(tmp_path / "out") == [f"a{n}{suffix}" for n in (100, 101, 98, 99)]
    for number in range(98, 102):
        copy = _read(tmp_path / "out" / f"a{number}{suffix}")
        pixels = _codes(number, channels, dtype)
        pixels = np.repeat(pixels[..., None], 3, axis=2) if channels == 1 else pixels
        assert copy.dtype == dtype
        np.testing.assert_array_equal(copy, pixels)


def test_a_picture_does_not_depend_on_the_one_before(tmp_path: Path) -> None:
    # Flat: libpng writes a first row as the difference from nothing, FFmpeg's decoder of several
    # pictures adds the last row of the one before.
    for number in range(1, 7):
        _save(tmp_path / "in" / f"{number}.png", np.full((*_SIZE, 3), 30 * number, np.uint8))
    assert _stylized(tmp_path / "in", f"{tmp_path}/out/", segment_seconds=5).status == "done"
    for number in range(1, 7):
        copy = _read(tmp_path / "out" / f"{number}.png")
        np.testing.assert_array_equal(copy, np.full((*_SIZE, 3), 30 * number))


@pytest.mark.parametrize(("depth", "format_name"), [(10, "gbrp10le"), (12, "gbrp12le")])
def test_dpx_keeps_its_bits(tmp_path: Path, depth: int, format_name: str) -> None:
    codes = np.random.default_rng(3).integers(0, 2**depth, (3, 16, 24)).astype(np.uint16)
    (tmp_path / "in.0001.dpx").write_bytes(_encoded("dpx", codes, format_name))
    report = _stylized(tmp_path / "in.####.dpx", tmp_path / "out.####.dpx")
    assert report.status == "done", report.error
    np.testing.assert_array_equal(_planes(tmp_path / "out.0001.dpx", format_name), codes)


def _encoded(codec: str, planes: NDArray[Any], format_name: str) -> bytes:
    context: Any = av.CodecContext.create(codec, "w")
    frame = av.VideoFrame(planes.shape[2], planes.shape[1], format_name)
    for plane, samples in zip(frame.planes, planes, strict=True):
        lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
        lines.view(np.uint16)[:, : planes.shape[2]] = samples
    context.width, context.height, context.pix_fmt = frame.width, frame.height, format_name
    context.time_base = Fraction(1, 24)
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def _planes(path: Path, format_name: str) -> NDArray[Any]:
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name == format_name
    return np.stack(
        [
            np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
            .reshape(-1, plane.line_size)
            .view(np.uint16)[:, : frame.width]
            for plane in frame.planes
        ]
    )


def _light(seed: int, *, alpha: bool, dtype: type[Any] = np.float16) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    planes = {name: np.exp(rng.normal(-1, 2, _SIZE)).astype(dtype) for name in "BGR"}
    planes["R"][0, :7] = [0, -0.25, 1, 65504, 6e-8, np.inf, np.nan]
    if alpha:
        planes["A"] = rng.choice([0, 0.25, 1, 1], _SIZE).astype(dtype)
    return planes


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_exr_passes_bit_for_bit(tmp_path: Path, alpha: bool, dtype: type[Any]) -> None:
    light = _light(1, alpha=alpha, dtype=dtype)
    (tmp_path / "in.7.exr").write_bytes(exr_bytes(light))
    report = _stylized(tmp_path / "in.%d.exr", tmp_path / "out.%d.exr")
    assert (report.status, report.warnings) == ("done", []), report.error
    copy = read_exr((tmp_path / "out.7.exr").read_bytes())
    assert copy.keys() == light.keys()
    for name, plane in light.items():
        assert copy[name].dtype == plane.dtype
        np.testing.assert_array_equal(copy[name], plane)


def _srgb(light: NDArray[Any]) -> NDArray[Any]:
    light = light.astype(np.float64)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def test_exr_is_encoded_for_displays_and_back(tmp_path: Path) -> None:
    light = {name: np.random.default_rng(4).random(_SIZE).astype(np.float16) for name in "RGB"}
    (tmp_path / "in.1.exr").write_bytes(exr_bytes(light))
    assert _stylized(tmp_path / "in.%d.exr", tmp_path / "a.%d.png").status == "done"
    codes = _read(tmp_path / "a.1.png")[..., ::-1]
    for place, name in enumerate("RGB"):
        assert np.abs(codes[..., place] - 65535 * _srgb(light[name])).max() <= 1
    assert _stylized(tmp_path / "a.%d.png", tmp_path / "b.%d.exr").status == "done"
    back = read_exr((tmp_path / "b.1.exr").read_bytes())
    for name, plane in light.items():
        # Half a code of 16 bits, and the rounding of halves, of which 2**-11 is the largest.
        assert back[name].dtype == np.float16
        wrong = np.abs(back[name].astype(np.float64) - plane.astype(np.float64))
        assert np.all(wrong <= plane * 2.0**-11 + 2 / 65535)


def test_alpha_is_multiplied_into_light_and_not_into_codes(tmp_path: Path) -> None:
    alpha = np.full(_SIZE, 0.25, np.float16)
    alpha[:, 10:] = 0
    light = {name: (0.5 * alpha).astype(np.float16) for name in "RGB"} | {"A": alpha}
    (tmp_path / "in.1.exr").write_bytes(exr_bytes(light))
    assert _stylized(tmp_path / "in.%d.exr", tmp_path / "a.%d.png").status == "done"
    pixels = _read(tmp_path / "a.1.png")
    expected = round(65535 * float(_srgb(np.array(0.5))))
    np.testing.assert_allclose(pixels[:, :10, :3], expected, atol=1)
    np.testing.assert_allclose(pixels[..., 3], np.round(65535 * alpha.astype(float)), atol=1)
    assert _stylized(tmp_path / "a.%d.png", tmp_path / "b.%d.exr").status == "done"
    back = read_exr((tmp_path / "b.1.exr").read_bytes())
    np.testing.assert_allclose(back["G"], light["G"], atol=2e-4)


def test_light_above_one_is_clipped_for_the_network_and_told_once(tmp_path: Path) -> None:
    for number in range(1, 5):
        light = _light(number, alpha=True)
        (tmp_path / f"in.{number}.exr").write_bytes(exr_bytes(light))
    report = _stylized(tmp_path / "in.%d.exr", tmp_path / "out.%d.exr", style="wave")
    assert report.status == "done", report.error
    (line,) = report.warnings
    assert "brighter than 1" in line
    for number in range(1, 5):
        out = read_exr((tmp_path / f"out.{number}.exr").read_bytes())
        np.testing.assert_array_equal(out["A"], _light(number, alpha=True)["A"])
        for name in "RGB":
            assert np.all((out[name] >= 0) & (out[name] <= out["A"]))
        assert out["R"].max() > 0.1


def test_a_film_becomes_pictures_and_pictures_a_film(clip: Path, tmp_path: Path) -> None:
    report = _stylized(clip, tmp_path / "f" / "%03d.png")
    assert report.status == "done", report.error
    assert [line for line in report.warnings if "audio" in line]
    assert _names(tmp_path / "f") == [f"{n:03}.png" for n in range(1, 49)]
    with av.open(str(clip)) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24")
    wrong = _read(tmp_path / "f" / "001.png")[..., ::-1].astype(int) - first
    assert np.abs(wrong).mean() < 2  # swscale interpolates chroma otherwise
    report = _stylized(tmp_path / "f", tmp_path / "film.mkv", codec="ffv1", fps=Fraction(10))
    assert (report.status, report.warnings) == ("done", []), report.error
    with av.open(str(tmp_path / "film.mkv")) as container:
        frames = list(container.decode(video=0))
    assert [round(float(frame.time or 0), 2) for frame in frames[:3]] == [0, 0.1, 0.2]
    assert len(frames) == 48
    pixels = frames[5].to_ndarray(format="rgb24")
    np.testing.assert_array_equal(pixels, _read(tmp_path / "f" / "006.png")[..., ::-1])


def test_without_fps_there_are_24_and_it_is_told(tmp_path: Path) -> None:
    _shot(tmp_path / "in")
    report = _stylized(tmp_path / "in", tmp_path / "a.mkv", codec="ffv1")
    assert report.warnings == ["no --fps is given: 24 pictures are shown in a second"]
    report = _stylized(tmp_path / "in", f"{tmp_path}/b/")
    assert report.warnings == []


def test_fps_of_a_file_is_told_to_be_of_no_use(clip: Path, tmp_path: Path) -> None:
    report = _stylized(clip, tmp_path / "a.mp4", fps=Fraction(10))
    assert report.warnings == ["--fps 10 is for numbered pictures: a file has its own times"]


def test_a_part_keeps_its_numbers(tmp_path: Path) -> None:
    _shot(tmp_path / "in")
    options = {"start": Fraction(2, 10), "end": Fraction(5, 10), "fps": Fraction(10)}
    report = _stylized(tmp_path / "in", tmp_path / "out" / "%04d.png", **options)
    assert report.status == "done", report.error
    assert _names(tmp_path / "out") == ["0010.png", "0011.png", "0012.png"]
    np.testing.assert_array_equal(_read(tmp_path / "out/0011.png"), _codes(11, 3, np.uint16))


def test_gaps_stay_gaps_and_are_told(tmp_path: Path) -> None:
    folder = _shot(tmp_path / "in")
    (folder / "0010.png").unlink()
    (folder / "0012.png").write_bytes(b"")
    report = _stylized(folder, tmp_path / "out" / "%04d.png")
    assert report.status == "damaged"
    (line,) = report.warnings
    assert line.startswith("2 pictures of numbers 8-15 missing: 10, 12 (files of 0 bytes among")
    assert _names(tmp_path / "out") == [f"{n:04}.png" for n in (8, 9, 11, 13, 14, 15)]
    np.testing.assert_array_equal(_read(tmp_path / "out/0011.png"), _codes(11, 3, np.uint16))
    report = _stylized(folder, tmp_path / "a.mkv", codec="ffv1", fps=Fraction(10))
    with av.open(str(tmp_path / "a.mkv")) as container:
        times = [round(float(frame.time or 0), 1) for frame in container.decode(video=0)]
    assert times == [0, 0.1, 0.3, 0.5, 0.6, 0.7]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr", ".jpg"])
@pytest.mark.parametrize("damaged", [1, 3])
def test_a_damaged_picture_is_missing_and_told(tmp_path: Path, suffix: str, damaged: int) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(1, 7):
        path = folder / f"{number}{suffix}"
        if suffix == ".exr":
            path.write_bytes(exr_bytes(_light(number, alpha=False)))
        else:
            _save(path, _codes(number, 3, np.uint8))
    _cut(folder / f"{damaged}{suffix}")
    report = _stylized(folder, tmp_path / "out" / f"%d{suffix}")
    assert report.status == "damaged", report.error
    assert report.missing_pts_seconds == [round((damaged - 1) / 24, 6)]
    assert f"{damaged}{suffix}" not in _names(tmp_path / "out")
    assert len(_names(tmp_path / "out")) == 5
    assert report.segments["retried"] == 0


def test_nothing_but_damaged_pictures_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"no picture")
    (tmp_path / "2.png").write_bytes(b"no picture")
    report = _stylized(tmp_path, tmp_path / "a.mp4")
    assert report.error
    assert report.error.startswith(f"{tmp_path}/1.png: ")


def test_pictures_of_another_size_are_scaled_and_told(tmp_path: Path) -> None:
    folder = _shot(tmp_path / "in")
    _save(folder / "0010.png", np.full((30, 30, 3), 999, np.uint16))
    report = _stylized(folder, tmp_path / "out" / "%04d.png")
    assert report.status == "done"
    assert report.warnings == [
        "its frames change their size: those of 30x30 are scaled to 20x12, as it begins"
    ]
    assert _read(tmp_path / "out" / "0010.png").shape == (12, 20, 3)


def test_finished_pictures_are_found_and_deleted_ones_made_again(tmp_path: Path) -> None:
    folder, out = _shot(tmp_path / "in"), tmp_path / "out"
    assert _stylized(folder, out / "%04d.png").status == "done"
    report = _stylized(folder, out / "%04d.png")
    assert (report.status, report.reused) == ("done", True)
    (out / "0011.png").unlink()
    (out / "0012.png").write_bytes(b"painted over")
    report = _stylized(folder, out / "%04d.png")
    assert (report.status, report.reused) == ("done", False), report.error
    np.testing.assert_array_equal(_read(out / "0011.png"), _codes(11, 3, np.uint16))
    assert (out / "0012.png").read_bytes() == b"painted over"
    report = _stylized(folder, out / "%04d.png")
    assert report.error
    assert "was changed since it was made" in report.error
    assert _stylized(folder, out / "%04d.png", overwrite=True).status == "done"
    np.testing.assert_array_equal(_read(out / "0012.png"), _codes(12, 3, np.uint16))


def test_pictures_of_others_are_not_replaced(tmp_path: Path) -> None:
    folder, out = _shot(tmp_path / "in"), tmp_path / "out"
    out.mkdir()
    (out / "0011.png").write_bytes(b"of others")
    report = _stylized(folder, out / "%04d.png")
    assert report.error == f"{out}/%04d.png exists; --overwrite replaces it"
    assert _names(out) == ["0011.png"]
    assert _stylized(folder, out / "x%04d.png").status == "done"


def test_a_run_that_ends_while_pictures_appear_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = _shot(tmp_path / "in"), tmp_path / "out"
    count = 0

    def dies_at_the_third(*arguments: Any, **options: Any) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise SystemError("killed")  # the files that are there stay, as after a kill
        publish(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.numbered.output_files, "publish", dies_at_the_third)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        assert _stylized(folder, out / "%04d.png").error
    assert len(_names(out)) == 2
    report = _stylized(folder, out / "%04d.png")
    assert report.status == "done", report.error
    assert report.segments["reused"] == report.segments["total"]
    assert _names(out) == [f"{n:04}.png" for n in range(8, 16)]


def test_all_appear_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = _shot(tmp_path / "in"), tmp_path / "out"

    def appears_meanwhile(temporary: Path, output: Path, *, overwrite: bool) -> None:
        if output.name == "0011.png":
            output.write_bytes(b"of others")
        publish(temporary, output, overwrite=overwrite)

    monkeypatch.setattr(pipeline.numbered.output_files, "publish", appears_meanwhile)
    report = _stylized(folder, out / "%04d.png")
    assert report.error
    assert "has appeared meanwhile" in report.error
    assert _names(out) == ["0011.png"]


def test_a_changed_picture_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _shot(tmp_path / "in")

    def changes(*arguments: Any) -> Any:
        _save(folder / "0011.png", _codes(1, 3, np.uint16))
        return write_pictures(*arguments)

    monkeypatch.setattr(pipeline.films.film, "write_pictures", changes)
    report = _stylized(folder, tmp_path / "out" / "%04d.png")
    assert report.error
    assert "the file changed while it was read" in report.error
    assert not _names(tmp_path / "out")


def test_what_cannot_be_meant_is_one_line(clip: Path, tmp_path: Path) -> None:
    folder = _shot(tmp_path / "in")
    report = _stylized(folder, f"{folder}/")
    assert report.error
    assert "would replace its own input" in report.error
    report = _stylized(clip, tmp_path / "a.png")
    assert report.error
    assert "number them" in report.error
    with pytest.raises(InputError, match=r"matches 2 pictures of .*%04d.png, and not all"):
        _stylized(folder / "001[01].png", tmp_path / "a.mp4")
    _save(tmp_path / "none" / "one.png", _codes(1, 3, np.uint8))
    with pytest.raises(InputError, match="no videos in this folder"):
        _stylized(tmp_path / "none", tmp_path / "a.mp4")


def test_a_damaged_picture_moves_no_shot_and_no_pair(tmp_path: Path) -> None:
    for number in range(1, 49):
        pixels = np.full((72, 128, 3), 60 + 2 * (number % 3), np.uint8)
        cv2.rectangle(pixels, (8, 10), (40, 60), (0, 255, 0), -1)
        _save(tmp_path / "in" / f"{number}.png", pixels if number <= 24 else 255 - pixels[:, ::-1])
    whole, damaged = tmp_path / "in" / "%d.png", tmp_path / "damaged" / "%d.png"
    shutil.copytree(whole.parent, damaged.parent)
    _cut(damaged.parent / "5.png")
    (film,) = list_shots([damaged.parent])
    assert [shot.start for shot in film.shots] == [0, 1]
    with pytest.raises(MediaError, match="cannot be decoded"):
        list(open_pair(whole, damaged).frames())


def test_previews_shots_and_comparisons_know_them(tmp_path: Path) -> None:
    for number in range(1, 49):
        shade = 40 + 4 * (number % 24)
        pixels = np.full((72, 128, 3), shade, np.uint8)
        left = 8 * (number % 12)
        cv2.rectangle(pixels, (left, 10), (left + 20, 60), (0, 255, 255 * (number > 24)), -1)
        pixels[:, :, 2] = 255 - pixels[:, :, 2] if number > 24 else pixels[:, :, 2]
        _save(tmp_path / "in" / f"{number}.png", pixels)
    path = tmp_path / "in" / "%d.png"
    frames = spread_frames(path, 4, max_side=64)
    assert [round(24 * frame.seconds) for frame in frames] == [6, 18, 30, 42]
    (frame,) = frames_at(path, [Fraction(1, 2)], max_side=128)
    np.testing.assert_array_equal(frame.rgb, _read(tmp_path / "in" / "13.png")[..., ::-1])
    with pytest.raises(InputError, match=r"--at 2: .* ends at 2\.000 s"):
        frames_at(path, [Fraction(2)], max_side=128)
    pairs = list(open_pair(path, path).frames())
    assert len(pairs) == 48
    np.testing.assert_array_equal(pairs[20].output, _read(tmp_path / "in/21.png")[..., ::-1])
    (film,) = list_shots([tmp_path / "in"])
    assert film.error is None
    assert sum(shot.frames for shot in film.shots) == 48
    assert sort_sources([str(path)], str(tmp_path)).videos == (path,)
