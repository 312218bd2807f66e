"""A film is shown by a few frames: of its different shots, or exactly those that are asked for."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nst_core.errors import InputError, MediaError
from pipeline.films.film_frames import FilmFrame, Moment, chosen_moments, frames_at, spread_frames
from tests.kit.media import HEIGHT, RATE, WIDTH, decoded_frames, make_clip, psnr

_COLORS = ((200, 30, 30), (30, 160, 40), (40, 60, 200))


def _scene(color: tuple[int, int, int], number: int = 0) -> NDArray[np.uint8]:
    """A picture mostly of one colour, with a lighter stripe that moves."""
    picture = np.full((HEIGHT, WIDTH, 3), color, np.uint8)
    picture[:, (number * 3) % (WIDTH - 20) :][:, :20] += 50
    return picture


def _film(path: Path, lengths: tuple[int, ...], *, keyframes: int) -> Path:
    """Scenes of these numbers of frames; the colours take turns, black is a fourth one."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.options = {"g": str(keyframes), "bf": "2", "sc_threshold": "0"}
        for place, length in enumerate(lengths):
            for number in range(length):
                turn = place % (len(_COLORS) + 1)
                black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
                picture = _scene(_COLORS[turn], number) if turn < len(_COLORS) else black
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    return path


def _main_colors(frames: list[FilmFrame]) -> list[int]:
    """Number of the scene's colour in each frame."""
    means = [np.median(frame.rgb.reshape(-1, 3), axis=0) for frame in frames]
    distances = [[np.abs(mean - color).sum() for color in _COLORS] for mean in means]
    return [each.index(min(each)) for each in distances]


def _moment(seconds: float, bin_number: int, *, is_flat: bool = False) -> Moment:
    colors = np.zeros(10)
    colors[bin_number] = 1
    return Moment(seconds, colors, is_flat)


def test_every_shot_is_shown_once_before_any_is_shown_twice(tmp_path: Path) -> None:
    film = _film(tmp_path / "film.mp4", (48, 24, 96), keyframes=4)
    frames = spread_frames(film, 3, max_side=640)
    assert _main_colors(frames) == [0, 1, 2]
    times = [frame.seconds for frame in frames]
    assert times == sorted(times)
    assert _main_colors(spread_frames(film, 5, max_side=640))[-2:] == [2, 2]


def test_in_a_short_film_shots_of_the_same_colors_are_told_apart(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((HEIGHT, WIDTH, 3)) * 255
    scene = Image.fromarray(noise.astype(np.uint8)).resize((12, 8)).resize((WIDTH, HEIGHT))
    mirrored, turned = (
        scene.transpose(turn)
        for turn in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180)
    )
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.options = {"g": "500", "sc_threshold": "0"}
        for picture in [scene] * 40 + [mirrored] * 6 + [turned] * 40:
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode(None))
    first, second, third = spread_frames(tmp_path / "film.mp4", 3, max_side=640)
    starts = [0, 40 / RATE, 46 / RATE, 86 / RATE]
    for frame, start, end in zip((first, second, third), starts, starts[1:], strict=False):
        assert start <= frame.seconds < end


def test_of_a_single_shot_frames_are_spread() -> None:
    moments = [_moment(float(number), 0) for number in range(11)]
    assert [each.seconds for each in chosen_moments(moments, 3)] == [0, 5, 10]


def test_the_longest_shot_comes_first_and_then_what_differs_most() -> None:
    moments = [_moment(0, 0), _moment(1, 1), _moment(2, 1), _moment(3, 1), _moment(4, 2)]
    assert [each.seconds for each in chosen_moments(moments, 1)] == [2]
    chosen = chosen_moments([*moments, _moment(5, 1)], 3)
    assert [int(each.colors.argmax()) for each in chosen] == [0, 1, 2]


def test_black_frames_are_shown_only_where_there_is_nothing_else() -> None:
    black = [_moment(0, 0, is_flat=True), _moment(1, 0, is_flat=True)]
    assert [each.seconds for each in chosen_moments([*black, _moment(2, 1)], 2)] == [2]
    assert len(chosen_moments(black, 2)) == 2


def test_a_frame_is_the_one_that_a_player_shows(clip: Path) -> None:
    (frame,) = spread_frames(clip, 1, max_side=640)
    reference = _rgb_at(clip, frame.seconds)
    assert frame.full_size == (WIDTH, HEIGHT)
    assert psnr(frame.rgb, reference) > 30  # swscale enlarges chroma otherwise


def _rgb_at(path: Path, seconds: float) -> NDArray[np.uint8]:
    with av.open(str(path)) as container:
        shown = [frame for frame in container.decode(video=0) if frame.time <= seconds + 1e-6]
        return np.asarray(shown[-1].to_ndarray(format="rgb24"), np.uint8)


def test_frames_at_times_are_exact(clip: Path) -> None:
    wanted = [Fraction(0), Fraction(1, RATE), Fraction(5, 7), Fraction(1), Fraction(47, RATE)]
    times = [time for time, _ in decoded_frames(clip)]
    expected = [max(each for each in times if each <= at) for at in wanted]
    found = frames_at(clip, wanted, max_side=640)
    assert [frame.seconds for frame in found] == [float(each) for each in expected]
    for frame in found:
        assert psnr(frame.rgb, _rgb_at(clip, frame.seconds)) > 30


def test_a_time_behind_the_end_is_refused(clip: Path) -> None:
    with pytest.raises(InputError, match=r"--at 3: .* ends at 2\.\d+ s"):
        frames_at(clip, [Fraction(3)], max_side=640)


def test_in_a_film_of_one_keyframe_frames_between_are_decoded(tmp_path: Path) -> None:
    film = _film(tmp_path / "film.mp4", (40, 40), keyframes=500)
    frames = spread_frames(film, 4, max_side=640)
    times = [frame.seconds for frame in frames]
    assert len(set(times)) == 4
    assert set(_main_colors(frames)) == {0, 1}


@pytest.mark.parametrize("name", ["film.mkv", "film.ts", "film.avi", "film.webm", "film.mov"])
def test_any_container_is_looked_through(name: str, tmp_path: Path) -> None:
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(Path(name).suffix, "libx264")
    make_clip(tmp_path / name, codec=codec, sound=False)
    frames = spread_frames(tmp_path / name, 3, max_side=640)
    assert len({frame.seconds for frame in frames}) == 3
    assert frames[-1].seconds < 2.1
    for frame in frames:
        start = float(decoded_frames(tmp_path / name)[0][0])
        assert psnr(frame.rgb, _rgb_at(tmp_path / name, start + frame.seconds)) > 30


def test_a_film_without_an_index_is_shown_too(clip: Path, tmp_path: Path) -> None:
    with av.open(str(clip)) as source, av.open(str(tmp_path / "raw.h264"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    assert spread_frames(tmp_path / "raw.h264", 3, max_side=640)


def test_large_frames_are_shrunk_and_shown_as_a_player_does(tmp_path: Path) -> None:
    make_clip(tmp_path / "film.mp4", width=320, height=160, frames=4)
    (frame,) = spread_frames(tmp_path / "film.mp4", 1, max_side=80)
    assert frame.rgb.shape == (40, 80, 3)
    assert frame.full_size == (320, 160)
    turned = FilmFrame(0, frame.rgb, (320, 160), turn=90, pixel_aspect=1.5, is_hdr=False)
    assert turned.shown(Image.fromarray(frame.rgb)).size == (40, 120)


def test_what_is_no_film_is_refused(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"not a film")
    with pytest.raises(MediaError, match=r"film\.mp4"):
        spread_frames(tmp_path / "film.mp4", 3, max_side=640)
