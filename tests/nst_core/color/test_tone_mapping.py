"""Tone mapping against the numbers of its standards."""

from __future__ import annotations

import pytest
import torch

from nst_core.color.tone_mapping import SDR_WHITE, ToneMapping


def _pq(nits: float) -> float:
    """SMPTE ST 2084, in plain Python."""
    m1, m2 = 0.1593017578125, 78.84375
    c1, c2, c3 = 0.8359375, 18.8515625, 18.6875
    power = (nits / 10_000) ** m1
    return float(((c1 + c2 * power) / (1 + c3 * power)) ** m2)


def _grey(signal: float) -> torch.Tensor:
    return torch.full((1, 3, 2, 2), signal)


@pytest.mark.parametrize("nits", [1.0, 10.0, 50.0, 80.0])
def test_what_is_darker_than_the_knee_keeps_its_light(nits: float) -> None:
    mapped = ToneMapping("pq", peak=1000).to_sdr(_grey(_pq(nits)))
    torch.testing.assert_close(mapped**2.4 * SDR_WHITE, _grey(nits), rtol=2e-3, atol=1e-3)


def test_the_peak_becomes_white_and_nothing_beyond_it() -> None:
    for peak in (400.0, 1000.0, 4000.0):
        mapping = ToneMapping("pq", peak=peak)
        torch.testing.assert_close(mapping.to_sdr(_grey(_pq(peak))), _grey(1.0), atol=2e-3, rtol=0)
        assert mapping.to_sdr(_grey(1.0)).max() <= 1


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_brighter_stays_brighter(transfer: str) -> None:
    ramp = torch.linspace(0, 0.75, 200).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    mapped = ToneMapping(transfer, peak=1000).to_sdr(ramp)[0, 0, 0]  # type: ignore[arg-type]
    assert (mapped.diff() >= -1e-6).all()
    assert mapped[0] < 1e-3


def test_hlg_reference_white_comes_out_as_it_does_from_pq() -> None:
    # BT.2408: HDR reference white, 203 cd/m2, is 75 % of HLG and 58 % of PQ.
    hlg = ToneMapping("hlg").to_sdr(_grey(0.75))
    pq = ToneMapping("pq", peak=1000).to_sdr(_grey(_pq(203)))
    torch.testing.assert_close(hlg, pq, atol=0.01, rtol=0)


def test_hues_stay_where_light_is_compressed() -> None:
    colour = torch.tensor([_pq(900), _pq(450), _pq(225)]).view(1, 3, 1, 1)
    bright = ToneMapping("pq", peak=1000).to_sdr(colour).flatten() ** 2.4
    dim = (
        ToneMapping("pq", peak=10_000)
        .to_sdr(torch.tensor([_pq(40), _pq(20), _pq(10)]).view(1, 3, 1, 1))
        .flatten()
        ** 2.4
    )
    torch.testing.assert_close(bright / bright.max(), dim / dim.max(), atol=0.02, rtol=0)


def test_a_peak_that_is_no_light_is_refused() -> None:
    with pytest.raises(ValueError, match="cd/m2"):
        ToneMapping("pq", peak=0)


@pytest.mark.parametrize("primaries", ["bt2020", "p3", "bt709"])
def test_white_stays_white_from_any_primaries(primaries: str) -> None:
    mapping = ToneMapping("pq", 1000, primaries)  # type: ignore[arg-type]
    red, green, blue = mapping.to_sdr(_grey(_pq(50)))[0, :, 0, 0].tolist()
    assert red == pytest.approx(green, abs=1e-4) == pytest.approx(blue, abs=1e-4)
    pure = mapping.to_sdr(torch.tensor([_pq(50), 0.0, 0.0]).view(1, 3, 1, 1))[0, :, 0, 0]
    if primaries == "bt709":
        assert pure[0] == pytest.approx(red, abs=1e-3)
    else:  # a red beyond BT.709's is clipped to the brightest that it has
        assert pure[0] > red
    assert pure[1:].max() < 0.02
