"""`nst doctor` and what -v tells: plain words, and only what concerns this machine."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from jobs import doctor
from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import EnvironmentProblem, InputError
from pipeline.encoding.encoders import NVENC_CODECS
from tests.kit.fake_card import FakeCard


@pytest.mark.parametrize("has_card", [False, True])
def test_encoders_of_a_graphics_card_are_looked_at_where_there_is_one(
    has_card: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object, **__: object) -> list[doctor.Finding]:
        return []

    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_card)
    monkeypatch.setattr(doctor, "_cuda", lambda needed: doctor.Finding("cuda", has_card, ""))
    monkeypatch.setattr(doctor, "_encode", lambda codec, kind: f"{codec} {kind}")
    monkeypatch.setattr(doctor, "_styles_and_engines", nothing)
    nvenc = [finding.name for finding in doctor.examine() if "nvenc" in finding.name]
    assert nvenc == [f"encoder {codec} nvenc" for codec in NVENC_CODECS] * has_card


def test_a_gpu_that_is_needed_is_missing_with_torchs_reason() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    findings = {finding.name: finding for finding in doctor.examine(needs_gpu=True)}
    assert findings["cuda"].needed
    assert not findings["cuda"].ok
    assert "driver" in findings["cuda"].text
    assert "\n" not in findings["cuda"].text
    assert not findings["engine cuda"].ok
    assert {"c compiler", "video decoder"} <= findings.keys()
    assert "no NVIDIA card" in findings["decoder h264 nvdec"].text


def test_without_that_a_missing_gpu_is_no_fault() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert not doctor._cuda(needed=False).needed


def test_an_encoder_that_does_not_open_is_told_in_plain_words() -> None:
    if torch.cuda.is_available():
        pytest.skip("its encoder may open")
    with pytest.raises(InputError) as told:
        doctor._encode("h264", "nvenc")
    assert "(h264_nvenc, preset p5, rc vbr" in str(told.value)
    assert not set("{}[]'") & set(str(told.value))


def test_what_is_chosen_is_told_in_plain_words(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        stylize_videos(
            StylizeVideo((clip,), tmp_path / "out.mp4", StyleSpec("identity"), PoolSpec(workers=0))
        )
    (line,) = [message for message in caplog.messages if "frames in" in message]
    assert "; libx264, preset veryfast, crf 17" in line
    assert not set("{}[]'") & set(line)


def test_gpus_that_nobody_has_tried_are_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    (found,) = doctor._untested_gpus()
    assert (found.name, found.needed) == ("engine torch mps", False)
    assert found.text.endswith("; not tested: compare with --device cpu")
    assert not found.ok  # this torch has no such device


def test_a_cards_decoder_is_looked_at_by_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    card = FakeCard(monkeypatch)
    assert "works" in doctor._decode_by_card()
    card.spoil = lambda number, frame: frame.reformat(format="gray").reformat(format="yuv420p")
    with pytest.raises(EnvironmentProblem, match="gives other frames than software does"):
        doctor._decode_by_card()
