"""Text subtitles that a container does not hold as they are: the same words at the same times.

What is written is read by hand here, byte by byte: by none of the program's ways.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import MediaError
from pipeline.assembly.copied_streams import plan_copies
from pipeline.conversion.subtitle_text import Cue, Screen, show_alike
from pipeline.source.source_video import probe
from tests.kit.media import make_clip
from tests.kit.pieces import reassembled

_TOLERANCE = 2
"""Milliseconds: a tick of each of two containers."""

_STYLED = 'Hello <i>slanted</i> and <b>bold</b>, <font color="#ff0000">red</font>'
_ODD = "Tom & Jerry <3 {curly} 5 < 6 > 4 ü 漢字 \N{LEFT DOUBLE QUOTATION MARK}x"

_HEADER = """[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1
Style: Sign,Arial,20,&Hffffff,&Hffffff,&H0,&H0,-1,0,0,0,100,100,0,0,1,1,0,8,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


@dataclass(frozen=True)
class Text:
    """One packet of subtitles, in milliseconds."""

    start: int
    end: int
    payload: str


_SUBRIP = (
    Text(120, 500, _STYLED),
    Text(520, 1100, "two\nlines"),
    Text(1100, 1500, _ODD),
)
_SHOWN = [
    (120, 500, "Hello slanted and bold, red"),
    (520, 1100, "two lines"),
    (1100, 1500, _ODD),
]
_ASS = (
    Text(100, 600, "0,0,Default,,0,0,0,,{\\i1}slanted{\\i0} {a comment}and {\\pos(9,9)}placed"),
    Text(300, 900, "1,0,Sign,,0,0,0,,A SIGN, with a comma"),
    Text(300, 900, "2,1,Sign,,0,0,0,,A SIGN, with a comma"),
    Text(1000, 1400, "3,0,Default,,0,0,0,,{\\p1}m 0 0 l 9 9{\\p0}"),
    Text(1400, 1900, "4,0,Default,,0,0,0,,one\\Ntwo"),
)
_ASS_SHOWN = [
    (100, 300, "slanted and placed"),
    (300, 600, "slanted and placed A SIGN, with a comma"),
    (600, 900, "A SIGN, with a comma"),
    (1400, 1900, "one two"),
]


def _write(path: Path, codec: str, texts: tuple[Text, ...], *, header: str = "") -> Path:
    """A clip of two seconds with these subtitles, their payloads as they are."""
    picture = path.with_name("picture.mp4")
    make_clip(picture, sound=False)
    with av.open(str(path), "w") as file, av.open(str(picture)) as clip:
        video = file.add_stream_from_template(clip.streams.video[0], opaque=True)
        subtitles: Any = file.add_stream(codec)
        subtitles.codec_context.subtitle_header = (header or _HEADER).encode()
        subtitles.time_base = subtitles.codec_context.time_base = Fraction(1, 1000)
        subtitles.metadata["language"] = "eng"
        file.start_encoding()
        packets: list[Any] = [packet for packet in clip.demux() if packet.size]
        for packet in packets:
            packet.stream = video
        for text in texts:
            data = text.payload.encode("latin-1" if codec == "text" else "utf-8")
            if codec == "mov_text":
                data = len(data).to_bytes(2) + data
            packet = av.Packet(data)
            packet.stream, packet.time_base = subtitles, Fraction(1, 1000)
            packet.pts = packet.dts = text.start
            packet.duration = text.end - text.start
            packets.append(packet)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            file.mux(packet)
    return path


def _read(path: Path) -> tuple[str, str, list[tuple[int, int, str]]]:
    """Codec and language of a file's subtitles, and their words with times in milliseconds."""
    found = []
    with av.open(str(path)) as file:
        stream = file.streams.subtitles[0]
        codec = stream.codec_context.codec.canonical_name
        for packet in file.demux(stream):
            if packet.size and packet.pts is not None and packet.duration is not None:
                tick = 1000 * packet.time_base
                words = _words(codec, bytes(packet))
                if words:
                    end = packet.pts + packet.duration
                    found.append((round(packet.pts * tick), round(end * tick), words))
        language = stream.metadata.get("language", "")
    return codec, language, found


def _words(codec: str, data: bytes) -> str:
    if codec == "mov_text":
        data = data[2 : 2 + int.from_bytes(data[:2])]
    text = data.decode()
    if codec == "ass":
        text = re.sub(r"\{[^}]*\}", "", text.split(",", 8)[-1].replace("\\N", " "))
    if codec in ("subrip", "webvtt"):
        text = re.sub(r"</?[a-z][^<>]*>", "", text)
    if codec == "webvtt":
        text = html.unescape(text)
    return " ".join(text.split())


def _agree(found: list[tuple[int, int, str]], expected: list[tuple[int, int, str]]) -> bool:
    return [words for *_, words in found] == [words for *_, words in expected] and all(
        abs(a - b) <= _TOLERANCE
        for (*times, _), (*others, _) in zip(found, expected, strict=True)
        for a, b in zip(times, others, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "codec", "becomes", "written"),
    [
        ("in.mkv", "subrip", ".mp4", "mov_text"),
        ("in.mkv", "subrip", ".mov", "mov_text"),
        ("in.mkv", "subrip", ".webm", "webvtt"),
        ("in.mp4", "mov_text", ".mkv", "subrip"),
        ("in.mp4", "mov_text", ".webm", "webvtt"),
        ("in.mov", "mov_text", ".mkv", "subrip"),
        ("in.mkv", "webvtt", ".mp4", "mov_text"),
        ("in.mkv", "webvtt", ".mov", "mov_text"),
    ],
)
def test_texts_get_across(
    name: str, codec: str, becomes: str, written: str, tmp_path: Path
) -> None:
    texts: tuple[Text, ...] = _SUBRIP
    if codec != "subrip":
        marked = html.escape if codec == "webvtt" else str
        texts = tuple(Text(start, end, marked(words)) for start, end, words in _SHOWN)
    path, output = _write(tmp_path / name, codec, texts), tmp_path / f"out{becomes}"
    source, report, verified = reassembled(path, output)
    assert verified.everything, verified
    assert report.warnings == ()
    (line,) = plan_copies(source, output).warnings
    assert f"stream 1 (subtitle, {codec}) is converted to {written}: it does not fit" in line
    found = _read(output)
    assert found[:2] == (written, "eng")
    assert _agree(found[2], _SHOWN), found


@pytest.mark.parametrize("becomes", [".mp4", ".mov"])
def test_texts_at_once_are_shown_at_once_and_drawings_and_comments_are_not_read(
    becomes: str, tmp_path: Path
) -> None:
    path = _write(tmp_path / "in.mkv", "ass", _ASS)
    _, report, verified = reassembled(path, tmp_path / f"out{becomes}")
    assert verified.everything, verified
    assert report.warnings == ()  # none is moved, though two begin at once
    codec, _, found = _read(tmp_path / f"out{becomes}")
    assert codec == "mov_text"
    assert _agree(found, _ASS_SHOWN), found


def test_ass_goes_into_webm_with_its_overlaps(tmp_path: Path) -> None:
    path = _write(tmp_path / "in.mkv", "ass", _ASS)
    _, _, verified = reassembled(path, tmp_path / "out.webm")
    assert verified.everything, verified
    codec, _, found = _read(tmp_path / "out.webm")
    assert codec == "webvtt"
    sign = (300, 900, "A SIGN, with a comma")
    assert _agree(found, [(100, 600, "slanted and placed"), sign, sign, _ASS_SHOWN[-1]]), found


def test_bold_and_italic_are_kept(tmp_path: Path) -> None:
    path, output = _write(tmp_path / "in.mkv", "subrip", _SUBRIP), tmp_path / "out.mp4"
    reassembled(path, output)
    with av.open(str(output)) as file:
        first = next(bytes(p) for p in file.demux(subtitles=0) if p.size > 2)
    text, box = first[2:].split(b"\0\0", 1)[0], first[first.index(b"styl") + 4 :]
    records = [box[2 + 12 * n : 14 + 12 * n] for n in range(int.from_bytes(box[:2]))]
    styled = {
        (text[int.from_bytes(r[:2]) : int.from_bytes(r[2:4])].decode(), r[6]) for r in records
    }
    assert {("slanted", 2), ("bold", 1)} <= styled
    reassembled(output, tmp_path / "back.mkv")
    with av.open(str(tmp_path / "back.mkv")) as file:
        again = next(bytes(p) for p in file.demux(subtitles=0) if p.size)
    assert b"<i>slanted</i>" in again
    assert b"<b>bold</b>" in again


def test_a_text_that_subrip_would_take_for_marks_becomes_ass(tmp_path: Path) -> None:
    path = _write(tmp_path / "in.mp4", "mov_text", (Text(100, 900, "print <i> here"),))
    _, _, verified = reassembled(path, tmp_path / "out.mkv")
    assert verified.everything
    codec, _, found = _read(tmp_path / "out.mkv")
    assert codec == "ass"
    assert _agree(found, [(100, 900, "print <i> here")])


def test_letters_that_are_no_utf8_are_refused_before_any_work_and_copied_by_mkv(
    tmp_path: Path,
) -> None:
    path = _write(tmp_path / "in.mkv", "text", (Text(100, 900, "déjà vu"),))
    source = probe(path)
    with pytest.raises(MediaError, match=r"subtitles do not fit into \.mp4; name the output \.mkv"):
        plan_copies(source, tmp_path / "out.mp4")
    assert plan_copies(source, tmp_path / "out.mkv").ways == {1: "copy"}
    assert reassembled(path, tmp_path / "out.mkv")[2].everything


def test_a_resumed_film_of_several_segments_has_all_its_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, output = _write(tmp_path / "in.mkv", "subrip", _SUBRIP), tmp_path / "out.mp4"
    job = StylizeVideo(
        (path,), output, StyleSpec("identity"), PoolSpec(workers=0), segment_seconds=0.5
    )

    def no_room(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.films.film.publish_all", no_room)
        assert "No space" in str(stylize_videos(job).inputs[0].error)
    (part,) = stylize_videos(job).inputs
    assert part.status == "done", part.error
    assert part.segments["reused"] == part.segments["total"] > 1
    assert _agree(_read(output)[2], _SHOWN)


def test_a_conversion_is_told_before_any_work(tmp_path: Path) -> None:
    path = _write(tmp_path / "in.mkv", "subrip", _SUBRIP)
    told: list[tuple[int, str]] = []
    stylize_videos(
        StylizeVideo((path,), tmp_path / "out.mp4", StyleSpec("identity"), PoolSpec(workers=0)),
        lambda progress: told.extend((progress.done, line) for line in progress.warnings),
    )
    ((frames_done, line),) = told
    assert frames_done == 0
    assert line.startswith(f"{path}: stream 1 (subtitle, subrip) is converted to mov_text")


def test_a_text_that_changes_on_its_way_is_not_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One word or one time: the proof fails, and so does the rehearsal."""
    path = _write(tmp_path / "in.mkv", "subrip", _SUBRIP)
    source = probe(path)

    def spoil(old: Any, new: Any) -> None:
        with monkeypatch.context() as patch:
            plan = plan_copies(source, tmp_path / "out.mp4")
            patch.setattr("pipeline.assembly.copied_streams.rehearse", lambda *_: frozenset())
            patch.setattr(old, new)
            assert not reassembled(path, tmp_path / "out.mp4")[2].copied_streams
        with monkeypatch.context() as patch:
            patch.setattr(old, new)
            assert plan.ways == {1: "mov_text"}
            with pytest.raises(MediaError, match=r"subtitles do not fit into \.mp4"):
                plan_copies(source, tmp_path / "out.mp4")

    create = av.subtitles.subtitle.SubtitleSet.create
    spoil(
        "pipeline.conversion.subtitles.SubtitleSet.create",
        lambda text, start, end: create(text.replace(b"lines", b"line"), start, end),
    )


def test_what_is_shown_is_the_sum_of_the_cues() -> None:
    cues = [
        Cue(0, 400, "", "a"),
        Cue(100, 300, "", "b"),
        Cue(100, 300, "", "b"),
        Cue(500, 500, "", "until the next"),
        Cue(700, 900, "", "c"),
    ]
    screen = Screen()
    shown = [each for cue in cues for each in screen.take(cue)]
    shown += screen.rest()
    assert [(each.start, each.end, each.words) for each in shown] == [
        (0, 100, "a"),
        (100, 300, "a b"),
        (300, 400, "a"),
        (500, 700, "until the next"),
        (700, 900, "c"),
    ]
    late = [Cue(cue.start + 40, cue.end + 40, "", cue.text) for cue in cues]
    assert show_alike(cues, late, later_by=Fraction(40, 1000))
    assert not show_alike(cues, late, later_by=Fraction(0))
    assert not show_alike(cues, cues[:-1], later_by=Fraction(0))
