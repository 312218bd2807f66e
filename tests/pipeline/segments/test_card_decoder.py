"""Decoding by a graphics card, faked: chosen where it gives software's frames, else software."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
import torch

from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.library import Style, find_style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError
from nst_core.stylizer import Stylizer
from pipeline.encoding.encoders import choose_encoder
from pipeline.encoding.output_frame import plan_output
from pipeline.films.report import VideoReport
from pipeline.films.settings import DecoderKind, FilmSettings
from pipeline.segments.card_decoder import CardError, _context_options, open_card_decoder
from pipeline.segments.decoder import begun_by_card
from pipeline.segments.frames import source_planes
from pipeline.segments.packet_reader import PacketReader
from pipeline.segments.plan import plan_segments
from pipeline.segments.task import SegmentTask
from pipeline.segments.worker import SegmentWorker
from pipeline.source.source_video import probe
from tests.kit.fake_card import FakeCard
from tests.kit.media import make_clip, stream_info

_FRAMES = 48
_OTHER = "NVDEC gives other frames than software does: software decodes it"


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> FakeCard:
    return FakeCard(monkeypatch)


def _tasks(path: Path, decoder: DecoderKind = "nvdec", **clip: Any) -> list[SegmentTask]:
    if not path.exists():
        make_clip(path, frames=_FRAMES, sound=False, **clip)
    source = probe(path)
    encoder = choose_encoder(Path("out.mkv"), source.info, FilmSettings(codec="ffv1"))
    frame = plan_output(source.info, encoder)
    segments = plan_segments(source.packets, time_base=source.info.time_base, seconds=1.0)
    with PacketReader(source) as reader:
        return [
            SegmentTask(each, source.info, frame, reader.read(each), film=0, decoder=decoder)
            for each in segments
        ]


def _by_software(worker: SegmentWorker, tasks: list[SegmentTask]) -> list[Any]:
    return [worker.process(replace(task, decoder="software")) for task in tasks]


@pytest.fixture
def worker() -> SegmentWorker:
    return SegmentWorker(Stylizer(find_style("identity")))


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("h264.mp4", {}),
        ("deep.mp4", {"codec": "libx265", "pixel_format": "yuv420p10le", "options": {"g": "12"}}),
        ("odd.mp4", {"width": 98, "height": 66}),
        ("full.mkv", {"pixel_format": "yuvj420p"}),
        ("one_keyframe.mp4", {"options": {"g": "1000", "sc_threshold": "0"}}),
        ("av1.mkv", {"codec": "libsvtav1", "options": {"preset": "12"}}),
    ],
)
def test_a_film_decoded_by_the_card_has_the_bytes_of_one_decoded_by_software(
    name: str, clip: dict[str, Any], card: FakeCard, worker: SegmentWorker, tmp_path: Path
) -> None:
    tasks = _tasks(tmp_path / name, **clip)
    assert len(tasks) > 1
    expected = _by_software(worker, tasks)
    assert card.frames == 0
    assert [worker.process(task) for task in tasks] == expected
    assert card.frames >= _FRAMES
    assert set(card.codecs) == {{"libdav1d": "av1"}.get(tasks[0].stream.codec, "h264")} or (
        tasks[0].stream.codec == "hevc"
    )
    assert not any(result.notes for result in expected)


def test_frames_that_are_scaled_are_scaled_as_softwares_are(
    card: FakeCard, worker: SegmentWorker, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    make_clip(
        film,
        frames=12,
        sound=False,
        codec="libx265",
        pixel_format="yuv420p10le",
        width=70,
        height=54,
    )
    (task,) = _tasks(film)
    small = FilmSettings(codec="ffv1", max_side=40)
    encoder = choose_encoder(Path("out.mkv"), task.stream, small)
    task = replace(task, output=plan_output(task.stream, encoder, small))
    assert worker.process(task) == worker.process(replace(task, decoder="software"))
    assert card.frames > 0


def test_auto_has_the_card_decode_only_where_a_gpu_computes(
    style: Style, card: FakeCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = _tasks(tmp_path / "film.mp4", "auto")
    stylizer = Stylizer(style, device="cpu", threads=1)
    expected = [SegmentWorker(stylizer).process(task) for task in tasks]
    assert card.codecs == []
    monkeypatch.setattr(Stylizer, "on_gpu", True)
    monkeypatch.setattr(Stylizer, "works_ahead", False)
    assert [SegmentWorker(stylizer).process(task) for task in tasks] == expected
    assert card.frames >= _FRAMES


def test_a_card_that_gives_other_frames_is_not_used_and_one_line_says_so(
    card: FakeCard, worker: SegmentWorker, tmp_path: Path
) -> None:
    tasks = _tasks(tmp_path / "film.mp4")
    expected = _by_software(worker, tasks)

    def spoil(number: int, frame: av.VideoFrame) -> av.VideoFrame:
        if number == 9:
            np.frombuffer(frame.planes[2], np.uint8)[0] ^= 1  # type: ignore[call-overload]
        return frame

    card.spoil = spoil
    results = [worker.process(task) for task in tasks]
    assert [note for each in results for note in each.notes] == [_OTHER]
    assert [replace(each, notes=()) for each in results] == expected
    assert len(card.codecs) == 1  # not asked again


def _raises(number: int, frame: av.VideoFrame) -> av.VideoFrame:
    if number == 8:
        raise av.InvalidDataError(1, "no surface left")
    return frame


@pytest.mark.parametrize(
    "spoil",
    [
        _raises,
        lambda number, frame: None if number in (7, 8) else frame,
        lambda number, frame: None if number >= 8 else frame,
    ],
    ids=["raises", "loses frames", "loses the last frames"],
)
def test_where_the_card_fails_software_goes_on(
    spoil: Any, card: FakeCard, worker: SegmentWorker, tmp_path: Path
) -> None:
    tasks = _tasks(tmp_path / "film.mp4")
    expected = _by_software(worker, tasks)
    card.spoil = spoil
    assert [worker.process(task) for task in tasks] == expected
    assert len(card.codecs) > len(tasks)  # compared once, then tried for each segment


def test_damage_is_found_as_software_finds_it(
    card: FakeCard, worker: SegmentWorker, tmp_path: Path
) -> None:
    _, task, *_ = _tasks(tmp_path / "film.mp4", options={"g": "24", "sc_threshold": "0"})
    packets = [*task.packets]
    packets[18] = replace(packets[18], data=packets[18].data[:20] + bytes(200))
    damaged = replace(task, packets=tuple(packets))
    expected = worker.process(replace(damaged, decoder="software"))
    assert any(expected.damage)
    assert worker.process(damaged) == expected


def test_a_card_that_is_asked_for_and_not_there_is_one_line_that_says_why(
    worker: SegmentWorker, tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    task = _tasks(tmp_path / "film.mp4")[0]
    words = (
        r"^--decoder nvdec: no NVIDIA card, or no driver for it, opens here \(.*\); leave it out$"
    )
    with pytest.raises(CardError):
        begun_by_card(task)
    with pytest.raises(InputError, match=words):
        worker.process(task)


def test_a_film_is_refused_before_any_work_or_done_whichever_decodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film, output = tmp_path / "film.mp4", tmp_path / "out.mp4"
    make_clip(film, frames=_FRAMES)

    def done(decoder: DecoderKind) -> VideoReport:
        job = StylizeVideo(
            (film,), output, StyleSpec("identity"), PoolSpec(workers=0), decoder=decoder
        )
        return stylize_videos(job).inputs[0]

    if not torch.cuda.is_available():
        refused = done("nvdec")
        assert (refused.status, refused.segments["done"]) == ("failed", 0)
        assert (refused.error or "").startswith("--decoder nvdec: no NVIDIA card")
    card = FakeCard(monkeypatch)
    assert done("nvdec").status == "done"
    assert card.frames >= _FRAMES
    decoded = card.frames
    assert done("software").reused  # the decoder is no part of what a film was made with
    output.unlink()
    assert done("auto").status == "done"
    assert card.frames == decoded  # no GPU computes


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [("h264", "yuv444p"), ("h264", "yuv420p12le"), ("mpeg4", "yuv420p"), ("png", "rgb24")],
)
def test_streams_that_no_card_decodes_alike_are_named(codec: str, pixel_format: str) -> None:
    with pytest.raises(CardError, match=f"not for {codec} in {pixel_format}$"):
        open_card_decoder(stream_info(codec=codec, pixel_format=pixel_format))


def test_builds_without_nvdec_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.segments.card_decoder.hwdevices_available", lambda: ["drm"])
    with pytest.raises(CardError, match="this build of FFmpeg has no NVDEC"):
        open_card_decoder(stream_info())


def test_the_decoder_joins_torchs_context_where_there_is_one(
    card: FakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_card_decoder(stream_info())
    asked = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: asked.append(1))
    open_card_decoder(stream_info())
    assert card.options == [{}, {"current_ctx": "1"}]
    assert asked == [1]


@pytest.mark.parametrize("size", [(64, 48), (70, 51)])
@pytest.mark.parametrize("taken", [None, (40, 28)], ids=["as they are", "scaled"])
@pytest.mark.parametrize(
    ("stored", "planes", "shift"), [("nv12", "yuv420p", 0), ("p010le", "yuv420p10le", 6)]
)
@pytest.mark.parametrize("color_range", [1, 2], ids=["limited", "full"])
def test_samples_as_cards_store_them_are_those_of_planes(
    stored: str,
    planes: str,
    shift: int,
    size: tuple[int, int],
    taken: tuple[int, int] | None,
    color_range: int,
) -> None:
    random = np.random.default_rng(0)
    dtype = np.uint16 if shift else np.uint8
    by_card, by_software = av.VideoFrame(*size, stored), av.VideoFrame(*size, planes)
    by_card.color_range = by_software.color_range = color_range
    luma, both, *others = (
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size).view(dtype)  # type: ignore[call-overload]
        for plane in (*by_card.planes, *by_software.planes)
    )
    for samples in others:
        samples[:] = random.integers(0, 1024 if shift else 256, samples.shape)
    height, width = by_software.planes[1].height, by_software.planes[1].width
    luma[: size[1], : size[0]] = others[0][: size[1], : size[0]] << shift
    both[:height, 0 : 2 * width : 2] = others[1][:height, :width] << shift
    both[:height, 1 : 2 * width : 2] = others[2][:height, :width] << shift
    info = stream_info(pixel_format=planes, color=(color_range, 2, 2, 2))
    found, expected = (source_planes(each, info, taken or size) for each in (by_card, by_software))
    assert torch.equal(found.luma, expected.luma)
    assert torch.equal(found.chroma, expected.chroma)


def test_torch_that_is_being_imported_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.cuda", ModuleType("torch.cuda"))  # empty as yet
    assert _context_options() == {}
