"""Encrypted films are called so, in one line, whatever their container; others never."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import pytest

from nst_core.errors import MediaError
from pipeline.source.encryption import encryption
from pipeline.source.source_video import probe
from tests.kit.media import make_clip

_KEY = "76a6c65c5ea762046bd749a2e632ccbb"
_TITLE = "x" * 60
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}


def _remux(clip: Path, path: Path, *, title: str = "", **options: str) -> None:
    with av.open(str(clip)) as source, av.open(str(path), "w", container_options=options) as copy:
        streams = {s.index: copy.add_stream_from_template(s, opaque=True) for s in source.streams}
        if title:
            streams[0].metadata["title"] = title
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                copy.mux(packet)


def _common_encryption(clip: Path, folder: Path, **options: str) -> Path:
    scheme = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": _KEY, "encryption_kid": _KEY}
    _remux(clip, folder / "film.mp4", **scheme, **options)
    return folder / "film.mp4"


def _fragmented(clip: Path, folder: Path) -> Path:
    return _common_encryption(clip, folder, **_FRAGMENTED)


def _matroska(clip: Path, folder: Path) -> Path:
    """ContentEncodings of one ContentEncoding with a ContentEncryption, where a title was."""
    path = folder / "film.mkv"
    _remux(clip, path, title=_TITLE, fflags="+bitexact")
    data = path.read_bytes()
    name = b"\x53\x6e" + bytes([0x80 | len(_TITLE)]) + _TITLE.encode()
    assert name in data
    encodings = bytes.fromhex("6d8089624086503583 47e181 05".replace(" ", ""))
    void = b"\xec" + bytes([0x80 | (len(name) - len(encodings) - 2)])
    path.write_bytes(data.replace(name, (encodings + void).ljust(len(name), b"\0")))
    return path


def _asf(clip: Path, folder: Path) -> Path:
    """An encryption object among those of the header."""
    path = folder / "film.asf"
    make_clip(path, codec="mpeg4", sound=False)
    data = bytearray(path.read_bytes())
    added = (
        bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e") + (40).to_bytes(8, "little") + bytes(16)
    )
    for place, length, more in ((16, 8, len(added)), (24, 4, 1)):
        number = int.from_bytes(data[place : place + length], "little") + more
        data[place : place + length] = number.to_bytes(length, "little")
    data[30:30] = added
    path.write_bytes(data)
    return path


def _transport_stream(clip: Path, folder: Path) -> Path:
    path = folder / "film.ts"
    _remux(clip, path)
    data = bytearray(path.read_bytes())
    for place in range(0, len(data), 188):
        if int.from_bytes(data[place + 1 : place + 3]) & 0x1FFF >= 0x100:
            data[place + 3] |= 0x80
    path.write_bytes(data)
    return path


def _program_stream(clip: Path, folder: Path) -> Path:
    path = folder / "film.vob"
    make_clip(path, codec="mpeg2video", sound=False)
    data = bytearray(path.read_bytes())
    for place in range(0, len(data) - 2047, 2048):
        if data[place + 17] == 0xE0:
            data[place + 20] |= 0x10
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "make",
    [_common_encryption, _fragmented, _matroska, _asf, _transport_stream, _program_stream],
)
def test_an_encrypted_film_is_refused_as_encrypted(
    clip: Path, tmp_path: Path, make: Callable[[Path, Path], Path]
) -> None:
    with pytest.raises(MediaError, match=r"the film is encrypted \(.+\); decrypt it first$"):
        probe(make(clip, tmp_path))


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts", "a.asf", "a.vob", "a.avi"])
def test_a_film_that_is_not_encrypted_is_not_called_so(tmp_path: Path, name: str) -> None:
    codec = "mpeg2video" if name == "a.vob" else "mpeg4"
    make_clip(tmp_path / name, codec=codec, sound=False)
    assert encryption(tmp_path / name) is None
