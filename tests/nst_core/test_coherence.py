"""Stylized frames follow each other where the source shows the same, and nowhere else."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nst_core.coherence import Coherence
from nst_core.color.pixels import to_bytes, to_unit_range
from nst_core.color.yuv import YuvFrames, join_frames, rgb_to_yuv, split_frames, yuv_to_rgb
from nst_core.color.yuv_encoding import FLOAT_DEPTH, YuvEncoding
from nst_core.measures.warping_error import WarpingError
from tests.kit.media import moving_picture

Frames = list[NDArray[Any]]
_SIZE = (96, 160)


def _texture(seed: int, *, cell: int = 4, size: tuple[int, int] = _SIZE) -> NDArray[Any]:
    """RGB noise whose grains are ``cell`` pixels wide."""
    height, width = size
    small = np.random.default_rng(seed).integers(0, 256, (height // cell, width // cell, 3))
    return cv2.resize(small.astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


def _panned(count: int, step: int = 2) -> Frames:
    """A picture that the camera moves over, ``step`` pixels a frame."""
    height, width = _SIZE
    wide = _texture(1, cell=8, size=(height, width + 8 * (count * step // 8 + 1)))
    return [np.ascontiguousarray(wide[:, n * step : n * step + width]) for n in range(count)]


def _flickering(sources: Frames, strength: int = 60) -> Frames:
    """Each source with a texture of its own: strokes that are elsewhere in every frame."""
    stylized = []
    for number, source in enumerate(sources):
        noise = (_texture(100 + number).astype(int) - 128) * strength // 128
        stylized.append(np.clip(source // 2 + 64 + noise, 0, 255).astype(np.uint8))
    return stylized


def _follow(coherence: Coherence, source: NDArray[Any], stylized: NDArray[Any]) -> NDArray[Any]:
    """Have an RGB frame follow the last one: its green leads, as in planes of RGB."""
    grey = cv2.cvtColor(source, cv2.COLOR_RGB2GRAY)
    red, green, blue = (np.ascontiguousarray(stylized[..., channel]) for channel in range(3))
    green, blue, red = coherence.follow(grey, (green, blue, red))
    return np.stack([red, green, blue], axis=-1)


def _followed(sources: Frames, stylized: Frames, amount: float = 0.7) -> Frames:
    coherence = Coherence(amount)
    return [_follow(coherence, *pair) for pair in zip(sources, stylized, strict=True)]


def _error(sources: Frames, outputs: Frames) -> float:
    measured = WarpingError()
    for pair in zip(sources, outputs, strict=True):
        measured.add(*pair)
    return measured.of_output


@pytest.mark.parametrize("step", [0, 2])
def test_flicker_falls_with_the_camera_at_rest_and_in_motion(step: int) -> None:
    sources = _panned(16, step)
    stylized = _flickering(sources)
    errors = [_error(sources, _followed(sources, stylized, amount)) for amount in (0.5, 0.7)]
    assert errors[1] < errors[0] < 0.7 * _error(sources, stylized)
    assert errors[1] < 0.5 * _error(sources, stylized)


def test_what_moves_fast_keeps_more_of_what_the_network_made() -> None:
    def taken(step: int) -> float:
        """Distance from the network's own frames, as a part of what it is at rest."""
        sources = _panned(10, step)
        stylized = _flickering(sources)
        pairs = zip(_followed(sources, stylized)[4:], stylized[4:], strict=True)
        return float(np.mean([cv2.absdiff(*(each[:, 24:-24] for each in pair)) for pair in pairs]))

    assert taken(6) < 0.75 * taken(0)


def test_the_contrast_of_the_strokes_stays() -> None:
    sources = _panned(24, 0)
    stylized = _flickering(sources)
    followed = _followed(sources, stylized)

    def contrast(frame: NDArray[Any]) -> float:
        return float(cv2.Laplacian(frame, cv2.CV_32F).std())

    assert contrast(followed[-1]) > 0.75 * contrast(stylized[-1])


def test_a_picture_that_does_not_flicker_is_not_blurred_by_following() -> None:
    sources = _panned(100, 0)
    stylized = [sources[0]] * len(sources)
    assert np.abs(_followed(sources, stylized)[-1].astype(int) - stylized[-1]).max() <= 1


def test_after_a_hundred_frames_of_motion_it_is_as_sharp_as_the_network_made_it() -> None:
    wide = _texture(1, cell=8, size=(2 * _SIZE[0], 2 * _SIZE[1] + 104))
    halves = (wide[:, number : number + 2 * _SIZE[1]] for number in range(100))
    sources = [cv2.resize(each, _SIZE[::-1], interpolation=cv2.INTER_AREA) for each in halves]
    followed = _followed(sources, sources)
    sharpness = [cv2.Laplacian(each[-1], cv2.CV_32F).std() for each in (sources, followed)]
    assert sharpness[1] > 0.9 * sharpness[0]


def test_after_a_cut_nothing_of_what_was_before_is_seen() -> None:
    sources = [*_panned(4), *[_texture(50 + n, cell=4) for n in (0, 0)]]
    stylized = _flickering(sources)
    followed = _followed(sources, stylized)
    assert np.array_equal(followed[4], stylized[4])
    assert not np.array_equal(followed[5], stylized[5])


def test_no_ghost_stays_where_something_has_gone() -> None:
    """A bright square jumps: neither where it was nor where it is may the other place be seen."""
    background = _texture(2, cell=16) // 3
    sources = []
    for left in (10, 10, 10, 90):
        source = background.copy()
        source[30:62, left : left + 32] = 250
        sources.append(source)
    followed = _followed(sources, sources)
    places = (slice(32, 60), slice(12, 40)), (slice(32, 60), slice(92, 120))
    for place in places:
        assert np.abs(followed[-1][place].astype(int) - sources[-1][place]).mean() < 6


def test_without_coherence_frames_are_what_they_were() -> None:
    sources = _panned(4)
    stylized = _flickering(sources)
    for followed, frame in zip(_followed(sources, stylized, 0), stylized, strict=True):
        assert np.abs(followed.astype(int) - frame).max() <= 1


def test_the_first_frame_stands_for_itself() -> None:
    sources = _panned(3, 0)
    stylized = _flickering(sources)
    coherence = Coherence(0.7)
    assert np.array_equal(_follow(coherence, sources[0], stylized[0]), stylized[0])
    assert not np.array_equal(_follow(coherence, sources[1], stylized[1]), stylized[1])


def test_floats_give_what_bytes_give() -> None:
    sources = _panned(6)
    stylized = _flickering(sources)
    in_bytes, coherence = _followed(sources, stylized), Coherence(0.7)
    for source, frame, expected in zip(sources, stylized, in_bytes, strict=True):
        followed = _follow(coherence, source, frame.astype(np.float32))
        assert followed.dtype == np.float32
        assert np.abs(np.clip(followed, 0, 255) - expected).mean() < 1


_PLAIN = YuvEncoding("bt709")
_LIGHT = YuvEncoding("rgb", depth=FLOAT_DEPTH, subsampling="444")


def _planes(frames: Frames, encoding: YuvEncoding) -> YuvFrames:
    return rgb_to_yuv(to_unit_range(np.stack(frames), torch.device("cpu")), encoding)


def _all_followed(encoding: YuvEncoding, *, source: YuvEncoding = _PLAIN) -> NDArray[Any]:
    """A panned film that flickers, of 4:2:0 in 8 bits, followed in an encoding: RGB."""
    sources = _panned(8)
    made = yuv_to_rgb(_planes(_flickering(sources), _PLAIN), _PLAIN)
    planes = rgb_to_yuv(made, encoding)
    frames = _planes(sources, source)
    return to_bytes(
        yuv_to_rgb(Coherence(0.7).follow_all(frames, source, planes, encoding), encoding)
    )


@pytest.mark.parametrize(
    "encoding",
    [
        YuvEncoding("bt709", depth=10),
        YuvEncoding("bt709", subsampling="422"),
        YuvEncoding("bt601", full_range=True, subsampling="444"),
        YuvEncoding("rgb", subsampling="444"),
        _LIGHT,
    ],
    ids=["10 bits", "422", "444", "rgb", "light"],
)
def test_frames_of_any_encoding_follow_alike(encoding: YuvEncoding) -> None:
    """As far as noise of whole colours does that is carried by whole or by halved planes."""
    plain = _all_followed(_PLAIN)[-1].astype(int)
    alone = to_bytes(yuv_to_rgb(_planes(_flickering(_panned(8)), _PLAIN), _PLAIN))[-1]
    difference = np.abs(_all_followed(encoding)[-1].astype(int) - plain).mean()
    assert difference < 0.4 * np.abs(alone - plain).mean()


@pytest.mark.parametrize("source", [YuvEncoding("bt2020", depth=10), _LIGHT], ids=["10", "light"])
def test_a_source_of_any_depth_leads_alike(source: YuvEncoding) -> None:
    led = _all_followed(_PLAIN, source=source)[-1].astype(int)
    assert np.abs(led - _all_followed(_PLAIN)[-1]).mean() < 2


def test_frames_in_a_batch_follow_as_they_do_one_by_one() -> None:
    sources = _panned(4)
    frames, made = _planes(sources, _PLAIN), _planes(_flickering(sources), _PLAIN)
    together = Coherence(0.7).follow_all(frames, _PLAIN, made, _PLAIN)
    coherence = Coherence(0.7)
    pairs = zip(split_frames(frames), split_frames(made), strict=True)
    singly = join_frames([coherence.follow_all(a, _PLAIN, b, _PLAIN) for a, b in pairs])
    assert torch.equal(together.luma, singly.luma)
    assert torch.equal(together.chroma, singly.chroma)
    assert not torch.equal(together.chroma, made.chroma)


def test_colours_that_are_kept_follow_nothing() -> None:
    sources = _panned(4)
    frames, made = _planes(sources, _PLAIN), _planes(_flickering(sources), _PLAIN)
    followed = Coherence(0.7).follow_all(frames, _PLAIN, made, _PLAIN, luma_only=True)
    assert torch.equal(followed.chroma, made.chroma)
    assert not torch.equal(followed.luma, made.luma)


@pytest.mark.parametrize("size", [(8, 8), (31, 200), (33, 35), (97, 161)])
def test_any_size_is_taken(size: tuple[int, int]) -> None:
    coherence = Coherence(0.7)
    for number in range(3):
        frame = _texture(number, cell=1, size=size)
        assert _follow(coherence, frame, frame).shape == frame.shape


def test_a_frame_of_another_size_stands_for_itself() -> None:
    coherence = Coherence(0.7)
    small, large = _texture(1), _texture(2, size=(128, 160))
    _follow(coherence, small, small)
    assert np.array_equal(
        _follow(coherence, large, small[:1].repeat(128, 0)), small[:1].repeat(128, 0)
    )


@pytest.mark.parametrize("amount", [-0.1, 1.5, float("nan")])
def test_an_amount_beyond_its_range_is_refused(amount: float) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        Coherence(amount)


def test_frames_of_another_segment_do_not_change_what_follows() -> None:
    """OpenCV's flow of small frames was another at the first call than at all later ones."""
    sources = [moving_picture(number, 160, 96) for number in range(6)]
    pairs = list(zip(sources, _flickering(sources), strict=True))
    fresh, used = Coherence(0.7), Coherence(0.7)
    for pair in pairs[:3]:
        _follow(used, *pair)
    used.begin()
    for pair in pairs[3:]:
        np.testing.assert_array_equal(_follow(used, *pair), _follow(fresh, *pair))
