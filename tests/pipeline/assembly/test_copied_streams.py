"""What is planned for the streams beside the film."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from nst_core.errors import MediaError
from pipeline.assembly.copied_streams import plan_copies
from pipeline.source.source_video import probe
from tests.kit.media import make_clip


@pytest.mark.parametrize(
    ("name", "ending", "codec"),
    [("10_multi.mkv", ".mp4", "mov_text"), ("10b_multi.mp4", ".mkv", "subrip")],
)
def test_subtitles_that_do_not_fit_are_told_with_what_they_become(
    data: Path, tmp_path: Path, name: str, ending: str, codec: str
) -> None:
    plan = plan_copies(probe(data / "hostile" / name), tmp_path / f"film{ending}")
    told = [line for line in plan.warnings if "subtitle" in line]
    assert told
    assert all(f"is converted to {codec}" in line for line in told)


def _with_pictured_subtitles(folder: Path, *, empty: bool = False) -> Path:
    """A clip with a track of PGS, in which one packet ends an empty screen."""
    clip, path = folder / "clip.mp4", folder / "pictured.mkv"
    make_clip(clip, sound=False, frames=12)
    with av.open(str(clip)) as original, av.open(str(path), "w") as result:
        video = result.add_stream_from_template(original.streams.video[0], opaque=True)
        subtitles: Any = result.add_mux_stream("hdmv_pgs_subtitle")
        subtitles.time_base = Fraction(1, 1000)
        packet = av.Packet(bytes.fromhex("80 0000"))
        packet.stream, packet.time_base, packet.pts, packet.dts = (
            subtitles,
            Fraction(1, 1000),
            40,
            40,
        )
        for picture in original.demux():
            if picture.size:
                picture.stream = video
                result.mux(picture)
        if not empty:
            result.mux(packet)
    return path


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".webm"])
def test_subtitles_that_are_pictures_are_refused_before_any_work_unless_allowed(
    ending: str, tmp_path: Path
) -> None:
    source, output = probe(_with_pictured_subtitles(tmp_path)), tmp_path / f"out{ending}"
    with pytest.raises(MediaError, match=r"name the output \.mkv, which holds them, or leave them"):
        plan_copies(source, output)
    (line,) = plan_copies(source, output, allow_left_out=True).warnings
    assert "hdmv_pgs_subtitle) does not fit into" in line
    assert plan_copies(source, tmp_path / "out.mkv").ways == {1: "copy"}


def test_subtitles_without_anything_in_them_are_left_out_and_told(tmp_path: Path) -> None:
    source = probe(_with_pictured_subtitles(tmp_path, empty=True))
    (line,) = plan_copies(source, tmp_path / "out.mp4").warnings
    assert "has nothing in it" in line


def test_a_second_film_that_does_not_fit_is_refused_before_any_work(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as file:
        streams: list[Any] = [file.add_stream(codec, rate=25) for codec in ("mpeg4", "ffv1")]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(12):
            for stream in streams:
                picture = av.VideoFrame(64, 48, "yuv420p")
                picture.pts = number
                file.mux(stream.encode(picture))
        for stream in streams:
            file.mux(stream.encode(None))
    source = probe(path)
    with pytest.raises(
        MediaError, match=r"ffv1 video does not fit into \.webm; name the output \.mkv"
    ):
        plan_copies(source, tmp_path / "out.webm")
    assert plan_copies(source, tmp_path / "out.webm", allow_left_out=True).ways == {}


@pytest.mark.parametrize(("ending", "told"), [(".mkv", 0), (".mp4", 1), (".webm", 1)])
def test_fonts_that_do_not_fit_are_told_by_their_names(
    ending: str, told: int, clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "in.mkv"
    with av.open(str(clip)) as original, av.open(str(path), "w") as result:
        video = result.add_stream_from_template(original.streams.video[0], opaque=True)
        result.add_attachment("serif.ttf", "font/ttf", b"a font")
        for packet in original.demux(video=0):
            if packet.size:
                packet.stream = video
                result.mux(packet)
    lines = plan_copies(probe(path), tmp_path / f"out{ending}").warnings
    assert [("serif.ttf) does not fit" in line, ".mkv keeps it" in line) for line in lines] == [
        (True, True)
    ] * told


def test_a_gif_tells_that_it_has_no_chapters(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    with av.open(str(clip)) as original, av.open(str(path), "w") as result:
        video = result.add_stream_from_template(original.streams.video[0], opaque=True)
        result.set_chapters(
            [{"id": 1, "start": 0, "end": 900, "time_base": Fraction(1, 1000), "metadata": {}}]
        )
        for packet in original.demux(video=0):
            if packet.size:
                packet.stream = video
                result.mux(packet)
    assert plan_copies(probe(path), tmp_path / "out.gif").warnings == (
        "a GIF has no chapters: they are left out",
    )
