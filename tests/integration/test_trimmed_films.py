"""Parts of films: their frames and samples, one by one, are those of the whole film.

What was written is decoded from end to end by PyAV alone, and so is its source; nothing that the
program says of itself counts, but for what it must say.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

import pipeline.films.film
from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import MediaError
from pipeline.films.report import VideoReport
from pipeline.films.span import time_of
from pipeline.source.source_video import probe
from tests.kit.command_line import nst
from tests.kit.media import RATE, decoded_frames, make_clip, moving_picture
from tests.kit.trimmed_films import Heard, frames_between, heard

_LIKE = 4.0
"""Mean difference of luma, in levels of 255, of a frame and its copy at a high quality."""


def _cut(source: Path, output: Path, start: str, end: str, **more: Any) -> VideoReport:
    lossless: dict[str, Any] = {} if output.suffix in (".webm", ".gif") else {"crf": 8}
    lossless = {"codec": "ffv1"} if output.suffix == ".mkv" else lossless
    job = StylizeVideo(
        (source,),
        output,
        StyleSpec("identity"),
        more.pop("pool", PoolSpec(workers=0)),
        start=time_of("--start", start),
        end=time_of("--end", end),
        **cast("Any", {"segment_seconds": 0.7, **lossless, **more}),
    )
    (report,) = stylize_videos(job).inputs
    assert report.error is None
    assert report.verified is not None
    assert report.verified.everything
    assert report.span == {"start": float(start), "end": float(end)}
    return report


def _check_frames(source: Path, output: Path, start: str, end: str, begins: Fraction) -> None:
    expected = frames_between(source, Fraction(start), Fraction(end), begins=begins)
    found = frames_between(output, Fraction(0), Fraction(10**6), begins=Fraction(0))
    assert len(found) == len(expected) > 0
    tick = max(Fraction(1, 1000), probe(source).info.time_base)
    for (time, luma), (due, original) in zip(found, expected, strict=True):
        assert abs(time - due) <= tick, (float(time), float(due))
        height, width = original.shape  # a column or row may have been added
        difference = np.abs(luma[:height, :width].astype(int) - original)
        assert difference.mean() < _LIKE, float(due)


@pytest.mark.parametrize(
    ("name", "start", "end", "ending"),
    [
        ("01_h264_bframes_aac.mp4", "1.3", "3.7", ".mp4"),
        ("02_h264_opengop.mp4", "1.5", "4", ".mp4"),
        ("02b_h264_opengop.mkv", "0", "2.2", ".mkv"),
        ("02c_h264_opengop.ts", "2.51", "4.49", ".mkv"),
        ("03b_hevc_opengop.mkv", "2.1", "3.9", ".mkv"),
        ("04_h264_intrarefresh.mp4", "2.1", "3.9", ".mp4"),
        ("05_vfr.mp4", "1.7", "4.4", ".mp4"),
        ("05b_vfr.mkv", "1.7", "4.4", ".mkv"),
        ("06_rot90.mov", "1", "2", ".mov"),
        ("07_hdr10.mp4", "1", "2", ".mkv"),
        ("09_audio_late.mp4", "0.5", "3", ".mp4"),
        ("09b_video_late.mp4", "0.5", "3", ".mp4"),
        ("09c_video_late.mkv", "0.5", "3", ".mkv"),
        ("10_multi.mkv", "1.9", "4.1", ".mkv"),
        ("10b_multi.mp4", "1.9", "4.1", ".mp4"),
        ("11_vp9.webm", "1.9", "3.1", ".webm"),
        ("12_prores.mov", "0.4", "1.3", ".mov"),
        ("12c_mpeg4_bf.avi", "1.1", "2.3", ".mkv"),
        ("12d_mpeg2.mpg", "1.1", "2.3", ".mkv"),
        ("13_anim.gif", "0.5", "1.2", ".gif"),
        ("20_editlist_ss.mp4", "0.9", "3.1", ".mp4"),
        ("20b_ss.mkv", "0.9", "3.1", ".mkv"),
        ("24_frag.mp4", "5.5", "6", ".mp4"),
        ("25_onegop.mp4", "4.1", "5.2", ".mp4"),
        ("26_120fps.mp4", "1.1", "1.4", ".mp4"),
        ("29_tmcd.mov", "0.5", "1.5", ".mov"),
    ],
)
def test_the_frames_of_a_part_are_those_of_the_film(
    name: str, start: str, end: str, ending: str, data: Path, tmp_path: Path
) -> None:
    source, output = data / "hostile" / name, tmp_path / f"part{ending}"
    report = _cut(source, output, start, end)
    begins = Fraction(0) if "late" in name else _first_time(source)
    _check_frames(source, output, start, end, begins)
    assert report.status == "done"
    assert report.frames_in == report.frames_out
    with av.open(str(source)) as film, av.open(str(output)) as part:
        kinds = [stream.type for stream in film.streams if stream.type in ("audio", "subtitle")]
        assert [s.type for s in part.streams if s.type in ("audio", "subtitle")] == kinds


def test_a_part_goes_over_the_place_where_a_clock_is_set_anew(clip: Path, tmp_path: Path) -> None:
    once, joined, output = tmp_path / "once.ts", tmp_path / "joined.ts", tmp_path / "out.mkv"
    with av.open(str(clip)) as original, av.open(str(once), "w") as result:
        streams = [result.add_stream_from_template(s, opaque=True) for s in original.streams]
        for packet in original.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                result.mux(packet)
    joined.write_bytes(2 * once.read_bytes())
    _cut(joined, output, "1.5", "2.5")
    expected = [luma for _, luma in [*decoded_frames(clip), *decoded_frames(clip)][36:60]]
    found = decoded_frames(output)
    for number, ((time, luma), original_luma) in enumerate(zip(found, expected, strict=True)):
        assert abs(time - Fraction(number, RATE)) <= Fraction(1, 1000)
        assert np.abs(luma.astype(int) - original_luma).mean() < _LIKE
    (sound,) = heard(output)
    assert abs(sound.first) <= 48
    assert abs(len(sound.samples) - 48_000) < 2048, "no gap where the clock is set anew"


def _first_time(path: Path) -> Fraction:
    source = probe(path)
    return int(source.packets.shown_pts[0]) * source.info.time_base


_SOUNDS = [
    ("pcm_s16le", "in.mov", "out.mov", 0.0),
    ("flac", "in.mkv", "out.mkv", 0.0),
    ("flac", "in.mkv", "out.mov", 0.0),  # decoded and written as PCM
    ("aac", "in.mp4", "out.mp4", 1e-6),
    ("aac", "in.ts", "out.mp4", 1e-6),
    ("libmp3lame", "in.mp4", "out.mkv", 1e-4),
    ("ac3", "in.ts", "out.mkv", 0.03),  # with noise of the decoder's
    ("libopus", "in.webm", "out.webm", 0.03),
    *(
        pytest.param(*each, marks=pytest.mark.slow)
        for each in (
            ("pcm_s16le", "in.mkv", "out.mkv", 0.0),
            ("pcm_s24le", "in.mov", "out.mkv", 0.0),
            ("flac", "in.mp4", "out.mp4", 0.0),
            ("aac", "in.mp4", "out.mkv", 1e-6),
            ("aac", "in.mkv", "out.mkv", 1e-6),
            ("aac", "in.mov", "out.mov", 1e-6),
            ("libopus", "in.mkv", "out.mp4", 0.03),
        )
    ),
]
"""Codec, source, output, and by how much samples may differ, 1.0 being full scale: decoders that
remember much come near only, after they have begun anew."""


def _make_film(path: Path, codec: str, *, seconds: int = 4) -> None:
    """A film whose sound is another at every moment: a tone that rises, and noise."""
    random = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        is_webm = path.suffix == ".webm"
        video: Any = container.add_stream("libvpx" if is_webm else "libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        fast = {"deadline": "realtime", "cpu-used": "8"} if is_webm else {"preset": "ultrafast"}
        video.codec_context.options = {"g": "30", **fast}
        audio: Any = container.add_stream(codec, rate=48_000)
        audio.layout = "stereo"
        if codec == "aac":
            audio.codec_context.options = {"aac_pns": "0"}  # its noise is another in every decoder
        container.start_encoding()
        for number in range(seconds * RATE):
            picture = av.VideoFrame.from_ndarray(moving_picture(number), "rgb24")
            container.mux(video.encode(picture))
            _add_sound(container, audio, number, random)
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def _add_sound(container: Any, audio: Any, number: int, random: np.random.Generator) -> None:
    size = 48_000 // RATE
    time = np.arange(number * size, (number + 1) * size) / 48_000
    tone = 0.3 * np.sin(2 * np.pi * (200 + 100 * time) * time)
    samples = np.stack((tone, 0.5 * tone + random.normal(0, 0.01, size)))
    stored = audio.codec_context.format
    packed = (samples.T.reshape(1, -1) * 32_000).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, number * size, Fraction(1, 48_000)
    resampler = av.AudioResampler(stored.name, "stereo", 48_000)
    for each in resampler.resample(frame):
        container.mux(audio.encode(each))


@pytest.mark.parametrize(("codec", "name", "output_name", "near"), _SOUNDS)
@pytest.mark.parametrize(
    ("start", "end"), [("1.0107", "2.75"), pytest.param("0", "1.5", marks=pytest.mark.slow)]
)
def test_the_samples_of_a_part_are_those_of_the_film(
    codec: str, name: str, output_name: str, near: float, start: str, end: str, tmp_path: Path
) -> None:
    source, output = tmp_path / name, tmp_path / output_name
    _make_film(source, codec)
    codecs = {".mkv": "h264", ".webm": "vp9"}
    report = _cut(source, output, start, end, codec=codecs.get(output.suffix))
    begins = _first_time(source)
    _check_frames(source, output, start, end, begins)
    (film,), (part,) = heard(source), heard(output)
    # The start is a whole number of the picture's ticks: the frames tell which.
    before = frames_between(source, Fraction(start), Fraction(end), begins=Fraction(begins))
    (first, _), *_ = frames_between(output, Fraction(0), Fraction(end), begins=Fraction(0))
    zero = begins + Fraction(start) + before[0][0] - first
    wanted = round((begins + Fraction(end) - zero) * film.rate)
    has_milliseconds = {source.suffix, output.suffix} & {".mkv", ".webm"}
    _check_samples(film, part, round(zero * film.rate), wanted, near, bool(has_milliseconds))
    assert "cut at its" in report.warnings[-1]
    if output.suffix in (".mkv", ".webm"):  # where FFmpeg skips the end, too
        assert part.first + len(part.samples) <= wanted + film.rate // 1000 + 1


def _check_samples(
    film: Heard, part: Heard, film_zero: int, wanted: int, near: float, has_milliseconds: bool
) -> None:
    """Every sample of the part is that of the film at its time, to the tick of the container."""
    rounded = film.rate // 1000 + 1 if has_milliseconds else 1
    later = max(0, part.first)
    assert later <= rounded
    last = part.first + len(part.samples)
    assert last >= wanted - rounded
    last = min(last, wanted) - rounded
    later += rounded
    found = part.between(later, last)
    full = 1.0 if np.abs(film.samples).max() < 2 else 2.0 ** (15 if "16" in film.codec else 31)
    differences = [
        np.abs(film.between(film_zero + later + lag, film_zero + last + lag) - found).max() / full
        for lag in range(-rounded, rounded + 1)
    ]
    assert min(differences) <= near, (differences, np.argmin(differences) - rounded)


@pytest.mark.parametrize("name", ["10_multi.mkv", "10b_multi.mp4"])
def test_subtitles_and_chapters_are_those_of_the_part(
    name: str, data: Path, tmp_path: Path
) -> None:
    source, output = data / "hostile" / name, tmp_path / f"part{Path(name).suffix}"
    start, end = Fraction("1.25"), Fraction("4.5")
    _cut(source, output, "1.25", "4.5")
    begins = _first_time(source)
    before, after = _texts(source, begins), _texts(output)
    assert len(before) == len(after) > 0
    for cues, found in zip(before, after, strict=True):
        expected = [
            (max(shown, start) - start, min(hidden, end) - start, text)
            for shown, hidden, text in cues
            if shown < end and hidden > start
        ]
        assert len(found) == len(expected) > 0
        for (shown, hidden, text), (due, until, words) in zip(found, expected, strict=True):
            assert text == words
            assert abs(shown - due) <= Fraction(1, 500)
            assert abs(hidden - until) <= Fraction(1, 500)
    expected_chapters = [
        (max(opens, start) - start, min(closes, end) - start, title)
        for opens, closes, title in _chapters(source, begins)
        if opens < end and closes > start
    ]
    found_chapters = _chapters(output)
    assert len(found_chapters) == len(expected_chapters) > 0
    for chapter, due_chapter in zip(found_chapters, expected_chapters, strict=True):
        assert chapter[2] == due_chapter[2]
        assert abs(chapter[0] - due_chapter[0]) <= Fraction(1, 500)
        assert abs(chapter[1] - due_chapter[1]) <= Fraction(1, 500)


def _texts(
    path: Path, begins: Fraction = Fraction(0)
) -> list[list[tuple[Fraction, Fraction, bytes]]]:
    with av.open(str(path)) as container:
        texts: dict[int, list[tuple[Fraction, Fraction, bytes]]] = {
            stream.index: [] for stream in container.streams.subtitles
        }
        for packet in container.demux(*container.streams.subtitles):
            if (
                packet.size > 2 and packet.pts is not None and packet.time_base
            ):  # mov_text fills pauses with two zeros
                times = [packet.pts, packet.pts + (packet.duration or 0)]
                shown, hidden = (time * packet.time_base - begins for time in times)
                texts[packet.stream_index].append((shown, hidden, bytes(packet)))
        return list(texts.values())


def _chapters(path: Path, begins: Fraction = Fraction(0)) -> list[tuple[Fraction, Fraction, str]]:
    with av.open(str(path)) as container:
        return [
            (
                chapter["start"] * Fraction(chapter["time_base"] or 0) - begins,
                chapter["end"] * Fraction(chapter["time_base"] or 0) - begins,
                chapter["metadata"]["title"],
            )
            for chapter in container.chapters()
        ]


def test_a_timecode_is_that_of_the_start(data: Path, tmp_path: Path) -> None:
    source, output = data / "hostile" / "29_tmcd.mov", tmp_path / "part.mov"
    _cut(source, output, "0.5", "1.5")
    with av.open(str(source)) as film, av.open(str(output)) as part:
        rate = film.streams.video[0].average_rate
        before, after = (each.streams.video[0].metadata["timecode"] for each in (film, part))
    assert rate is not None
    assert _frame_number(after, rate) - _frame_number(before, rate) == rate / 2


def _frame_number(timecode: str, rate: Fraction) -> int:
    hours, minutes, seconds, frames = map(int, timecode.split(":"))
    return (3600 * hours + 60 * minutes + seconds) * round(rate) + frames


@pytest.mark.slow
@pytest.mark.parametrize("name", ["02b_h264_opengop.mkv", "01_h264_bframes_aac.mp4"])
def test_one_worker_and_three_write_the_same_bytes(
    name: str, data: Path, tmp_path: Path, ray_here: None
) -> None:
    written = []
    for workers in (1, 3):
        output = tmp_path / f"{workers}{Path(name).suffix}"
        pool = PoolSpec(workers=workers, cpus_per_worker=0.5)
        report = _cut(data / "hostile" / name, output, "1.1", "4.3", pool=pool)
        assert report.segments["total"] > 3
        written.append(output.read_bytes())
    assert written[0] == written[1]


def test_segments_of_a_part_are_used_again_by_the_same_part_only(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise MediaError("stopped")

    def done(**times: Fraction) -> VideoReport:
        job = StylizeVideo(
            *((clip,), tmp_path / "out.mp4", StyleSpec("identity"), PoolSpec(workers=0)),
            segment_seconds=0.5,
            **cast("Any", times),
        )
        return stylize_videos(job).inputs[0]

    part = {"start": Fraction(1, 4), "duration": Fraction(3, 2)}
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.films.film, "reassemble", stopped)
        assert done(**part).error == "stopped"
        again = done(start=Fraction(1, 4), end=Fraction(7, 4))
        assert again.segments["reused"] == again.segments["total"] > 1
        for other in ({"start": Fraction(1, 4)}, {"duration": Fraction(7, 4)}, {}):
            assert done(**other).segments["reused"] == 0
            assert done(**part).segments["reused"] == 0
    whole = done(**part)
    assert (whole.error, whole.segments["reused"]) == (None, whole.segments["total"])
    assert done(**part).reused
    assert "made with another --start and --end;" in str(done().error)


def test_how_sound_is_cut_is_told(clip: Path, tmp_path: Path) -> None:
    copied = _cut(clip, tmp_path / "copied.mp4", "0.5", "1.5")
    (line,) = copied.warnings
    assert line.startswith("stream 1 (audio, aac): cut at its packets; players skip ")
    assert line.endswith(" ms after the end")


def test_several_films_have_each_its_part_and_failures_are_one_line(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(Path("short.mp4"), frames=12)
    how = ("-o", "out", "--style", "identity", "--workers", "0", "-q")
    ended = nst("stylize", "video", clip, "short.mp4", *how, "--start", "0:01", "--duration", ".5")
    assert ended.code == 1
    (error,) = [line for line in ended.error.splitlines() if line.startswith("error: ")]
    assert error == "error: short.mp4: --start 1: it ends at 0.50 s; name an earlier time"
    assert len(decoded_frames(tmp_path / "out" / "clip.mp4")) == 12
