from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from jobs.demo.clip import HEIGHT, RATE, SECONDS, WIDTH, draw_frame
from jobs.demo.demo import run_demo
from jobs.specs.applying import PoolSpec
from nst_core.errors import InputError
from tests.kit.media import psnr, stream_packets


@pytest.mark.slow
def test_the_demo_leaves_a_playable_clip_and_a_sheet(tmp_path: Path) -> None:
    report = run_demo(tmp_path / "demo", pool=PoolSpec(workers=0))
    with av.open(report.stylized_clip) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height, video.frames) == (WIDTH, HEIGHT, RATE * SECONDS)
        frame = next(container.decode(video)).to_ndarray(format="rgb24")
        sound = [f.to_ndarray() for f in container.decode(audio)]
    assert psnr(frame, np.asarray(draw_frame(0))) < 25  # it has been stylized
    assert np.abs(np.concatenate(sound, axis=1)).max() > 0.1  # it can be heard
    original = stream_packets(Path(report.clip), "audio")
    assert stream_packets(Path(report.stylized_clip), "audio") == original
    with Image.open(report.before_after) as page:
        assert page.size[0] > 2 * 400
    run_demo(tmp_path / "demo", pool=PoolSpec(workers=0))  # a second time is no error


def test_a_moment_of_the_clip_is_always_the_same_picture() -> None:
    picture = draw_frame(2.5)
    assert (picture.size, picture.mode) == ((WIDTH, HEIGHT), "RGB")
    draw_frame(0.5)
    assert draw_frame(2.5).tobytes() == picture.tobytes()


def test_the_clip_moves_smoothly() -> None:
    frames = [_gray(number / RATE) for number in range(0, RATE * SECONDS + 1, 8)]
    following = [_gray((number + 1) / RATE) for number in range(0, RATE * SECONDS + 1, 8)]
    changes = [np.abs(a - b).mean() for a, b in zip(frames, following, strict=True)]
    assert min(changes) > 0.3  # something moves
    assert max(changes) < 2.5  # of 255: nothing jumps or flickers
    assert max(changes) < 2 * min(changes)  # and nothing starts or stops
    assert np.abs(frames[0] - frames[-1]).mean() > 4 * max(changes)  # it leads somewhere


@pytest.mark.parametrize("seconds", [0.0, 2.5, 60.0, 3600.0])
def test_every_part_of_the_picture_has_something_to_paint(seconds: float) -> None:
    # Generators leave flat areas empty. The flattest tile, sky around the sun, has about 7 of 255.
    tiles = _gray(seconds).reshape(HEIGHT // 40, 40, WIDTH // 40, 40)
    contrast = tiles.std(axis=(1, 3))
    assert contrast.min() > 4
    assert np.median(contrast) > 12


def _gray(seconds: float) -> NDArray[np.float32]:
    return np.asarray(draw_frame(seconds).convert("L"), np.float32)


def test_the_demo_does_not_touch_a_folder_of_other_origin(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("precious")
    with pytest.raises(InputError, match="not empty"):
        run_demo(tmp_path, pool=PoolSpec(workers=0))
    assert (tmp_path / "clip.mp4").read_text() == "precious"
