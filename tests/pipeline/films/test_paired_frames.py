"""Two videos side by side: frame for frame, of one size, in true colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from nst_core.errors import MediaError
from pipeline.films.paired_frames import open_pair
from tests.kit.media import HEIGHT, RATE, WIDTH, decoded_frames, make_clip, moving_picture, psnr


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    make_clip(path, frames=12, codec="ffv1", sound=False, pixel_format="yuv444p")
    return path


def test_frames_come_in_the_order_of_showing_and_in_their_colours(film: Path, clip: Path) -> None:
    # The clip has B-frames: its packets lie in another order.
    pair = open_pair(film, clip)
    assert (pair.source_frames, pair.output_frames) == (12, len(decoded_frames(clip)))
    frames = list(pair.frames())
    assert len(frames) == 12
    for number, frame in enumerate(frames):
        assert psnr(frame.source, moving_picture(number)) > 45  # 8-bit YUV and back
        likeness = [psnr(frame.output, moving_picture(other)) for other in range(13)]
        assert int(np.argmax(likeness)) == number
        assert likeness[number] > 24  # H.264 at 4:2:0


def test_a_smaller_output_gets_its_source_at_that_size(film: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.mkv"
    make_clip(small, frames=3, codec="ffv1", sound=False, width=48, height=32)
    for frame in open_pair(film, small).frames():
        assert frame.source.shape == frame.output.shape == (32, 48, 3)
        assert repr(frame) == "FramePair(48x32)"


def test_the_column_that_an_encoder_adds_to_an_odd_width_is_cut(tmp_path: Path) -> None:
    odd, even = tmp_path / "odd.mkv", tmp_path / "even.mkv"
    make_clip(odd, frames=2, codec="ffv1", sound=False, width=95, height=63, pixel_format="yuv444p")
    make_clip(even, frames=2, codec="ffv1", sound=False, pixel_format="yuv444p")
    for number, frame in enumerate(open_pair(odd, even).frames()):
        assert frame.source.shape == frame.output.shape == (HEIGHT - 1, WIDTH - 1, 3)
        assert psnr(frame.source, moving_picture(number, 95, 63)) > 45  # nothing is stretched
        assert psnr(frame.output, moving_picture(number)[:-1, :-1]) > 45


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("matrix", "tag"), [(Colorspace.ITU709, 1), (Colorspace.ITU601, 6)])
def test_colours_are_read_as_each_file_is_tagged(
    matrix: Colorspace, tag: int, full_range: bool, film: Path, tmp_path: Path
) -> None:
    tagged = tmp_path / "tagged.mkv"
    color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
    with av.open(str(tagged), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p"
        stream.codec_context.color_range = int(color_range)
        stream.codec_context.colorspace = tag
        frame = av.VideoFrame.from_ndarray(moving_picture(0), "rgb24").reformat(
            format="yuv444p", dst_colorspace=matrix, dst_color_range=color_range
        )
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (pair,) = open_pair(film, tagged).frames()
    assert psnr(pair.output, moving_picture(0)) > 40


def test_frames_that_the_decoder_holds_back_come_too(clip: Path) -> None:
    # H.264 with B-frames gives its last frames only when there is no more to come.
    assert len(list(open_pair(clip, clip).frames())) == 48


def test_files_that_are_no_videos_are_refused(film: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no film")
    for source, output in ((text, film), (film, text), (tmp_path / "none.mp4", film)):
        with pytest.raises(MediaError):
            open_pair(source, output)


def test_a_film_that_breaks_off_says_where(data: Path) -> None:
    broken = data / "hostile" / "17d_corrupt_vp9.webm"
    pair = open_pair(broken, broken)
    with pytest.raises(MediaError, match=r"after \d+ frames"):
        list(pair.frames())
