"""Films from pipe to pipe, in this process."""

from __future__ import annotations

import io
import logging
import os
import threading
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from jobs.applying.stylize_pipe import stylize_pipe
from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError, MediaError
from pipeline.films.report import VideoReport
from pipeline.storage.remote import RemoteStorage
from tests.kit.masks import make_film, picture_of
from tests.kit.media import make_clip
from tests.kit.streams import read_stream, sound_of, stream

HERE = PoolSpec(workers=0)
_FASTSTART = {"movflags": "+faststart"}


def _job(style: str | Path = "identity", **options: Any) -> StylizeVideo:
    job = StylizeVideo((Path("-"),), "-", StyleSpec(str(style)), HERE, segment_seconds=0.5)
    return replace(job, **options)


def _piped(
    content: bytes, job: StylizeVideo, *, most: int | None = None, from_file: bool = False
) -> tuple[VideoReport, bytes]:
    """Send a stream, or the job's file, through; who reads it leaves after ``most`` bytes."""
    source, entrance = os.pipe()
    exit_, output = os.pipe()
    taken = io.BytesIO()

    def feed() -> None:
        with suppress(BrokenPipeError), open(entrance, "wb") as pipe:  # noqa: PTH123 - a descriptor
            pipe.write(content)

    def take() -> None:
        with open(exit_, "rb", buffering=0) as pipe:  # noqa: PTH123
            while (most is None or taken.tell() < most) and (data := pipe.read(1 << 16)):
                taken.write(data)

    threads = [threading.Thread(target=each, daemon=True) for each in (feed, take)]
    for thread in threads:
        thread.start()
    try:
        (report,) = stylize_pipe(job, None if from_file else source, output).inputs
    finally:
        os.close(output)
    threads[1].join()
    return report, taken.getvalue()


@pytest.mark.parametrize(
    ("kind", "pixel_format", "codec"),
    [
        ("y4m", "yuv420p", "rawvideo"),
        ("y4m", "yuv422p", "rawvideo"),
        ("y4m", "yuv420p10le", "rawvideo"),
        ("y4m", "yuv444p10le", "rawvideo"),
        ("nut", "yuv420p", "rawvideo"),
        ("nut", "yuv422p10le", "rawvideo"),
        ("nut", "yuva420p", "rawvideo"),
        ("nut", "rgb24", "rawvideo"),
        ("nut", "yuv420p", "ffv1"),
        ("nut", "yuv420p", "mpeg4"),
    ],
)
def test_frames_are_those_of_the_same_film_in_a_file(
    kind: str, pixel_format: str, codec: str, tmp_path: Path
) -> None:
    rate = Fraction(24_000, 1001)
    content = stream(kind, rate=rate, pixel_format=pixel_format, codec=codec, color_range=1)
    report, output = _piped(content, _job())
    assert (report.status, report.error, report.frames_out) == ("done", None, 48)
    assert report.segments["total"] == 5
    expected = _of_file(content, kind, _job(), tmp_path)
    (source, before), (written, after) = map(read_stream, (content, output))
    assert (written.width, written.height, written.pix_fmt) == (64, 36, source.pix_fmt)
    assert [time for time, _ in after] == [time for time, _ in before]
    _check_same(output, expected, written.pix_fmt)


def test_frames_are_those_of_a_file_in_a_style_too(style: Style, tmp_path: Path) -> None:
    content, job = stream(frames=30), _job(str(style.path))
    report, output = _piped(content, job)
    assert report.status == "done"
    _check_same(output, _of_file(content, "y4m", job, tmp_path), "yuv420p")


def test_a_file_goes_into_a_pipe(clip: Path, tmp_path: Path) -> None:
    job = _job(inputs=(clip,))
    report, output = _of_no_pipe(job)
    assert (report.input, report.status, report.warnings) == (str(clip), "done", [])
    expected = _of_file(clip.read_bytes(), "mp4", job, tmp_path)
    _check_same(output, expected, "yuv420p")
    with av.open(io.BytesIO(expected), "r") as file:
        ticks = [float(frame.time) for frame in file.decode(video=0)]
    times = [float(time) for time, _ in read_stream(output)[1]]
    np.testing.assert_allclose(times, ticks, atol=1e-3)
    with av.open(str(clip), "r") as source, av.open(io.BytesIO(output), "r") as written:
        sounds = [[bytes(p) for p in each.demux(audio=0) if p.size] for each in (source, written)]
    assert sounds[0] == sounds[1]
    y4m = tmp_path / "film.y4m"
    y4m.write_bytes(stream()[:-1000])
    report, output = _of_no_pipe(_job(inputs=(y4m,)))
    assert output.startswith(b"YUV4MPEG2 ")
    assert report.status == "damaged"
    assert report.frames_out == len(read_stream(output)[1]) == 47


def test_a_film_behind_a_uri_is_read_once(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MemoryFileSystem.store.clear()
    MemoryFileSystem().pipe("/bucket/film.mp4", clip.read_bytes())
    read: list[int] = []
    read_part = RemoteStorage.read_part

    def counted(self: RemoteStorage, uri: str, start: int, size: int) -> bytes:
        read.append(size)
        return read_part(self, uri, start, size)

    monkeypatch.setattr(RemoteStorage, "read_part", counted)
    job = _job(inputs=(Path("memory://bucket/film.mp4"),))
    report, output = _of_no_pipe(job)
    assert (report.input, report.status) == ("memory://bucket/film.mp4", "done")
    _check_same(output, _of_file(clip.read_bytes(), "mp4", job, tmp_path), "yuv420p")
    assert read == [clip.stat().st_size]
    with pytest.raises(InputError, match=r"^memory://bucket: -o - takes one film"):
        _of_no_pipe(_job(inputs=(Path("memory://bucket"),)))


def test_a_film_whose_times_start_anew_is_one_line(tmp_path: Path) -> None:
    part, film = tmp_path / "part.ts", tmp_path / "film.ts"
    make_clip(part, frames=24, sound=False)
    film.write_bytes(part.read_bytes() * 2)
    with pytest.raises(MediaError, match=r"film\.ts: its times start anew on the way"):
        _of_no_pipe(_job(inputs=(film,)))


def test_auto_has_no_encoders_elsewhere_which_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _piped(stream(frames=3), _job(encoders="auto"))
    assert "--encoders auto: none, for this runs on one machine" in caplog.text


def test_chroma_of_a_file_lies_where_its_codec_has_it(tmp_path: Path) -> None:
    film = tmp_path / "film.avi"
    make_clip(film, frames=6, codec="mjpeg", pixel_format="yuvj420p", sound=False)
    job = _job(inputs=(film,))
    _check_same(_of_no_pipe(job)[1], _of_file(film.read_bytes(), "avi", job, tmp_path), "yuv420p")


def test_a_file_that_ends_early_is_damaged(clip: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    with av.open(str(clip)) as source, av.open(str(film), "w", options=_FASTSTART) as result:
        stream = result.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                result.mux(packet)
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    report, output = _of_no_pipe(_job(inputs=(film,)))
    assert report.status == "damaged"
    assert 0 < report.frames_out == len(read_stream(output)[1]) < 48


def test_frames_that_change_their_size_end_it_in_one_line(tmp_path: Path) -> None:
    parts = tmp_path / "a.h264", tmp_path / "b.h264"
    for part, width in zip(parts, (64, 96), strict=True):
        make_clip(part, frames=24, width=width, height=48, sound=False)
    film = tmp_path / "film.h264"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    report, _ = _of_no_pipe(_job(inputs=(film,)))
    assert report.error is not None
    assert "film.h264: its frames change to 96x48" in report.error


def test_a_film_that_is_turned_by_its_player_is_told(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    make_film(film, picture_of(64, 36), frames=4, rate=24, turn=90, codec="libx264")
    report, _ = _of_no_pipe(_job(inputs=(film,)))
    assert any("shown turned or mirrored, which nut cannot say" in each for each in report.warnings)


def test_a_file_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"film\.mkv: no such file"):
        _of_no_pipe(_job(inputs=(tmp_path / "film.mkv",)))


def _of_no_pipe(job: StylizeVideo) -> tuple[VideoReport, bytes]:
    """Send a file through."""
    return _piped(b"", job, from_file=True)


def _of_file(content: bytes, kind: str, job: StylizeVideo, folder: Path) -> bytes:
    """What the same film becomes as a file, without loss."""
    film = folder / f"film.{kind}"
    film.write_bytes(content)
    job = replace(job, inputs=(film,), output=folder / "out.mkv", codec="ffv1")
    (report,) = stylize_videos(job).inputs
    assert report.status == "done", report.error
    return (folder / "out.mkv").read_bytes()


def _check_same(content: bytes, expected: bytes, pixel_format: str) -> None:
    found, frames = (read_stream(each, pixel_format)[1] for each in (content, expected))
    assert len(found) == len(frames)
    for (_, frame), (_, copy) in zip(frames, found, strict=True):
        np.testing.assert_array_equal(frame, copy)


def test_marks_of_y4m_stay() -> None:
    content = stream("y4m", frames=3, color_range=2, grey=True)
    marks = b" F30000:1001 It A4:3 C420jpeg XYSCSS=420JPEG XCOLORRANGE=FULL"
    content = b"YUV4MPEG2 W64 H36" + marks + content[content.index(b"\n") :]
    report, output = _piped(content, _job())
    assert report.status == "done"
    assert output.partition(b"\n")[0] == b"YUV4MPEG2 W64 H36" + marks.replace(b" It ", b" Ip ")
    assert any("interlaced" in line for line in report.warnings)
    assert output.partition(b"\n")[2] == content.partition(b"\n")[2]


@pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(221, 150)])
@pytest.mark.parametrize("codec", [None, "ffv1"])
def test_the_shape_of_pixels_stays_in_nut(aspect: Fraction, codec: str | None) -> None:
    marks = f" A{aspect.numerator}:{aspect.denominator} ".encode()
    content = stream("y4m", frames=3).replace(b" A0:0 ", marks)
    report, output = _piped(content, _job(output_format="nut", codec=codec))
    assert (report.status, report.warnings) == ("done", [])
    with av.open(io.BytesIO(output), "r") as container:
        assert container.streams.video[0].sample_aspect_ratio == aspect
        assert len(list(container.decode(video=0))) == 3
    again, _ = _piped(output, _job(output_format="y4m"))
    assert again.status == "done"


def test_frames_that_are_not_equally_long_are_told_for_y4m() -> None:
    uneven = stream("nut", rate=Fraction(24), gap=True)
    warnings = _piped(uneven, _job(output_format="y4m"))[0].warnings
    assert warnings == ["its frames are not equally long, and y4m shows each for 1/24 s"]


def test_sound_goes_along_in_nut_and_not_in_y4m() -> None:
    content = stream("nut", sound=True)
    report, output = _piped(content, _job())
    assert (report.status, report.warnings) == ("done", [])
    assert sound_of(output) == sound_of(content)
    assert len(sound_of(content)) == 48
    with pytest.raises(MediaError, match=r"pcm_s16le.*does not fit into y4m.*--allow-left-out"):
        _piped(content, _job(output_format="y4m"))
    report, output = _piped(content, _job(output_format="y4m", allow_left_out=True))
    assert report.status == "done"
    assert "is left out" in report.warnings[0]
    assert output.startswith(b"YUV4MPEG2 ")
    assert len(read_stream(output)[1]) == 48


def test_frames_that_follow_each_other_do_so_across_segments(style: Style) -> None:
    content = stream(frames=30)
    outputs = [
        _piped(content, _job(str(style.path), coherence=0.5, segment_seconds=seconds))[1]
        for seconds in (0.5, 60)
    ]
    plain = _piped(content, _job(str(style.path)))[1]
    cut, whole, apart = (read_stream(each)[1][20][1].astype(int) for each in (*outputs, plain))
    assert np.abs(cut - whole).max() <= 2
    assert np.abs(apart - whole).max() > np.abs(cut - whole).max()


@pytest.mark.parametrize("kind", ["y4m", "nut"])
def test_a_stream_that_breaks_off_is_told(kind: str) -> None:
    report, output = _piped(stream(kind)[:-1000], _job())
    assert report.status == "damaged"
    assert report.frames_out == len(read_stream(output)[1]) == 47
    assert "the source is damaged" in report.warnings[-1]


def test_a_reader_that_leaves_ends_it_in_order() -> None:
    report, _ = _piped(stream(frames=400), _job(), most=1)
    assert report.error is not None
    assert report.error.startswith("-o -: nobody reads it any more, after ")
    assert report.frames_out < 400


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (b"", {}, "not a readable video"),
        (b"no film" * 1000, {}, "not a readable video"),
        (stream()[:100], {}, "no frame of it can be decoded|not a readable video"),
        (stream(), {"input_format": "none"}, "--input-format none: not known"),
        (stream(), {"codec": "h264"}, "--codec h264"),
        (stream(), {"start": Fraction(1)}, "--start, --end and --duration: not for a pipe"),
        (stream(), {"work_dir": Path("x")}, "--work-dir: not for a pipe"),
        (stream(), {"mask": Path("x.png")}, "--mask: not for a pipe"),
        (stream(), {"timeline": Path("x.txt")}, "--timeline: not for a pipe"),
        (stream(), {"pool": PoolSpec(address="auto")}, "--address auto: not for a pipe"),
        (stream(), {"output": "film.mkv"}, "one film goes into a pipe"),
        (stream(), {"inputs": (Path("-"), Path("film.mkv"))}, "one film goes into a pipe"),
        (stream(), {"inputs": (Path("a.%04d.png"),)}, "takes one film that is a file"),
        (stream(), {"inputs": (Path(),)}, "takes one film that is a file"),
        (stream(), {"inputs": (Path("a.mkv"),), "input_format": "nut"}, "nut of a file: not for"),
    ],
)
def test_what_cannot_be_is_one_line(content: bytes, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        _piped(content, _job(**options))


def test_formats_are_for_pipes() -> None:
    with pytest.raises(InputError, match="for pipes"):
        _job(inputs=(Path("film.mkv"),), output="out.mkv", input_format="y4m")
