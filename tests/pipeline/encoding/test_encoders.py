"""Which encoder an output gets for its source."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import av
import pytest

from nst_core.errors import InputError
from pipeline.encoding.encoders import NVENC_CODECS, choose_encoder
from pipeline.encoding.output_frame import plan_output
from pipeline.films.settings import FilmSettings
from pipeline.segments.encoder import check_encoder
from tests.kit.media import stream_info
from tests.pipeline.encoding.test_hdr_metadata import LIGHT, MASTERING

HDR10: dict[str, Any] = {
    "codec": "hevc",
    "pixel_format": "yuv420p10le",
    "color": (1, 9, 16, 9),
    "mastering_display": MASTERING,
    "content_light": LIGHT,
}
TITLES: dict[str, Any] = {"codec": "png", "pixel_format": "rgba", "transparent": True}


@pytest.mark.parametrize(
    ("output", "source", "codec", "pixel_format"),
    [
        ("out.mp4", {}, "h264", "yuv420p"),
        ("out.webm", {}, "vp9", "yuv420p"),
        ("out.gif", {}, "gif", "pal8"),
        ("out.mp4", HDR10, "hevc", "yuv420p10le"),
        ("out.mkv", HDR10, "hevc", "yuv420p10le"),
        ("out.webm", HDR10, "av1", "yuv420p10le"),
        ("out.mp4", {"pixel_format": "yuv420p10le"}, "h264", "yuv420p10le"),  # h264 of 10 bits
        ("out.mp4", {"codec": "prores", "pixel_format": "yuv422p10le"}, "hevc", "yuv420p10le"),
        ("out.mov", TITLES, "prores", "yuva444p10le"),
        ("out.webm", TITLES, "vp9", "yuva420p"),
        ("out.mp4", TITLES, "h264", "yuv420p"),
        ("out.mkv", {"codec": "gif", "pixel_format": "bgra"}, "h264", "yuv420p"),  # opaque
    ],
)
def test_the_default_codec_loses_least(
    output: str, source: dict[str, Any], codec: str, pixel_format: str
) -> None:
    settings = choose_encoder(Path(output), stream_info(**source))
    assert (settings.codec, settings.pixel_format) == (codec, pixel_format)


def test_hdr10_metadata_reaches_the_encoder() -> None:
    hevc = dict(choose_encoder(Path("out.mp4"), stream_info(**HDR10)).options)
    assert "master-display=G(13250,34500)" in hevc["x265-params"]
    assert "max-cll=1000,400" in hevc["x265-params"]
    assert "chromaloc=2" in hevc["x265-params"]
    av1 = dict(choose_encoder(Path("out.webm"), stream_info(**HDR10)).options)
    assert "content-light=1000,400" in av1["svtav1-params"]


def test_only_the_default_of_h264_is_fitted_to_stylized_frames() -> None:
    def fitted(**asked: Any) -> bool:
        settings = choose_encoder(
            Path("out.mkv"), stream_info(), FilmSettings(**asked), stylized=True
        )
        return "me=dia" in str(settings.options)

    assert fitted()
    assert fitted(crf=23)
    assert not fitted(preset="veryfast")
    assert not fitted(codec="hevc")
    assert not fitted(encoder="nvenc")
    assert "me=dia" not in str(choose_encoder(Path("out.mkv"), stream_info()).options)


@pytest.mark.parametrize(("output", "codec"), [("out.mp4", "h264"), ("out.gif", None)])
def test_hdr_in_8_bits_is_refused_unless_it_is_tone_mapped(output: str, codec: Any) -> None:
    with pytest.raises(InputError, match="--tonemap"):
        choose_encoder(Path(output), stream_info(**HDR10), FilmSettings(codec=codec))
    settings = choose_encoder(
        Path(output), stream_info(**HDR10), FilmSettings(codec=codec, tonemap=True)
    )
    assert settings.layout.depth == 8


def test_a_tone_mapped_output_gets_the_usual_codec() -> None:
    settings = choose_encoder(Path("out.mp4"), stream_info(**HDR10), FilmSettings(tonemap=True))
    assert settings.codec == "h264"
    assert "master-display" not in str(settings.options)


def test_nvenc_has_its_own_presets_and_codecs() -> None:
    settings = choose_encoder(
        Path("out.mp4"), stream_info(), FilmSettings(crf=23, preset="p3", encoder="nvenc")
    )
    assert settings.encoder == "h264_nvenc"
    assert dict(settings.options)["cq"] == "23"
    deep = choose_encoder(Path("out.mp4"), stream_info(**HDR10), FilmSettings(encoder="nvenc"))
    assert (deep.encoder, deep.pixel_format) == ("hevc_nvenc", "p010le")
    with pytest.raises(InputError, match="p1, p2"):
        choose_encoder(
            Path("out.mp4"), stream_info(), FilmSettings(preset="medium", encoder="nvenc")
        )
    with pytest.raises(InputError, match="not vp9"):
        choose_encoder(Path("out.webm"), stream_info(), FilmSettings(encoder="nvenc"))


@pytest.mark.parametrize("codec", NVENC_CODECS)
def test_nvenc_knows_the_options_that_it_is_given(codec: Any) -> None:
    settings = choose_encoder(
        Path("out.mkv"), stream_info(), FilmSettings(codec=codec, encoder="nvenc")
    )
    known = {
        o.name for o in av.CodecContext.create(settings.encoder, "w").supported_options.private
    }
    assert {name for name, _ in settings.options} - {"b"} <= known  # b is of every encoder


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1"])
def test_hdr_that_has_8_bits_already_loses_nothing_in_8_bits(codec: Any) -> None:
    stream = stream_info(codec="hevc", color=(1, 9, 18, 9))  # HLG, as cameras write it
    assert choose_encoder(Path("out.mkv"), stream, FilmSettings(codec=codec)).layout.depth == 8


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gets real-time scheduling")
@pytest.mark.parametrize("policy", ["SCHED_OTHER", "SCHED_BATCH"])
def test_an_encoder_of_av1_leaves_the_machine_to_others(policy: str) -> None:
    stream = stream_info()
    encoder = choose_encoder(Path("out.mkv"), stream, FilmSettings(codec="av1"))
    os.sched_setscheduler(0, getattr(os, policy), os.sched_param(0))
    try:
        check_encoder(stream, plan_output(stream, encoder))
        threads = [int(path.name) for path in Path("/proc/self/task").iterdir()]
        assert os.sched_getscheduler(0) == getattr(os, policy)
        assert not any(os.sched_getscheduler(thread) == os.SCHED_FIFO for thread in threads)
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
