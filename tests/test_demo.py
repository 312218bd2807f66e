from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from jobs.demo import run_demo
from jobs.demo_clip import HEIGHT, RATE, SECONDS, WIDTH, draw_frame
from jobs.specs import PoolSpec
from nst_core.errors import InputError
from tests.media import psnr, stream_packets


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


def test_the_demo_does_not_touch_a_folder_of_other_origin(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("precious")
    with pytest.raises(InputError, match="not empty"):
        run_demo(tmp_path, pool=PoolSpec(workers=0))
    assert (tmp_path / "clip.mp4").read_text() == "precious"
