"""Tags of a whole file: kept, or told."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from tests.kit.media import make_clip

_USUAL = {"title": "Dawn", "artist": "Anna", "comment": "on the lake", "date": "2024"}
_MAKERS = {"com.apple.quicktime.model": "iPhone 13", "com.android.version": "14", "my_key": "ü"}


def _clip(path: Path, tags: dict[str, str], *, cover: bool = False) -> Path:
    plain = path.with_name("plain.mp4")
    make_clip(plain, frames=12, sound=False)
    options = {} if path.suffix == ".mkv" else {"movflags": "use_metadata_tags"}
    with (
        av.open(str(plain)) as source,
        av.open(str(path), "w", container_options=options) as container,
    ):
        stream = container.add_stream_from_template(source.streams.video[0], opaque=True)
        if cover:
            file = io.BytesIO()
            Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(file, "JPEG")
            container.add_attachment("cover.jpg", "image/jpeg", file.getvalue())
        container.metadata.update(tags)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    return path


def _tags_and_words(path: Path, output: Path) -> tuple[dict[str, str], list[str]]:
    job = StylizeVideo((path,), output, StyleSpec("identity"), PoolSpec(workers=0))
    (report,) = stylize_videos(job).inputs
    assert report.status == "done", report.error
    with av.open(str(output)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    return tags, [line for line in report.warnings if "tags" in line]


@pytest.mark.parametrize("source", [".mov", ".mp4", ".mkv"])
@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv", ".webm"])
def test_keys_of_makers_are_kept(tmp_path: Path, source: str, suffix: str) -> None:
    path = _clip(tmp_path / f"in{source}", _USUAL | _MAKERS)
    tags, words = _tags_and_words(path, tmp_path / f"out{suffix}")
    assert words == []
    assert tags.items() >= (_USUAL | _MAKERS).items()


def test_usual_tags_stay_where_players_of_mp4_look(tmp_path: Path) -> None:
    path = _clip(tmp_path / "in.mkv", _USUAL)
    _tags_and_words(path, tmp_path / "out.mp4")
    assert b"\xa9nam" in (tmp_path / "out.mp4").read_bytes()


def test_beside_a_cover_keys_of_makers_are_told(tmp_path: Path) -> None:
    path = _clip(tmp_path / "in.mkv", _USUAL | _MAKERS, cover=True)
    tags, (words,) = _tags_and_words(path, tmp_path / "out.mp4")
    assert tags.items() >= _USUAL.items()
    assert all(key in words.lower() for key in _MAKERS)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(container.streams.video) == 2


def test_a_gif_without_tags_says_so(tmp_path: Path) -> None:
    path = _clip(tmp_path / "in.mkv", {f"key{number}": "value" for number in range(10)})
    _, (words,) = _tags_and_words(path, tmp_path / "out.gif")
    assert "and 2 more left out" in words
