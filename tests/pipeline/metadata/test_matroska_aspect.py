"""Pixel aspects written into Matroska files, as FFmpeg reads them back."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from nst_core.errors import VerificationError
from pipeline.metadata.matroska_aspect import PLACEHOLDER, write_pixel_aspect
from tests.kit.media import decoded_frames, make_clip, stream_packets


def _clip(path: Path, title: str) -> None:
    """A clip with sound whose video stream has a title."""
    plain = path.with_name("plain.mkv")
    make_clip(plain, codec="ffv1", frames=12)
    with av.open(str(plain)) as source, av.open(str(path), "w") as copy:
        streams = {s.index: copy.add_stream_from_template(s, opaque=True) for s in source.streams}
        streams[0].metadata["title"] = title
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                copy.mux(packet)


@pytest.mark.parametrize("title", ["", "Director's cut", "x" * 120])
@pytest.mark.parametrize("aspect", [Fraction(16, 11), Fraction(2), Fraction(322, 321)])
def test_the_aspect_is_read_back_and_nothing_else_has_changed(
    tmp_path: Path, title: str, aspect: Fraction
) -> None:
    path = tmp_path / "clip.mkv"
    _clip(path, f"{title} {PLACEHOLDER}".lstrip())
    size, frames, sound = path.stat().st_size, decoded_frames(path), stream_packets(path, "audio")
    write_pixel_aspect(path, 96, 64, aspect)
    assert path.stat().st_size == size
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        assert video.sample_aspect_ratio == aspect
        assert video.metadata.get("title", "") == title
        assert video.time_base is not None
        container.seek(int(0.3 / video.time_base), stream=video)  # the cues still point to frames
        assert next(container.decode(video)).pts is not None
    assert stream_packets(path, "audio") == sound
    for (a, before), (b, after) in zip(frames, decoded_frames(path), strict=True):
        assert a == b
        assert (before == after).all()


def test_a_file_without_room_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    _clip(path, "no placeholder")
    before = path.read_bytes()
    with pytest.raises(VerificationError, match=r"no video track .* room"):
        write_pixel_aspect(path, 96, 64, Fraction(2))
    assert path.read_bytes() == before
