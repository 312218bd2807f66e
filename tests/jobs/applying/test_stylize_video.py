"""The video job in this process, without Ray: what goes in, what comes out, what is kept."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import jobs.applying.stylize_video
import pipeline.assembly.reassembly
import pipeline.films.film
import pipeline.films.films
import pipeline.films.plan
import pipeline.segments.begun
import pipeline.segments.ledger
from cluster.workers.room import Resources
from jobs.applying.stylize_images import stylize_images
from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.library import Style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError
from nst_core.stylizer import Stylizer
from pipeline.assembly.reassembly import CopyReport
from pipeline.films.finished_films import HIDDEN_FOLDER
from pipeline.numbered.probing import probe_film
from pipeline.segments.frames import frame_to_encode
from pipeline.segments.task import SegmentResult, SegmentTask
from pipeline.segments.work_folder import HIDDEN_PARENT, WorkFolder
from pipeline.segments.worker import SegmentWorker
from pipeline.work.in_process_pool import InProcessPool
from pipeline.work.progress import Progress
from tests.kit.image_jobs import images_job, save_pictures
from tests.kit.media import decoded_frames, make_clip, moving_picture, psnr, stream_packets
from tests.kit.sound_reading import read_sound

HERE = PoolSpec(workers=0)


def _job(clip: Path, output: Path, style: str = "identity", **options: object) -> StylizeVideo:
    spec = StylizeVideo((clip,), output, StyleSpec(style), HERE, segment_seconds=0.5)
    return dataclasses.replace(spec, **options)  # type: ignore[arg-type]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_frames_keep_their_times_and_sound_its_bytes(
    clip: Path, tmp_path: Path, suffix: str
) -> None:
    output = tmp_path / f"out{suffix}"
    (report,) = stylize_videos(_job(clip, output)).inputs
    assert report.status == "done", report.error
    assert (report.frames_in, report.frames_out) == (48, 48)
    assert report.verified is not None
    assert report.verified.everything
    assert report.segments == {"total": 4, "done": 4, "reused": 0, "retried": 0}
    # mkv counts milliseconds, and has no times before zero, where AAC's first packet is.
    shift, tolerance = (Fraction(1024, 48_000), 0.001) if suffix == ".mkv" else (0, 0)
    later = ["every time is 21.3 ms later: .mkv has no times before zero"] if shift else []
    assert report.warnings == later
    for (a, frame), (b, copy) in zip(decoded_frames(clip), decoded_frames(output), strict=True):
        assert abs(b - a - shift) <= tolerance
        assert psnr(frame, copy) > 33
    before, after = stream_packets(clip, "audio"), stream_packets(output, "audio")
    assert [data for _, data in before] == [data for _, data in after]
    for (a, _), (b, _) in zip(before, after, strict=True):
        assert abs(b - a - shift) <= tolerance
    assert not (tmp_path / HIDDEN_PARENT).exists()


def test_vp9_with_opus_becomes_webm(tmp_path: Path) -> None:
    source, output = tmp_path / "in.webm", tmp_path / "out.webm"
    make_clip(source, codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"})
    (report,) = stylize_videos(_job(source, output)).inputs
    assert report.status == "done", report.error
    assert stream_packets(source, "audio") == stream_packets(output, "audio")


def test_hevc_in_mp4_is_tagged_for_every_player(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    (report,) = stylize_videos(_job(clip, output, codec="hevc")).inputs
    assert report.status == "done", report.error
    import av

    with av.open(str(output)) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_segments_are_spliced_without_a_seam(clip: Path, style: Style, tmp_path: Path) -> None:
    # ffv1 loses nothing: cutting into pieces must not change a single pixel.
    one, many = tmp_path / "one.mkv", tmp_path / "many.mkv"
    for output, seconds in ((one, 60), (many, 0.3)):
        job = _job(clip, output, str(style.path), codec="ffv1", segment_seconds=seconds)
        assert stylize_videos(job).inputs[0].status == "done"
    for (_, a), (_, b) in zip(decoded_frames(one), decoded_frames(many), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_encoder_is_fitted_to_frames_that_are_a_network_s_own(
    clip: Path, style: Style, tmp_path: Path
) -> None:
    def motion_search(output: str, which: StyleSpec, preset: str | None = None) -> set[bytes]:
        job = dataclasses.replace(_job(clip, tmp_path / output, preset=preset), style=which)
        assert stylize_videos(job).inputs[0].status == "done"
        # x264 writes its settings into what it encodes.
        return set(re.findall(rb" me=(\w+) ", (tmp_path / output).read_bytes()))

    whole, half = StyleSpec(str(style.path)), StyleSpec(str(style.path), strength=0.5)
    assert motion_search("stylized.mp4", whole) == {b"dia"}
    assert motion_search("asked.mp4", whole, preset="veryfast") == {b"hex"}
    assert motion_search("half.mp4", half) == {b"hex"}
    assert motion_search("identity.mp4", StyleSpec("identity")) == {b"hex"}


def test_sound_that_does_not_fit_is_refused_before_any_work(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.webm"
    report = stylize_videos(_job(clip, output))
    assert report.nothing_started
    assert "aac" in str(report.inputs[0].error)
    assert ".mkv" in str(report.inputs[0].error)
    assert not output.exists()


def test_pieces_that_a_full_disk_refuses_are_not_counted_as_done(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: WorkFolder, __: SegmentResult[bytes]) -> None:
        time.sleep(0.2)  # the job goes on meanwhile, as if it were written
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(WorkFolder, "record", refused)
    (report,) = stylize_videos(_job(clip, tmp_path / "out.mkv")).inputs
    assert report.status == "failed"
    assert "No space left" in str(report.error)
    assert report.segments["done"] == 0


def test_an_interrupted_run_goes_on_with_what_is_finished(
    clip: Path, style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, output = tmp_path / "undisturbed.mp4", tmp_path / "out.mp4"
    stylize_videos(_job(clip, undisturbed, str(style.path)))

    def interrupt(progress: Progress) -> None:
        if progress.done >= 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylize_videos(_job(clip, output, str(style.path)), interrupt)
    assert not output.exists()
    (report,) = stylize_videos(_job(clip, output, str(style.path))).inputs
    assert report.segments == {"total": 4, "done": 2, "reused": 2, "retried": 0}
    assert output.read_bytes() == undisturbed.read_bytes()


def test_what_a_listener_raises_ends_the_run_and_fails_no_segment(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.films.films, "_SECONDS_BETWEEN_SIGNS", 0.0)

    def cancel(progress: Progress) -> None:
        if progress.done:
            raise LookupError("cancelled")

    with pytest.raises(LookupError, match="cancelled"):
        stylize_videos(_job(clip, tmp_path / "out.mp4"), cancel)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("coherence", [0.0, 0.7])
def test_an_interrupted_segment_goes_on_with_its_frames(
    coherence: float, clip: Path, style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_SECONDS_BETWEEN", "_SOON_SECONDS"):
        monkeypatch.setattr(pipeline.segments.begun, name, 0.0)
    how = {"style": str(style.path), "segment_seconds": 60, "coherence": coherence}
    undisturbed, output = tmp_path / "undisturbed.mp4", tmp_path / "out.mp4"
    stylize_videos(_job(clip, undisturbed, **how))  # type: ignore[arg-type]
    done: list[int] = []

    def interrupt(progress: Progress) -> None:
        done.append(progress.done)
        if progress.done >= 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(pipeline.films.films, "_SECONDS_BETWEEN_SIGNS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        stylize_videos(_job(clip, output, **how), interrupt)  # type: ignore[arg-type]
    (work,) = (tmp_path / HIDDEN_PARENT).iterdir()
    assert list(work.glob("*.begun"))
    runs = 0
    generated = Stylizer._generated

    def counted(*given: Any) -> Any:
        nonlocal runs
        runs += 1
        return generated(*given)

    monkeypatch.setattr(Stylizer, "_generated", counted)
    stylize_videos(_job(clip, output, **how))  # type: ignore[arg-type]
    assert 0 < runs <= 48 - done[-1]
    assert output.read_bytes() == undisturbed.read_bytes()
    assert _names(tmp_path) == [HIDDEN_FOLDER, "out.mp4", "undisturbed.mp4"]


def test_segments_are_done_again_once_their_files_are_damaged(
    clip: Path, style: Style, tmp_path: Path
) -> None:
    undisturbed, output = tmp_path / "undisturbed.mp4", tmp_path / "out.mp4"
    stylize_videos(_job(clip, undisturbed, str(style.path)))

    def interrupt(progress: Progress) -> None:
        if progress.done >= 36:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylize_videos(_job(clip, output, str(style.path)), interrupt)
    (work,) = (tmp_path / HIDDEN_PARENT).iterdir()
    piece, record = work / "00000.piece", work / "00001.json"
    piece.write_bytes(piece.read_bytes().replace(b"x264", b"x265"))
    record.write_bytes(record.read_bytes()[:-9])
    (report,) = stylize_videos(_job(clip, output, str(style.path))).inputs
    assert report.segments == {"total": 4, "done": 3, "reused": 1, "retried": 0}
    assert output.read_bytes() == undisturbed.read_bytes()


@pytest.fixture
def _ctrl_c_is_heeded() -> Iterator[None]:
    """Shells have their background jobs ignore it, and this test run may be one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c_is_heeded")
@pytest.mark.parametrize("stage", ["probe_film", "reassemble", "verify"])
def test_ctrl_c_ends_what_runs_beside_the_workers_too(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    ended: list[str] = []

    def endless(*_: object, **__: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                time.sleep(0.01)
        finally:
            ended.append(stage)

    output = tmp_path / "out.mp4"
    with monkeypatch.context() as patch:
        module = pipeline.films.plan if stage == "probe_film" else pipeline.films.film
        patch.setattr(module, stage, endless)
        with pytest.raises(KeyboardInterrupt):
            stylize_videos(_job(clip, output))
    assert ended == [stage]
    assert {path.name for path in tmp_path.iterdir()} <= {HIDDEN_PARENT}
    (report,) = stylize_videos(_job(clip, output)).inputs
    assert (report.status, report.segments["reused"]) == ("done", 0 if stage == "probe_film" else 4)


def test_a_source_that_changes_meanwhile_gives_no_output(clip: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "film.mp4", tmp_path / "out.mp4"
    source.write_bytes(clip.read_bytes())

    def touch(progress: Progress) -> None:
        os.utime(source, (1, 1))

    (report,) = stylize_videos(_job(source, output), touch).inputs
    assert report.status == "failed"
    assert "changed while it was read" in str(report.error)
    assert not output.exists()
    (report,) = stylize_videos(_job(source, output)).inputs
    assert (report.status, report.segments["reused"]) == ("done", 0)


def test_intra_refresh_gets_its_pre_roll_and_loses_no_frame(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = data / "hostile" / "04_h264_intrarefresh.mp4"
    expected = [seconds for seconds, _ in decoded_frames(source)]
    assert len(expected) == 144
    output = tmp_path / "out.mp4"
    (report,) = stylize_videos(_job(source, output, segment_seconds=1)).inputs
    assert (report.status, report.missing_pts_seconds) == ("done", []), report.warnings
    assert report.segments == {"total": 10, "done": 10, "reused": 0, "retried": 0}
    assert [seconds for seconds, _ in decoded_frames(output)] == expected

    # It is the pre-roll that does it: without, frames at every cut are missing, and are told.
    monkeypatch.setattr(pipeline.segments.ledger, "with_pre_roll", lambda packets, segment: None)
    job = _job(source, output, segment_seconds=1, overwrite=True)
    (report,) = stylize_videos(job).inputs
    assert report.status == "damaged"
    assert len(report.missing_pts_seconds) == len(expected) - report.frames_out > 10


def test_a_damaged_segment_is_done_twice_and_not_again_by_a_later_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = data / "hostile" / "17_corrupt_mid.mp4", tmp_path / "out.mp4"
    starts: list[tuple[int, int]] = []
    process = SegmentWorker.process

    def counted(worker: SegmentWorker, task: SegmentTask) -> SegmentResult[bytes]:
        starts.append((task.segment.number, task.segment.first_packet))
        return process(worker, task)

    monkeypatch.setattr(SegmentWorker, "process", counted)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.films.film, "reassemble", _fail)
        stylize_videos(_job(source, output, segment_seconds=1))
    numbers = [number for number, _ in starts]
    (damaged,) = {number for number in numbers if numbers.count(number) > 1}
    assert len(numbers) == 10 + 1
    first, second = (packet for number, packet in starts if number == damaged)
    assert second < first
    starts.clear()
    (report,) = stylize_videos(_job(source, output, segment_seconds=1)).inputs
    assert starts == []
    assert (report.status, report.segments["reused"]) == ("damaged", 10)
    assert len(report.missing_pts_seconds) == 1
    assert "1 frame missing (3.21 s)" in report.warnings[0]


def _fail(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_nothing_is_reused_once_the_style_has_changed(
    clip: Path, style: Style, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylize_videos(_job(clip, output, "identity"), interrupt)
    (report,) = stylize_videos(_job(clip, output, str(style.path))).inputs
    assert report.segments["reused"] == 0


def test_a_run_stopped_just_before_its_end_only_writes(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.films.film, "reassemble", full_disk)
        (report,) = stylize_videos(_job(clip, output)).inputs
    assert report.status == "failed"
    assert "No space left" in str(report.error)
    assert list(tmp_path.glob(".out*")) == []
    again = stylize_videos(_job(clip, output))
    assert again.inputs[0].segments["reused"] == 4
    assert again.inputs[0].status == "done"
    assert again.workers == 0


def test_an_output_that_fails_its_proof_is_not_kept(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"

    class Forgetful(WorkFolder):
        def record(self, result):  # type: ignore[no-untyped-def]
            finished = super().record(result)
            if result.number != 1:
                return finished
            return dataclasses.replace(finished, piece=None)  # its piece is forgotten in the splice

    monkeypatch.setattr(pipeline.films.film, "WorkFolder", Forgetful)
    (report,) = stylize_videos(_job(clip, output)).inputs
    assert report.status == "failed"
    assert "not whole" in str(report.error)
    assert not output.exists()


@pytest.mark.parametrize(
    "name",
    [
        "01_h264_bframes_aac.mp4",
        "02b_h264_opengop.mkv",
        "03_hevc_opengop.mp4",
        "05_vfr.mp4",
        "06_rot90.mp4",
        "09_audio_late.mp4",
        "10_multi.mkv",
        "10b_multi.mp4",
        "11_vp9.webm",
        "16c_video_cover.mp4",
        "20_editlist_ss.mp4",
        "25_onegop.mp4",
        "29_tmcd.mov",
    ],
)
def test_real_files_lose_neither_frames_nor_sound(data: Path, tmp_path: Path, name: str) -> None:
    source = data / "hostile" / name
    (report,) = stylize_videos(_job(source, tmp_path / name, segment_seconds=1)).inputs
    assert report.status == "done", report.error
    expected = [seconds for seconds, _ in decoded_frames(source)]
    found = [seconds for seconds, _ in decoded_frames(tmp_path / name)]
    assert found == expected


def test_a_file_that_ends_too_early_is_damaged(data: Path, tmp_path: Path) -> None:
    source = data / "hostile" / "14_trunc_faststart.mp4"
    (report,) = stylize_videos(_job(source, tmp_path / "out.mp4")).inputs
    assert report.status == "damaged"
    assert "declares 144" in report.warnings[0]


def test_sound_that_nothing_holds_is_refused_before_any_work_unless_it_may_be_left_out(
    clip: Path, tmp_path: Path
) -> None:
    report = stylize_videos(_job(clip, tmp_path / "out.webm"))
    assert report.nothing_started
    assert "aac audio" in str(report.inputs[0].error)
    assert "--allow-left-out" in str(report.inputs[0].error)
    (part,) = stylize_videos(_job(clip, tmp_path / "out.webm", allow_left_out=True)).inputs
    assert part.status == "done", part.error
    assert sum("is left out" in warning for warning in part.warnings) == 1


def test_a_run_that_goes_on_converts_sound_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = tmp_path / "opus.webm", tmp_path / "out.mov"
    make_clip(source, codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"})

    def no_room(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.films.film, "publish_all", no_room)
        (part,) = stylize_videos(_job(source, output)).inputs
    assert "No space left" in str(part.error)
    (part,) = stylize_videos(_job(source, output)).inputs
    assert part.status == "done", part.error
    assert part.segments["reused"] == part.segments["total"]
    assert "is converted to PCM of 32 bits (floats)" in part.warnings[0]
    (before,), (after,) = read_sound(source), read_sound(output)
    assert np.array_equal(before.samples, after.samples)


def test_cover_art_is_left_out_with_a_warning_where_it_does_not_fit(
    data: Path, tmp_path: Path
) -> None:
    source = data / "hostile" / "16c_video_cover.mp4"
    (report,) = stylize_videos(_job(source, tmp_path / "out.mov")).inputs
    assert report.status == "done", report.error
    assert "left out" in report.warnings[0]


def test_names_with_colons_and_a_work_folder_beside_the_output(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "12:30.mp4").write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    job = _job(Path("12:30.mp4"), Path("13:00.mp4"), work_dir=Path())
    (report,) = stylize_videos(job).inputs
    assert report.status == "done", report.error
    assert _names(tmp_path) == [HIDDEN_FOLDER, "12:30.mp4", "13:00.mp4"]


def test_an_ending_that_cannot_be_written_becomes_mkv(clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "old.avi"
    make_clip(source, codec="mjpeg", sound=False, pixel_format="yuvj420p", frames=6)
    job = StylizeVideo((source, clip), tmp_path / "out", StyleSpec("identity"), HERE)
    report = stylize_videos(job)
    assert [video.status for video in report.inputs] == ["done", "done"]
    assert _names(tmp_path / "out") == [HIDDEN_FOLDER, "clip.mp4", "old.mkv"]


def test_one_bad_input_does_not_stop_the_others(clip: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("this is no film")
    missing = tmp_path / "missing.mp4"
    job = StylizeVideo((bad, clip, missing), tmp_path / "out", StyleSpec("identity"), HERE)
    report = stylize_videos(job)
    assert [video.status for video in report.inputs] == ["failed", "done", "failed"]
    assert not report.nothing_started
    assert _names(tmp_path / "out") == [HIDDEN_FOLDER, clip.name]


def test_inputs_are_scanned_while_the_first_are_stylized(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [tmp_path / f"{name}.mp4" for name in "abc"]
    for source in sources:
        source.write_bytes(clip.read_bytes())
    first_is_done = threading.Event()

    def slow_probe(path: Path, **how: Any) -> Any:
        if path == sources[1]:
            assert first_is_done.wait(30)
        return probe_film(path, **how)

    events: list[Progress] = []

    def look(progress: Progress) -> None:
        events.append(progress)
        if progress.done == 48:
            first_is_done.set()

    monkeypatch.setattr(pipeline.films.plan, "probe_film", slow_probe)
    job = StylizeVideo(
        tuple(sources), tmp_path / "out", StyleSpec("identity"), HERE, segment_seconds=0.5
    )
    report = stylize_videos(job, look)
    assert [video.status for video in report.inputs] == ["done"] * 3
    assert (events[0].total, events[0].note) == (0, "scanning 3 films")
    first = next(event for event in events if event.done == 12)
    assert (first.total, first.seconds_left) == (48, None)
    assert (events[-1].done, events[-1].total) == (144, 144)
    assert events[-1].per_second is not None
    assert events[-1].per_second > 0
    assert all(event.estimates for event in events)


def test_a_film_of_one_segment_tells_of_its_frames_as_they_are_done(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*planes: Any) -> av.VideoFrame:
        time.sleep(0.03)
        return frame_to_encode(*planes)

    monkeypatch.setattr("pipeline.segments.worker.frame_to_encode", slowly)
    events: list[Progress] = []
    stylize_videos(_job(clip, tmp_path / "out.mp4", segment_seconds=60), events.append)
    frames = [event.done for event in events]
    assert frames == sorted(frames)
    assert len(set(frames) - {0, 48}) >= 2
    assert frames.count(48) == 1
    assert all(event.per_second for event in events)


def test_that_workers_are_started_is_told_before_the_first_frame(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Actors(InProcessPool):
        def __init__(self, factory: Any, *_: object, **__: object) -> None:
            super().__init__(factory)

        def close(self) -> None: ...

    monkeypatch.setattr("jobs.applying.workers.ray_session", lambda address: nullcontext())
    monkeypatch.setattr("jobs.applying.workers._resources", lambda *_: Resources(cpus=1, gpus=0))
    monkeypatch.setattr("cluster.workers.actor_pool.ActorPool", Actors)
    events: list[Progress] = []
    job = _job(clip, tmp_path / "out.mp4", pool=PoolSpec(workers=2))
    stylize_videos(job, events.append)
    assert (events[0].total, events[0].note) == (0, "starting workers")
    assert (events[-1].done, events[-1].total) == (48, 48)
    events.clear()
    pictures = save_pictures(tmp_path / "in", "a.png", "b.png")
    stylize_images(images_job(pictures, tmp_path / "out", pool=PoolSpec(workers=2)), events.append)
    assert [(event.total, event.note) for event in events][:2] == [
        (0, "starting workers"),
        (2, ""),
    ]


def test_progress_ends_with_all_frames_though_the_last_scan_ends_later(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no film")
    all_are_done = threading.Event()

    def slow_probe(path: Path, **how: Any) -> Any:
        if path == text:
            assert all_are_done.wait(30)
        return probe_film(path, **how)

    events: list[Progress] = []

    def look(progress: Progress) -> None:
        events.append(progress)
        if progress.done == 48:
            all_are_done.set()

    monkeypatch.setattr(pipeline.films.plan, "probe_film", slow_probe)
    job = StylizeVideo(
        (clip, text), tmp_path / "out", StyleSpec("identity"), HERE, segment_seconds=0.5
    )
    stylize_videos(job, look)
    assert (events[-1].done, events[-1].total, events[-1].is_all) == (48, 48, True)
    assert sum(event.is_all and event.done == event.total for event in events) == 1


def test_no_worker_is_started_where_nothing_waits(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pool was opened")

    monkeypatch.setattr(jobs.applying.stylize_video, "stylizing_pool", refuse)
    text = tmp_path / "text.mp4"
    text.write_text("no film")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / clip.name).write_text("precious")
    job = StylizeVideo((text, clip), tmp_path / "out", StyleSpec("identity"), HERE)
    report = stylize_videos(job)
    assert [video.status for video in report.inputs] == ["failed", "skipped"]
    assert (report.engine, report.workers, report.nothing_started) == ("none", 0, True)


def test_an_input_that_trips_over_our_own_bug_does_not_stop_the_others(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(clip.read_bytes())

    def buggy_probe(path: Path, **how: Any) -> Any:
        if path == other:
            raise KeyError("a bug")
        return probe_film(path, **how)

    monkeypatch.setattr(pipeline.films.plan, "probe_film", buggy_probe)
    job = StylizeVideo((other, clip), tmp_path / "out", StyleSpec("identity"), HERE)
    report = stylize_videos(job)
    assert [video.status for video in report.inputs] == ["failed", "done"]
    assert "a bug" in str(report.inputs[0].error)


def test_what_a_killed_run_left_beside_its_output_is_removed(clip: Path, tmp_path: Path) -> None:
    leftovers: list[Path] = []

    def kill(source: object, pieces: object, destination: Path, *_: object, **__: object) -> None:
        destination.write_bytes(b"half a film")
        leftovers.append(destination)
        raise _Killed

    output = tmp_path / "out.mp4"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline.films.film, "reassemble", kill)
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # the dead do not clean up
        with pytest.raises(_Killed):
            stylize_videos(_job(clip, output))
    assert leftovers[0].exists()
    (report,) = stylize_videos(_job(clip, output)).inputs
    assert report.status == "done"
    assert _names(tmp_path) == [HIDDEN_FOLDER, "out.mp4"]


class _Killed(BaseException):
    """Nobody's ``except Exception``."""


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_deadline_must_be_later_than_now(clip: Path, tmp_path: Path, seconds: float) -> None:
    with pytest.raises(InputError, match="--segment-deadline"):
        _job(clip, tmp_path / "out.mp4", segment_deadline=seconds)


def test_an_existing_output_is_replaced_only_when_told(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.write_text("precious")
    (report,) = stylize_videos(_job(clip, output)).inputs
    assert report.status == "skipped"
    assert output.read_text() == "precious"
    (report,) = stylize_videos(_job(clip, output, overwrite=True)).inputs
    assert report.status == "done"


def test_a_link_to_nothing_is_told_before_any_work(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.symlink_to(tmp_path / "nowhere.mp4")
    (report,) = stylize_videos(_job(clip, output)).inputs
    assert (report.status, report.segments["total"]) == ("skipped", 0)
    assert "a link to what is not there" in str(report.error)
    (report,) = stylize_videos(_job(clip, output, overwrite=True)).inputs
    assert report.status == "done"


def test_an_output_equal_to_its_input_is_refused(clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "film.mp4"
    source.write_bytes(clip.read_bytes())
    (report,) = stylize_videos(_job(source, source, overwrite=True)).inputs
    assert "own input" in str(report.error)
    assert source.read_bytes() == clip.read_bytes()


def test_two_inputs_of_one_name_are_refused(clip: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / clip.name
    other.parent.mkdir()
    other.write_bytes(clip.read_bytes())
    job = StylizeVideo((clip, other), tmp_path / "out", StyleSpec("identity"), HERE)
    with pytest.raises(InputError, match="would both become"):
        stylize_videos(job)


def test_max_side_shrinks_the_frames(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "small.mp4"
    stylize_videos(_job(clip, output, max_side=48))
    assert decoded_frames(output)[0][1].shape == (32, 48)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("out.xyz", {}, "xyz"),
        ("out.webm", {"codec": "h264"}, "--codec h264"),
        ("nowhere/out.mp4", {}, "no such folder"),
        ("out.mkv", {"codec": "ffv1", "crf": 18}, "--crf"),
        ("out.mp4", {"preset": "bogus"}, "medium"),
        ("out.mp4", {"crf": 60}, "0 (best) to 51"),
    ],
)
def test_impossible_outputs_are_refused_in_one_line(
    clip: Path, tmp_path: Path, name: str, options: dict[str, Any], words: str
) -> None:
    report = stylize_videos(_job(clip, tmp_path / name, **options))
    assert report.nothing_started
    assert words in str(report.inputs[0].error)


def test_more_inputs_than_may_be_open_are_all_done(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.films.films, "_MOST_OPEN", 2)
    inputs = []
    for number in range(6):
        inputs.append(tmp_path / f"{number}.mp4")
        inputs[-1].write_bytes(clip.read_bytes())
    inputs.insert(3, tmp_path / "missing.mp4")
    job = StylizeVideo(tuple(inputs), tmp_path / "out", StyleSpec("identity"), HERE)
    seen: list[Progress] = []
    report = stylize_videos(job, seen.append)
    assert [video.status for video in report.inputs] == [*["done"] * 3, "failed", *["done"] * 3]
    assert (seen[-1].done, seen[-1].total) == (6 * 48, 6 * 48)


def test_an_output_that_appears_meanwhile_is_not_replaced(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"

    def someone_else_is_faster(*arguments: Any, **options: Any) -> Any:
        output.write_text("precious")
        return pipeline.assembly.reassembly.reassemble(*arguments, **options)

    monkeypatch.setattr(pipeline.films.film, "reassemble", someone_else_is_faster)
    (report,) = stylize_videos(_job(clip, output)).inputs
    assert "appeared meanwhile" in str(report.error)
    assert output.read_text() == "precious"
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".part"] == []


def test_a_bad_packet_counts_once_however_many_segments_decode_it(tmp_path: Path) -> None:
    source = tmp_path / "one-gop.mkv"
    make_clip(source, options={"g": "1000", "bf": "0", "sc_threshold": "0"}, sound=False)
    broken = tmp_path / "broken.mkv"
    with av.open(str(source)) as container, av.open(str(broken), "w") as result:
        stream = result.add_stream_from_template(container.streams.video[0])
        for number, packet in enumerate(container.demux(video=0)):
            if not packet.size:
                continue
            if number == 5:
                packet.update(b"\xff" * packet.size)
            packet.stream = stream
            result.mux(packet)
    texts = []
    for seconds in (60, 0.3):
        output = tmp_path / f"{seconds}.mkv"
        (report,) = stylize_videos(_job(broken, output, segment_seconds=seconds)).inputs
        assert report.status == "damaged", report
        texts += [line for line in report.warnings if "damaged" in line]
    assert texts[0] == texts[1]
    assert "1 packet that could not be decoded" in texts[0]


def test_transparency_that_begins_later_is_told_where_it_is_lost(tmp_path: Path) -> None:
    source = tmp_path / "late.apng"
    with av.open(str(source), "w", format="apng") as container:
        stream = container.add_stream("apng", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "rgba"
        for number in range(4):
            pixels = np.full((32, 32, 4), 255, np.uint8)
            pixels[:8, :8, 3] = 255 if number < 2 else 0
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgba")))
        container.mux(stream.encode(None))
    (lost,) = stylize_videos(_job(source, tmp_path / "out.mp4")).inputs
    assert any("transparency, which begins later" in line for line in lost.warnings)
    (kept,) = stylize_videos(_job(source, tmp_path / "out.mkv", codec="ffv1")).inputs
    assert not any("transparency" in line for line in kept.warnings)


@pytest.mark.parametrize("colours_from", [0, 24, 99])
def test_grey_stored_with_colours_loses_none(tmp_path: Path, colours_from: int) -> None:
    path = tmp_path / "grey.avi"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mjpeg", rate=24)
        video.width, video.height, video.pix_fmt = 64, 48, "yuvj444p"
        for number in range(48):
            picture = moving_picture(number, 64, 48)
            if number < colours_from:
                picture = np.repeat(picture[..., :1], 3, axis=-1)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(video.encode(None))
    (report,) = stylize_videos(_job(path, tmp_path / "out.mkv")).inputs
    assert report.status == "done", report.error
    lines = [line for line in report.warnings if "colour" in line]
    words = {0: ["its 4:4:4 frames"], 24: ["its colours, which begin later"], 99: []}
    assert [line[: len(w)] for line, w in zip(lines, words[colours_from], strict=True)] == words[
        colours_from
    ]


def test_sound_that_breaks_off_makes_the_source_damaged(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_lost_sound(*arguments: Any, **options: Any) -> CopyReport:
        report = pipeline.assembly.reassembly.reassemble(*arguments, **options)
        return dataclasses.replace(report, warnings=("its sound breaks off",), is_whole=False)

    monkeypatch.setattr(pipeline.films.film, "reassemble", with_lost_sound)
    (report,) = stylize_videos(_job(clip, tmp_path / "out.mp4")).inputs
    assert report.status == "damaged"
    assert "its sound breaks off" in report.warnings


def test_a_disk_that_fills_up_while_writing_names_what_is_written(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object, **__: object) -> None:
        with av.open("/dev/full", "w", format="mp4") as container:  # as PyAV tells it
            stream = container.add_stream("mpeg4", rate=24)
            for _frame in range(200):
                container.mux(stream.encode(av.VideoFrame(640, 480, "yuv420p")))

    monkeypatch.setattr(pipeline.films.film, "reassemble", no_room)
    output = tmp_path / "out.mp4"
    (report,) = stylize_videos(_job(clip, output)).inputs
    assert str(report.error).startswith(f"{output}: No space left on device; ")
    assert "make room" in str(report.error)


def test_frames_that_the_decoder_calls_corrupt_are_told_by_their_times(tmp_path: Path) -> None:
    whole, source = tmp_path / "whole.ts", tmp_path / "cut.ts"
    options = {"g": "6", "b": "600k"}
    make_clip(whole, codec="mpeg2video", options=options, sound=False, width=320, height=240)
    data, packet = whole.read_bytes(), 188
    middle = len(data) // packet // 2 * packet
    source.write_bytes(data[:middle] + data[middle + 2 * packet :])  # two packets lost on the air
    with av.open(str(source)) as container:
        frames = list(container.decode(video=0))
    corrupt = [frame.time for frame in frames if frame.is_corrupt]
    assert corrupt
    (report,) = stylize_videos(_job(source, tmp_path / "out.mkv", segment_seconds=60)).inputs
    assert report.status == "damaged"
    assert report.frames_out == len(frames)
    assert report.corrupt_pts_seconds == pytest.approx(corrupt, abs=1e-6)


def test_segments_at_once_in_this_process_give_the_same_bytes(
    clip: Path, style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are on a GPU; here a CPU stands for it."""
    outputs = []
    for on_gpu in (False, True):
        monkeypatch.setattr("jobs.applying.workers._is_on_gpu", lambda _, is_it=on_gpu: is_it)
        monkeypatch.setattr("jobs.applying.workers.usable_processors", lambda: 3)
        told: list[Progress] = []
        job = StylizeVideo(
            (clip,),
            tmp_path / f"{on_gpu}.mp4",
            StyleSpec(str(style.path), device="cpu"),
            PoolSpec(workers=0),
            segment_seconds=0.5,
        )
        (report,) = stylize_videos(job, told.append).inputs
        assert report.status == "done", report.error
        assert max(each.done for each in told) == report.frames_out
        outputs.append(Path(job.output).read_bytes())
    assert outputs[0] == outputs[1]
