"""Streams that begin after FFmpeg's probing are found, or refused before any work."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from nst_core.errors import MediaError
from pipeline.assembly.copied_streams import plan_copies
from pipeline.source.late_streams import has_late_pids
from pipeline.source.source_video import probe
from tests.kit.media import make_clip
from tests.kit.pieces import reassembled

_SECONDS = 12
_RATE = 48_000


def _recording(path: Path, *, first_pid: int = 0x100) -> None:
    """Two seconds of picture and sound of a transport stream."""
    clip = path.with_suffix(".mp4")
    make_clip(clip, options={"g": "12", "bf": "0"})
    options = {"mpegts_start_pid": str(first_pid)}
    with av.open(str(clip)) as source, av.open(str(path), "w", container_options=options) as result:
        copies = {s.index: result.add_stream_from_template(s, opaque=True) for s in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                result.mux(packet)


def _with_late_sound(path: Path, codec: str) -> None:
    """A picture of 14 s; sound begins when FFmpeg has stopped looking."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound: Any = container.add_stream(codec, rate=_RATE, layout="stereo")
        for number in range(25 * (_SECONDS + 2)):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        size = sound.codec_context.frame_size
        for start in range(_SECONDS * _RATE, (_SECONDS + 1) * _RATE, size):
            silence = av.AudioFrame(sound.codec_context.format.name, "stereo", size)
            for plane in silence.planes:
                plane.update(bytes(plane.buffer_size))
            silence.sample_rate, silence.pts = _RATE, start
            silence.time_base = Fraction(1, _RATE)
            container.mux(sound.encode(silence))
        container.mux(sound.encode(None))


@pytest.mark.parametrize(("name", "codec"), [("a.ts", "ac3"), ("a.ts", "aac"), ("a.vob", "mp2")])
def test_sound_that_begins_late_is_copied(tmp_path: Path, name: str, codec: str) -> None:
    _with_late_sound(tmp_path / name, codec)
    with av.open(str(tmp_path / name)) as container:
        assert not container.streams.audio[0].codec_context.sample_rate, "FFmpeg has seen it"
    source, _, verified = reassembled(tmp_path / name, tmp_path / "out.mkv")
    assert verified.everything
    assert plan_copies(source, tmp_path / "out.mkv").stream_indices == (1,)


@pytest.mark.parametrize("order", ["ab", "aba"])
def test_recordings_with_other_streams_are_refused_before_any_work(
    tmp_path: Path, order: str
) -> None:
    """At the end of a file FFmpeg looks as well, not in its middle."""
    _recording(tmp_path / "a.ts")
    _recording(tmp_path / "b.ts", first_pid=0x200)
    parts = [(tmp_path / f"{name}.ts").read_bytes() for name in order]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join([parts[0] * 4, parts[1], *(part * 4 for part in parts[2:])]))
    source = probe(joined)
    with pytest.raises(MediaError, match=r"recordings were joined.*--allow-left-out"):
        plan_copies(source, tmp_path / "out.mkv")
    copies = plan_copies(source, tmp_path / "out.mkv", allow_left_out=True)
    assert any("left out" in warning for warning in copies.warnings)


def test_pids_that_carry_sound_only_in_the_middle_are_noticed(tmp_path: Path) -> None:
    """PyAV may pass over packets of streams that it does not know."""
    _recording(tmp_path / "a.ts")
    _recording(tmp_path / "b.ts", first_pid=0x200)
    a, b = ((tmp_path / name).read_bytes() for name in ("a.ts", "b.ts"))
    (tmp_path / "joined.ts").write_bytes(a + b + a)
    with av.open(str(tmp_path / "a.ts")) as container:  # knows the streams of the first part only
        assert has_late_pids(tmp_path / "joined.ts", container)
        assert not has_late_pids(tmp_path / "a.ts", container)


def test_sound_that_a_film_of_flash_brings_late_is_copied(tmp_path: Path) -> None:
    """FLV tells no streams beforehand: at first there is no sound at all."""
    path = tmp_path / "late.flv"
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("flv", rate=5)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound: Any = container.add_stream("adpcm_swf", rate=22_050, layout="mono")
        for number in range(500):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        size = sound.codec_context.frame_size
        for start in range(95 * 22_050, 96 * 22_050, size):
            silence = av.AudioFrame("s16", "mono", size)
            silence.planes[0].update(bytes(silence.planes[0].buffer_size))
            silence.sample_rate, silence.pts = 22_050, start
            silence.time_base = Fraction(1, 22_050)
            container.mux(sound.encode(silence))
    with av.open(str(path)) as container:
        assert not container.streams.audio, "FFmpeg has seen it"
    source, _, verified = reassembled(path, tmp_path / "out.mkv")
    assert verified.everything
    assert len(plan_copies(source, tmp_path / "out.mkv").ways) == 1


def test_sound_that_is_announced_and_never_comes_is_no_reason_to_refuse(tmp_path: Path) -> None:
    path = tmp_path / "announced.ts"
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        container.add_stream("ac3", rate=_RATE, layout="stereo")
        for number in range(20):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    (warning,) = plan_copies(probe(path), tmp_path / "out.mkv").warnings
    assert "has nothing in it" in warning
