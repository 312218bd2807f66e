"""Calibrating a style for 8 bits: the ranges of its activations, and how close it comes to float32.

Both are found once, when a style is trained or calibrated, and travel in its checkpoint. Ranges are
the extremes of each convolution's inputs, or a share of them where that comes closer: inputs beyond
are clipped, all others rounded less (measured at a share of 0.7, a bundled style of rare, large
activations: 2.8 dB closer on average, the worst photograph 3.0). The closeness is measured on other
photographs, by simulation in torch.

Convolutions up to the last one with a stride, the encoder, keep their precision: they see the
picture, whose smooth or faint parts the normalisations behind them enlarge together with any
rounding (bundled styles: a grey ramp comes 7 to 10 dB closer, a photograph up to 10, for an eighth
of the time). So does the one behind it, which sees the encoder's outliers (bold styles: up to 6 dB
for the worst photograph).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean

import torch
from torch import Tensor, nn

from nst_core.engines.eight_bit import EightBit
from nst_core.engines.inference_form import inference_form
from nst_core.errors import InputError
from nst_core.networks.generator import Generator

PHOTOS_WANTED = 60
"""Photographs that ``calibrate`` makes use of: 40 to calibrate on, 20 to check."""
LONGEST_SIDE = 640
"""Longest side of the photographs, in pixels."""
_FEWEST_PHOTOS = 2
_NARROWING_PHOTOS = 6
_SHARES = (1.0, 0.85, 0.7)
_Ranges = dict[str, tuple[float, float]]


def photos_computed(photos: int) -> int:
    """How often photographs are computed to calibrate on so many: some several times."""
    calibrating = photos - -(-photos // 3)
    return photos + len(_SHARES) * -(-calibrating // _narrowing_by_every(calibrating))


def _narrowing_by_every(calibrating: int) -> int:
    """Which of the photographs that are calibrated on narrow the ranges: every second, third ..."""
    return -(-calibrating // _NARROWING_PHOTOS)


def calibrate(
    generators: Sequence[Generator],
    photos: Sequence[Tensor],
    on_photo: Callable[[], None] = lambda: None,
) -> EightBit:
    """Find the ranges on two thirds of ``photos``, and the closeness on every third.

    Photos are 1 x 3 x H x W in [0, 1], on the generators' device. The generators have one
    architecture, and what is found suits them all: photos are dealt out to them, one each at
    least, so that it takes no longer than for one. ``on_photo`` is called each time that a photo
    has been computed. Raises InputError for fewer than two photos, and for generators without a
    convolution to compute in 8 bits.
    """
    if len(photos) < _FEWEST_PHOTOS:
        raise InputError(
            f"8 bits are calibrated on photographs, and {len(photos)} could be read; "
            f"{_FEWEST_PHOTOS} are needed, {PHOTOS_WANTED} are used"
        )
    calibrating = [photo for number, photo in enumerate(photos) if number % 3]
    dealt = zip(generators, _dealt(calibrating, len(generators)), strict=True)
    ranges = _union(
        [activation_ranges(generator.eval(), part, on_photo) for generator, part in dealt]
    )
    if not ranges:
        raise InputError(f"{type(generators[0]).__name__} has no convolution to compute in 8 bits")
    narrowing = calibrating[:: _narrowing_by_every(len(calibrating))]
    ranges = _narrowed(generators, ranges, narrowing, on_photo)
    decibels = [*_decibels(generators, ranges, photos[::3], on_photo)]
    return EightBit(ranges, round(fmean(decibels), 2), round(min(decibels), 2), len(calibrating))


def _dealt(photos: Sequence[Tensor], hands: int) -> list[Sequence[Tensor]]:
    """Deal photographs out; where they are fewer than hands, some are given twice."""
    return [photos[hand::hands] or [photos[hand % len(photos)]] for hand in range(hands)]


def _union(found: Sequence[_Ranges]) -> _Ranges:
    """Return ranges that cover those of every generator; they have the same convolutions."""
    return {
        name: (min(each[name][0] for each in found), max(each[name][1] for each in found))
        for name in found[0]
    }


def _narrowed(
    generators: Sequence[Generator],
    ranges: _Ranges,
    photos: Sequence[Tensor],
    on_photo: Callable[[], None],
) -> _Ranges:
    """Return the share of ``ranges`` with which the worst of the photographs comes closest."""
    shares = [
        {name: (low * share, high * share) for name, (low, high) in ranges.items()}
        for share in _SHARES
    ]
    return max(shares, key=lambda share: min(_decibels(generators, share, photos, on_photo)))


def _decibels(
    generators: Sequence[Generator],
    ranges: _Ranges,
    photos: Sequence[Tensor],
    on_photo: Callable[[], None],
) -> Iterator[float]:
    """PSNR of 8 bits against float32, of each photograph; they are dealt out to the generators."""
    for generator, part in zip(generators, _dealt(photos, len(generators)), strict=True):
        form = inference_form(generator, ranges)
        for photo in part:
            with torch.inference_mode():
                decibels = _psnr(form(photo), generator(photo))
            on_photo()
            yield decibels


def activation_ranges(
    generator: Generator, photos: Sequence[Tensor], on_photo: Callable[[], None] = lambda: None
) -> _Ranges:
    """Find the least and largest input of the convolutions in 8 bits, by their names."""
    ranges: _Ranges = {}
    with _watched(generator, ranges), torch.inference_mode():
        for photo in photos:
            generator(photo)
            on_photo()
    in_order = list(ranges)
    strided = [place for place, name in enumerate(in_order) if _stride(generator, name) > 1]
    first = strided[-1] + 2 if strided else 0
    return {name: ranges[name] for name in in_order[first:]}


def _stride(generator: Generator, name: str) -> int:
    stride: tuple[int, ...] = generator.get_submodule(name).stride  # type: ignore[assignment]
    return max(stride)


@contextmanager
def _watched(generator: Generator, ranges: _Ranges) -> Iterator[None]:
    """Note the extremes of all that convolutions are given inside the block."""

    def watch(name: str, features: Tensor) -> None:
        low, high = (float(extreme) for extreme in features.aminmax())
        before = ranges.get(name, (low, high))
        ranges[name] = min(before[0], low), max(before[1], high)

    hooks = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: watch(name, inputs[0]))
        for name, module in generator.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _psnr(picture: Tensor, reference: Tensor) -> float:
    """PSNR in dB of pictures in [0, 1]; 100 where they are all but equal."""
    error = float((picture - reference).square().mean())
    return 100.0 if error <= 1e-10 else float(-10 * torch.log10(torch.tensor(error)))
