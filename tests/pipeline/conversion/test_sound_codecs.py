"""Sound of every kind that FFmpeg writes, into every container: copied, or converted and said.

No cell of the table may end with less sound than the source has, as a reader of its own finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from nst_core.errors import MediaError
from pipeline.assembly.copied_streams import plan_copies
from pipeline.conversion.sound import flac_frame
from pipeline.source.source_video import probe
from tests.kit.media import make_clip, stream_packets
from tests.kit.pieces import reassembled
from tests.kit.sound_reading import read_sound

_TOLERANCE = Fraction(2, 1000)
"""Seconds: two ticks of Matroska."""
_VIDEO = {"asf": "wmv2", "flv": "flv", "mpegts": "mpeg2video", "vob": "mpeg2video"}
_MPEG_7_1_C = ((128 << 16) + 8).to_bytes(4)
"""A layout of Apple's in which the loudspeakers have another order than FFmpeg's."""
_BITS = {"pcm_s16le": 16, "pcm_s24le": 24, "pcm_s32le": 32, "pcm_f32le": 32, "pcm_f64le": 64}


@dataclass(frozen=True)
class SoundKind:
    """One codec in a container that holds it, and what becomes of it."""

    encoder: str
    container: str
    """FFmpeg's name of the muxer of the source."""
    mkv: str = "copied"
    """``copied``, or the codec that it is converted to."""
    mov: str = "copied"
    mp4: str = "copied"
    rate: int = 48_000
    layout: str = "stereo"
    bit_rate: int = 0
    options: tuple[tuple[str, str], ...] = ()
    """Options of the source's muxer."""


_S16, _S24, _S32, _F32, _F64 = "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"
_FLAC = "flac"
"""FLAC of 24 bits: readers of some years ago know no PCM of more than 16 bits in mp4."""
_ROUNDED = 2.0**-24
"""Half of a step of 24 bits, full scale being 1."""

SOUND_KINDS = (
    SoundKind("aac", "mpegts"),
    SoundKind("aac", "mpegts", mov=_F32, mp4=_FLAC, options=(("mpegts_flags", "latm"),)),
    SoundKind("ac3", "mpegts"),
    SoundKind("eac3", "mpegts"),
    SoundKind("libmp3lame", "avi"),
    SoundKind("mp2", "vob"),
    SoundKind("libopus", "nut", mov=_F32),
    SoundKind("libopus", "nut", mov=_F32, layout="7.1"),
    SoundKind("vorbis", "nut", mov=_F32),
    SoundKind("flac", "matroska", mov=_S16),
    SoundKind("alac", "mov"),
    SoundKind("wavpack", "matroska", mov=_S16, mp4=_S16),
    SoundKind("wavpack", "matroska", mov=_S16, mp4=_S16, layout="7.1"),
    SoundKind("tta", "matroska", mov=_S16, mp4=_S16),
    SoundKind("wmav1", "asf", mov=_F32, mp4=_FLAC, bit_rate=128_000),
    SoundKind("wmav2", "asf", mov=_F32, mp4=_FLAC, bit_rate=128_000),
    SoundKind("adpcm_ima_wav", "avi", mov=_S16, mp4=_S16),
    SoundKind("adpcm_ima_qt", "mov", mkv=_S16, mp4=_S16),
    SoundKind("adpcm_ms", "avi", mov=_S16, mp4=_S16),
    SoundKind("adpcm_swf", "flv", mov=_S16, mp4=_S16, rate=22_050),
    SoundKind("adpcm_yamaha", "nut", mov=_S16, mp4=_S16),
    SoundKind("nellymoser", "flv", mkv=_F32, mp4=_FLAC, rate=22_050, layout="mono"),
    SoundKind("g722", "nut", mov=_S16, mp4=_S16, rate=16_000, layout="mono"),
    SoundKind("g726", "asf", "copied", _S16, _S16, 8_000, "mono"),
    SoundKind("libopencore_amrnb", "mov", mp4=_FLAC, rate=8_000, layout="mono"),
    SoundKind("real_144", "matroska", mov=_S16, mp4=_S16, rate=8_000, layout="mono"),
    SoundKind("dfpwm", "nut", mov=_S16, mp4=_S16),
    SoundKind("pcm_alaw", "avi", mp4=_S16),
    SoundKind("pcm_mulaw", "avi", mp4=_S16),
    SoundKind("pcm_bluray", "mpegts", _S16, _S16, _S16, options=(("mpegts_m2ts_mode", "1"),)),
    SoundKind("pcm_dvd", "vob", _S16, _S16, _S16),
    SoundKind("pcm_u8", "avi", mp4=_S16),
    SoundKind("pcm_s8", "mov", mkv=_S16, mp4=_S16),
    SoundKind("pcm_s16be", "mov"),
    SoundKind("pcm_s16le", "avi"),
    SoundKind("pcm_u16be", "nut", _S16, _S16, _S16),
    SoundKind("pcm_s24le", "mov"),
    SoundKind("pcm_s24le_planar", "nut", _S32, _S32, _FLAC),
    SoundKind("pcm_s32be", "mov"),
    SoundKind("pcm_u32le", "nut", _S32, _S32, _S32),  # more bits than FLAC has
    SoundKind("pcm_f32be", "mov", mkv=_F32),
    SoundKind("pcm_f64be", "mov", mkv=_F64),
)


def _write(path: Path, kind: SoundKind) -> None:
    """Half a second of a black picture and of a tone for each channel."""
    with av.open(
        str(path), "w", format=kind.container, container_options=dict(kind.options)
    ) as file:
        video: Any = file.add_stream(_VIDEO.get(kind.container, "mpeg4"), rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        experimental = {"strict": "-2"}
        sound: Any = file.add_stream(
            kind.encoder, rate=kind.rate, options=experimental, layout=kind.layout
        )
        sound.bit_rate = kind.bit_rate
        for number in range(13):
            picture = av.VideoFrame(64, 48, "yuv420p")
            picture.pts = number
            file.mux(video.encode(picture))
        file.mux(video.encode(None))
        size = sound.codec_context.frame_size or 1000
        for start in range(0, kind.rate // 2, size):
            file.mux(sound.encode(_tone(start, size, kind)))
        file.mux(sound.encode(None))


def _tone(start: int, size: int, kind: SoundKind) -> av.AudioFrame:
    time = np.arange(start, start + size) / kind.rate
    channels = av.AudioLayout(kind.layout).nb_channels
    waves = [0.3 * np.sin(2 * np.pi * (330 + 110 * number) * time) for number in range(channels)]
    frame = av.AudioFrame.from_ndarray(
        np.stack(waves, axis=1).astype(np.float32).reshape(1, -1), format="flt", layout=kind.layout
    )
    frame.sample_rate, frame.pts, frame.time_base = kind.rate, start, Fraction(1, kind.rate)
    return frame


@pytest.mark.parametrize(
    "kind",
    SOUND_KINDS,
    ids=lambda kind: "-".join([kind.encoder, kind.layout, *map(str, dict(kind.options))]),
)
@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4"])
def test_sound_of_every_kind_arrives(kind: SoundKind, suffix: str, tmp_path: Path) -> None:
    path, output = tmp_path / f"film.{kind.container}", tmp_path / f"out{suffix}"
    _write(path, kind)
    source, report, verified = reassembled(path, output)
    assert verified.everything, verified
    assert report.warnings == ()
    (before,), (after,) = read_sound(path), read_sound(output)
    assert before.samples.size
    expected = getattr(kind, suffix[1:])
    told = [line for line in plan_copies(source, output).warnings if "is converted" in line]
    if expected == "copied":
        assert before.payload == after.payload
        assert told == []
        first, second = before.begins, after.begins
    else:
        assert after.codec == expected
        assert len(told) == 1
        if expected == _FLAC:
            is_exact = "without any loss" in told[0]
            assert is_exact == (kind.encoder == "pcm_s24le_planar")
            assert is_exact or "rounded" in told[0]
            most = 0.0 if is_exact else _ROUNDED
            np.testing.assert_allclose(after.samples, before.samples, rtol=0, atol=most)
        else:
            assert np.array_equal(before.samples, after.samples)
            assert f"PCM of {_BITS[expected]} bits" in told[0]
        first, second = before.is_heard, after.is_heard
    assert first is not None
    assert second is not None
    assert abs(first - second) <= _TOLERANCE


@pytest.mark.parametrize("encoder", ["aac", "ac3", "pcm_s16le", "alac"])
def test_sound_that_webm_does_not_hold_is_refused_before_any_work(
    encoder: str, tmp_path: Path
) -> None:
    path = tmp_path / "film.mov"
    _write(path, SoundKind(encoder, "mov"))
    with pytest.raises(MediaError, match=r"does not fit into \.webm.*--allow-left-out"):
        plan_copies(probe(path), tmp_path / "out.webm")


def test_a_track_that_would_be_read_as_another_codec_fails_its_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "film.avi"
    _write(path, SoundKind("adpcm_ms", "avi"))
    source = probe(path)
    assert plan_copies(source, tmp_path / "out.mkv").ways == {1: "acm"}
    monkeypatch.setattr("pipeline.assembly.rehearsal.name_acm_tracks", lambda file: None)
    assert plan_copies(source, tmp_path / "out.mkv").ways == {1: "pcm_s16le"}


@pytest.mark.parametrize("suffix", [".mov", ".mp4"])
@pytest.mark.parametrize("tried_bytes", [1 << 20, 1000])
def test_a_pause_in_pcm_is_filled_where_the_container_knows_none(
    suffix: str, tried_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However late it comes: of long films only the start is tried."""
    monkeypatch.setattr("pipeline.assembly.rehearsal._MOST_BYTES", tried_bytes)
    path, output = tmp_path / "pause.mkv", tmp_path / f"out{suffix}"
    kind = SoundKind("pcm_s16le", "matroska")
    make_clip(path, sound=False)
    with av.open(str(tmp_path / "silent.mkv"), "w") as file, av.open(str(path)) as clip:
        video = file.add_stream_from_template(clip.streams.video[0], opaque=True)
        sound: Any = file.add_stream("pcm_s16le", rate=kind.rate, layout="stereo")
        for packet in clip.demux():
            if packet.size:
                packet.stream = video
                file.mux(packet)
        for start in (0, kind.rate):
            file.mux(sound.encode(_tone(start, 24_000, kind)))
        file.mux(sound.encode(None))
    source, _, verified = reassembled(tmp_path / "silent.mkv", output)
    assert verified.everything
    assert "they become silence" in plan_copies(source, output).warnings[0]
    (before,), (after,) = read_sound(tmp_path / "silent.mkv"), read_sound(output)
    assert after.samples.shape == (2, 72_000)
    assert np.array_equal(before.samples[:, :24_000], after.samples[:, :24_000])
    assert not after.samples[:, 24_000:48_000].any()
    assert np.array_equal(before.samples[:, 24_000:], after.samples[:, 48_000:])


@pytest.mark.parametrize("tried_bytes", [1 << 20, 1000])
def test_sound_that_changes_its_channels_is_copied_or_refused_before_any_work(
    tried_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.assembly.rehearsal._MOST_BYTES", tried_bytes)
    joined, latm = tmp_path / "joined.ts", (("mpegts_flags", "latm"),)
    parts = []
    for layout in ("stereo", "mono"):
        _write(tmp_path / "part.ts", SoundKind("aac", "mpegts", layout=layout, options=latm))
        parts.append((tmp_path / "part.ts").read_bytes())
    joined.write_bytes(b"".join(parts))
    assert reassembled(joined, tmp_path / "out.mkv")[2].everything
    with pytest.raises(MediaError, match=r"aac_latm audio does not fit into \.mov"):
        plan_copies(probe(joined), tmp_path / "out.mov")


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4"])
def test_channels_in_an_order_of_the_file_s_own_are_copied(suffix: str, tmp_path: Path) -> None:
    """PyAV ends the process at the second look at such a layout, as mov has it for 7.1."""
    path, output = tmp_path / "film.mov", tmp_path / f"out{suffix}"
    _write(path, SoundKind("pcm_s24le", "mov", layout="7.1"))
    data = path.read_bytes()
    place = data.index(b"chan", data.index(b"moov")) + 8
    path.write_bytes(data[:place] + _MPEG_7_1_C + bytes(4) + data[place + 8 :])
    source, _, verified = reassembled(path, output)
    assert verified.everything, verified
    payloads = [
        b"".join(payload for _, payload in stream_packets(each, "audio")) for each in (path, output)
    ]
    assert payloads[0] == payloads[1] != b""
    told = [line for line in plan_copies(source, output).warnings if "players take it for" in line]
    assert len(told) == (suffix == ".mkv")


@pytest.mark.parametrize(
    ("layout", "told"), [("5.1", ""), ("5.1(side)", ""), ("quad", "players take it for 4.0")]
)
def test_places_of_loudspeakers_that_matroska_does_not_tell_are_said(
    layout: str, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "film.mov"
    _write(path, SoundKind("pcm_s16le", "mov", layout=layout))
    lines = plan_copies(probe(path), tmp_path / "out.mkv").warnings
    assert [told in line for line in lines] == [True] * bool(told)


def test_floats_become_24_bits_by_rounding_and_end_at_full_scale() -> None:
    floats = np.array([[0.0, 0.4 / (1 << 23), 0.6 / (1 << 23), -1.0, 1.5, -2.0]], np.float32)
    frame = av.AudioFrame.from_ndarray(floats, format="flt", layout="mono")
    frame.sample_rate, frame.time_base = 8000, Fraction(1, 8000)
    most = 1 << 23
    expected = np.array([[0, 0, 1, -most, most - 1, -most]]) << 8
    assert np.array_equal(flac_frame(frame).to_ndarray(), expected)
    whole = av.AudioFrame.from_ndarray(
        np.array([[256, 257]], np.int32), format="s32", layout="mono"
    )
    with pytest.raises(MediaError, match="more than 24 bits"):
        flac_frame(whole)
