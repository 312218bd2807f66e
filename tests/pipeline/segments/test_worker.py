"""Decoding in segments against decoding from start to end; what is written is what was shown."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from nst_core.checkpoints.library import Style, find_style
from nst_core.errors import InputError
from nst_core.stylizer import Stylizer
from pipeline.encoding.encoders import choose_encoder
from pipeline.encoding.output_frame import output_encoding, plan_output, source_encoding
from pipeline.films.settings import FilmSettings
from pipeline.segments.decoder import SegmentDecoder
from pipeline.segments.encoder import check_encoder
from pipeline.segments.frames import source_planes
from pipeline.segments.packet_reader import PacketReader
from pipeline.segments.plan import plan_segments
from pipeline.segments.task import SegmentResult, SegmentTask
from pipeline.segments.worker import SegmentWorker
from pipeline.source.source_video import probe
from tests.kit.media import decoded_frames, make_clip, moving_picture, psnr


def _tasks(path: Path, *, seconds: float = 0.4, codec: str = "ffv1") -> list[SegmentTask]:
    source = probe(path)
    encoder = choose_encoder(Path("out.mkv"), source.info, FilmSettings(codec=codec))  # type: ignore[arg-type]
    frame = plan_output(source.info, encoder)
    segments = plan_segments(source.packets, time_base=source.info.time_base, seconds=seconds)
    with PacketReader(source) as reader:
        return [SegmentTask(s, source.info, frame, reader.read(s)) for s in segments]


@pytest.fixture
def decoded_pts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """PTS of all frames that decoders of segments give, in vain or not."""
    pts: list[int] = []
    feed = SegmentDecoder._feed

    def noted(self: SegmentDecoder, *arguments: Any) -> list[av.VideoFrame]:
        frames = feed(self, *arguments)
        pts.extend(frame.pts for frame in frames if frame.pts is not None)
        return frames

    monkeypatch.setattr(SegmentDecoder, "_feed", noted)
    return pts


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("h264.mp4", "libx264", {"g": "1000", "bf": "3", "sc_threshold": "0"}),
        ("mpeg4.avi", "mpeg4", {"g": "600", "bf": "2", "sc_threshold": "1000000000"}),
        ("vp9.webm", "libvpx-vp9", {"g": "1000", "deadline": "realtime", "cpu-used": "8"}),
    ],
)
def test_the_way_from_a_keyframe_is_decoded_once_by_each_worker(
    tmp_path: Path, decoded_pts: list[int], name: str, codec: str, options: dict[str, str]
) -> None:
    path = tmp_path / name
    make_clip(path, frames=192, codec=codec, options=options, sound=False)
    apart, chained = _tasks(path), [replace(task, film=0) for task in _tasks(path)]
    frames = sum(len(task.segment.owned_pts) for task in apart)
    worker = SegmentWorker(Stylizer(find_style("identity")))
    alone = [worker.process(task) for task in apart]
    assert len(decoded_pts) > 3 * frames
    decoded_pts.clear()
    assert [worker.process(task) for task in chained] == alone
    assert len(decoded_pts) == frames
    decoded_pts.clear()
    workers = [SegmentWorker(Stylizer(find_style("identity"))) for _ in range(2)]
    assert [workers[n % 2].process(task) for n, task in enumerate(chained)] == alone
    assert len(decoded_pts) <= 2 * frames


def test_a_worker_that_gets_an_earlier_segment_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "one-gop.mp4"
    make_clip(path, frames=96, options={"g": "1000", "bf": "3", "sc_threshold": "0"}, sound=False)
    tasks = [replace(task, film=0) for task in _tasks(path)]
    worker = SegmentWorker(Stylizer(find_style("identity")))
    first = [worker.process(task) for task in tasks]
    assert [worker.process(task) for task in reversed(tasks)] == first[::-1]
    others = [replace(task, film=1) for task in tasks]
    assert [worker.process(task) for task in others[2:]] == first[2:]


def _decoded(results: list[SegmentResult[bytes]], folder: Path) -> list[np.ndarray]:
    frames = []
    for result in results:
        path = folder / f"{result.number}.nut"
        path.write_bytes(result.piece)
        frames += [luma for _, luma in decoded_frames(path)]
    return frames


def _passed_through_rgb(path: Path, task: SegmentTask) -> Iterator[np.ndarray]:
    """Luma of a decode from start to end; the way through RGB clips what is no colour."""
    stream, output = task.stream, task.output
    stylizer = Stylizer(find_style("identity"))
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            planes = source_planes(frame, stream, output.taken_size)
            encodings = source_encoding(stream), output_encoding(stream, output)
            yield stylizer.stylize_yuv(planes, *encodings).luma[0].numpy()


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("closed.mp4", "libx264", {"g": "12", "bf": "2"}),
        ("open.mp4", "libx264", {"g": "12", "bf": "3", "x264-params": "open-gop=1"}),
        ("one-gop.mp4", "libx264", {"g": "1000", "bf": "3", "sc_threshold": "0"}),
        ("hevc.mkv", "libx265", {"x265-params": "keyint=12:open-gop=1:log-level=none"}),
        ("vp9.webm", "libvpx-vp9", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    ],
)
def test_segments_lose_no_frame_and_change_no_pixel(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = tmp_path / name
    make_clip(path, codec=codec, options=options, sound=False)
    worker = SegmentWorker(Stylizer(find_style("identity")))
    tasks = _tasks(path)
    assert len(tasks) >= 3
    results = [worker.process(task) for task in tasks]
    assert [result.missing_pts for result in results] == [()] * len(tasks)
    time_base = tasks[0].stream.time_base
    pts = [p * time_base for result in results for p in result.pts]
    assert pts == [seconds for seconds, _ in decoded_frames(path)]
    for found, luma in zip(
        _decoded(results, tmp_path), _passed_through_rgb(path, tasks[0]), strict=True
    ):
        np.testing.assert_array_equal(found, luma)


def test_frames_are_stylized_as_the_stylizer_does(clip: Path, style: Style, tmp_path: Path) -> None:
    task = _tasks(clip, seconds=60)[0]
    plain, styled = (
        _decoded([SegmentWorker(Stylizer(s)).process(task)], tmp_path)
        for s in (find_style("identity"), style)
    )
    assert len(plain) == len(styled) == 48
    assert all(psnr(a, b) < 30 for a, b in zip(plain, styled, strict=True))


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9", "prores"])
def test_every_codec_writes_a_piece_near_the_source(clip: Path, codec: str, tmp_path: Path) -> None:
    task = _tasks(clip, seconds=60, codec=codec)[0]
    result = SegmentWorker(Stylizer(find_style("identity"))).process(task)
    path = tmp_path / "piece"
    path.write_bytes(result.piece)
    frames = decoded_frames(path)
    assert len(frames) == 48
    if codec != "prores":  # its samples have 10 bits
        for (_, found), (_, expected) in zip(frames, decoded_frames(clip), strict=True):
            assert psnr(found[:64, :96], expected) > 30


def test_a_packet_that_was_lost_is_reported_by_the_frames_it_costs(clip: Path) -> None:
    task = _tasks(clip, seconds=60)[0]
    key = next(n for n, packet in enumerate(task.packets) if n and packet.is_keyframe)
    damaged = dataclasses.replace(task, packets=task.packets[:key] + task.packets[key + 1 :])
    result = SegmentWorker(Stylizer(find_style("identity"))).process(damaged)
    assert task.packets[key].pts in result.missing_pts
    assert len(result.pts) + len(result.missing_pts) == 48


def test_garbage_gives_an_empty_piece_and_every_frame_missing(clip: Path) -> None:
    task = _tasks(clip, seconds=60)[0]
    garbage = tuple(dataclasses.replace(p, data=b"\xaa" * 50) for p in task.packets)
    result = SegmentWorker(Stylizer(find_style("identity"))).process(
        dataclasses.replace(task, packets=garbage)
    )
    assert result.piece == b""
    assert result.missing_pts == task.segment.owned_pts
    assert result.errors


def test_an_encoder_that_does_not_open_is_told_before_any_work(clip: Path) -> None:
    task = _tasks(clip, codec="h264")[0]
    check_encoder(task.stream, task.output)
    settings = dataclasses.replace(task.output.encoder, pixel_format="rgb48le")
    with pytest.raises(InputError, match="does not open"):
        check_encoder(task.stream, dataclasses.replace(task.output, encoder=settings))


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        (["NVIDIA H200"], "NVIDIA H200 decodes, but has no NVENC; leave out --encoder nvenc"),
        (["NVIDIA A100-SXM4-80GB"], "NVIDIA A100-SXM4-80GB decodes, but has no NVENC"),
        (["NVIDIA H100 PCIe", "NVIDIA L4"], "not every card and driver has NVENC"),
        ([], "not every card and driver has NVENC; leave out --encoder nvenc"),
    ],
)
def test_cards_without_an_encoder_are_named(
    cards: list[str],
    words: str,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number, card in enumerate(cards):
        (tmp_path / str(number)).mkdir()
        text = f"Model: \t\t {card}\nIRQ:   \t\t 45\n"
        (tmp_path / str(number) / "information").write_text(text)
    monkeypatch.setattr("pipeline.segments.encoder._CARDS", tmp_path)
    task = _tasks(clip, codec="h264")[0]
    # No card opens this format, so that the test fails to open it where there is one, too.
    settings = dataclasses.replace(
        task.output.encoder, encoder="h264_nvenc", pixel_format="rgb48le"
    )
    with pytest.raises(InputError, match=re.escape(words)) as told:
        check_encoder(task.stream, dataclasses.replace(task.output, encoder=settings))
    assert "\n" not in str(told.value)


def test_odd_sizes_are_padded_for_codecs_that_need_even_ones(tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    make_clip(path, codec="ffv1", width=95, height=63, sound=False, frames=4)
    task = _tasks(path, codec="h264")[0]
    assert (task.output.width, task.output.height) == (96, 64)
    result = SegmentWorker(Stylizer(find_style("identity"))).process(task)
    piece = tmp_path / "piece"
    piece.write_bytes(result.piece)
    for (_, found), (_, expected) in zip(decoded_frames(piece), decoded_frames(path), strict=True):
        assert psnr(found[:63, :95], expected) > 30


@pytest.mark.parametrize(
    ("codec", "pixel_format", "written"),
    [
        ("libx264", "yuv420p10le", {"h264": "yuv420p10le", "hevc": "yuv420p10le"}),
        ("libx264", "yuv422p", {"h264": "yuv422p", "av1": "yuv420p"}),
        ("libvpx-vp9", "yuv444p", {"vp9": "yuv444p", "h264": "yuv420p"}),
        ("ffv1", "yuv444p16le", {"ffv1": "yuv444p16le", "hevc": "yuv420p10le"}),
        ("ffv1", "gbrp16le", {"ffv1": "gbrp16le", "prores": "yuv444p12le"}),
        ("ffv1", "bgra", {"ffv1": "bgra", "prores": "yuva444p12le", "vp9": "yuv420p"}),
        ("ffv1", "yuva422p10le", {"ffv1": "yuva422p10le", "h264": "yuv420p"}),
        ("ffv1", "gray10le", {"ffv1": "yuv420p10le", "vp9": "yuv420p"}),
    ],
)
def test_every_layout_is_encoded_as_it_was_planned(
    tmp_path: Path, codec: str, pixel_format: str, written: dict[str, str]
) -> None:
    # vp9's own decoder leaves alpha out; the one of prores gives 12 bits for the 10 of 4:4:4.
    source = tmp_path / "source.mkv"
    make_clip(source, codec=codec, pixel_format=pixel_format, sound=False, frames=4)
    for output, decoded in written.items():
        (task,) = _tasks(source, seconds=60, codec=output)
        result = SegmentWorker(Stylizer(find_style("identity"))).process(task)
        piece = tmp_path / output
        piece.write_bytes(result.piece)
        with av.open(str(piece)) as container, av.open(str(source)) as original:
            frames = list(container.decode(video=0))
            before = [frame.to_ndarray(format="rgb24") for frame in original.decode(video=0)]
        assert [frame.format.name for frame in frames] == [decoded] * 4
        for frame, expected in zip(frames, before, strict=True):
            found = frame.to_ndarray(format="rgb24")
            assert np.abs(found.astype(int) - expected.astype(int)).mean() < 9, output


def test_decoding_and_encoding_beside_the_network_give_the_same_bytes(
    clip: Path, style: Style
) -> None:
    alone, beside = (
        SegmentWorker(Stylizer(style, device="cpu", threads=threads)) for threads in (1, 2)
    )
    for task in _tasks(clip, codec="h264"):
        one, other = alone.process(task), beside.process(task)
        assert len(one.pts) > 8  # several batches
        assert one == other


def test_a_network_that_fails_beside_the_encoder_ends_the_segment_with_its_error(
    clip: Path, style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    stylizer = Stylizer(style, device="cpu", threads=2)
    assert stylizer.overlaps

    def fail(*arguments: object, **options: object) -> Iterator[object]:
        yield from ()
        raise InputError("no such network")

    monkeypatch.setattr(stylizer, "stylize_yuv_batches", fail)
    with pytest.raises(InputError, match="no such network"):
        SegmentWorker(stylizer).process(_tasks(clip)[0])


@pytest.mark.parametrize(
    ("second", "width", "told"),
    [(Fraction(16, 15), 96, False), (Fraction(64, 45), 96, True), (Fraction(32, 15), 48, False)],
)
def test_pixels_that_change_their_shape_are_told(
    tmp_path: Path, second: Fraction, width: int, told: bool
) -> None:
    path = tmp_path / "joined.ts"
    halves = []
    for start, (aspect, columns) in enumerate([(Fraction(16, 15), 96), (second, width)]):
        half = tmp_path / f"{start}.ts"
        with av.open(str(half), "w") as container:
            video = container.add_stream("libx264", rate=24)
            video.width, video.height, video.pix_fmt = columns, 64, "yuv420p"
            video.codec_context.sample_aspect_ratio = aspect
            for number in range(24):
                frame = av.VideoFrame.from_ndarray(moving_picture(number, columns), "rgb24")
                frame.pts, frame.time_base = 24 * start + number, Fraction(1, 24)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        halves.append(half.read_bytes())
    path.write_bytes(b"".join(halves))
    worker = SegmentWorker(Stylizer(find_style("identity")))
    notes = {note for task in _tasks(path) for note in worker.process(task).notes}
    assert any("pixels change their shape" in note for note in notes) == told
