"""A few frames stand for a film: from all over it, each once, whatever the film is like."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from nst_core.errors import MediaError
from pipeline.films.sampled_frames import sampled_frames


def _film(path: Path, *, frames: int, keyframe_every: int) -> Path:
    """Write a film whose frames get brighter from black to white."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.options = {"g": str(keyframe_every), "sc_threshold": "0"}
        for number in range(frames):
            pixels = np.full((48, 64, 3), 255 * number // (frames - 1), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode(None))
    return path


def _brightness(path: Path, count: int) -> list[float]:
    return [float(np.asarray(image).mean()) for image in sampled_frames(path, count)]


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "avi"])
def test_they_come_from_all_over_the_film(ending: str, tmp_path: Path) -> None:
    film = _film(tmp_path / f"film.{ending}", frames=100, keyframe_every=10)
    found = _brightness(film, 4)
    assert len(found) == 4
    assert found == pytest.approx([0, 64, 128, 191], abs=30)


def test_no_frame_comes_twice(tmp_path: Path) -> None:
    film = _film(tmp_path / "film.mp4", frames=40, keyframe_every=20)
    found = _brightness(film, 8)
    assert len(found) == len(set(found)) == 2


def test_a_film_with_a_single_keyframe_gives_several_too(tmp_path: Path) -> None:
    film = _film(tmp_path / "film.mp4", frames=100, keyframe_every=1000)
    found = _brightness(film, 4)
    assert len(found) == 2  # every sixtieth of its first frames
    assert found[1] - found[0] > 100


def test_a_film_that_breaks_off_gives_what_is_whole(tmp_path: Path) -> None:
    whole = _film(tmp_path / "film.mkv", frames=100, keyframe_every=10).read_bytes()
    film = tmp_path / "broken.mkv"
    film.write_bytes(whole[: len(whole) // 2])
    assert _brightness(film, 4)


def test_what_is_no_film_is_told(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"\0" * 5000)
    with pytest.raises(MediaError, match=r"film\.mp4"):
        list(sampled_frames(film, 3))
