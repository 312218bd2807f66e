"""Starting up: Ray beside the imports, no Ray for small work, and how long all that takes."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.applying.needs_ray import (
    MOST_BYTES,
    MOST_PICTURES,
    images_need_ray,
    pool_for_pictures,
    pool_for_segments,
    videos_need_ray,
)
from jobs.applying.stylize_images import stylize_images
from jobs.applying.stylize_video import stylize_videos
from jobs.benchmark.sections.start_up import first_frame_seconds, start_up
from jobs.benchmark.settings import BenchSettings
from jobs.specs.applying import PoolSpec, StylizeImages, StylizeVideo
from nst_core.checkpoints.library import Style, bundled_styles
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import NstError
from tests.kit.image_jobs import contents
from tests.kit.media import make_clip

_HERE = PoolSpec(workers=0)

_AHEAD = """
from cluster.connection import connecting_ahead, ray_session
with connecting_ahead():
    with ray_session():
        import ray
        print("inside", ray.is_initialized(), len(ray.nodes()))
    print("between", ray.is_initialized())
print("after", ray.is_initialized())
"""
_AHEAD_IN_VAIN = """
from cluster.connection import connecting_ahead
with connecting_ahead():
    raise SystemExit(7)
"""
_AHEAD_FAILING = """
import ray
import cluster.embedded_ray
from cluster.connection import connecting_ahead, ray_session
def init(**how):
    raise Exception("No raylet.\\nPlease report it.")
ray.init = init
cluster.embedded_ray._SECONDS_BEFORE_ATTEMPTS = (0.0, 0.1)
with connecting_ahead():
    print("goes on")
    with ray_session():
        pass
"""
_LIGHT = """
import sys
import jobs.applying.needs_ray
print([name for name in ("torch", "numpy", "ray", "av") if name in sys.modules])
"""


_WHOLE_JOBS = """
import sys
from pathlib import Path
from cluster.connection import ray_session
from jobs.specs.applying import PoolSpec, StylizeImages, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from jobs.applying.stylize_images import stylize_images
from jobs.applying.stylize_video import stylize_videos
clip, photos, folder, style = sys.argv[1:]
style, pool = StyleSpec(style), PoolSpec(workers=1)
with ray_session():
    video = stylize_videos(StylizeVideo((Path(clip),), Path(folder, "out.mp4"), style, pool))
    print(video.inputs[0].status, video.workers, "torch" in sys.modules)
    images = stylize_images(StylizeImages((photos,), folder + "/out", (style,), pool))
    print(images.done, images.workers, "torch" in sys.modules)
"""


def _python(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, where there is no Ray yet."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=kept | environment,
        timeout=600,
        check=False,
    )


def _film(clip: Path, to: Path, **changes: object) -> StylizeVideo:
    job = StylizeVideo((clip,), to, StyleSpec("wave"), segment_seconds=0.5)
    return dataclasses.replace(job, **changes)  # type: ignore[arg-type]


def test_a_session_uses_the_ray_that_was_started_ahead() -> None:
    result = _python(_AHEAD)
    assert result.stdout.splitlines() == ["inside True 1", "between True", "after False"]
    assert result.stderr == ""


def test_a_ray_that_nobody_came_to_need_ends_with_its_block() -> None:
    result = _python(_AHEAD_IN_VAIN)
    assert (result.returncode, result.stderr) == (7, "")


def test_what_keeps_ray_from_starting_is_told_where_it_is_needed(tmp_path: Path) -> None:
    result = _python(_AHEAD_FAILING, TMPDIR=str(tmp_path))
    assert result.stdout == "goes on\n"
    words = "EnvironmentProblem: no Ray of its own on this machine in 2 attempts (No raylet.)"
    told, *_, error = result.stderr.splitlines()
    assert told == "the machine is busy: Ray did not start in 0 s, attempt 2 of 2"
    assert words in error
    assert list(tmp_path.iterdir()) == []


def test_the_driver_of_a_whole_job_never_imports_torch(
    clip: Path, photos: Path, style: Style, tmp_path: Path
) -> None:
    result = _python(_WHOLE_JOBS, clip, photos / "even", tmp_path, style.path)
    assert result.stdout.splitlines() == ["done 1 False", "5 1 False"], result.stderr


def test_the_decision_to_start_ahead_imports_nothing_heavy() -> None:
    assert _python(_LIGHT).stdout.strip() == "[]"


def test_ray_is_started_ahead_for_a_film_of_several_segments(clip: Path, tmp_path: Path) -> None:
    assert videos_need_ray(_film(clip, tmp_path / "out.mp4"))
    missing = tmp_path / "missing.mp4"
    assert videos_need_ray(_film(clip, tmp_path, inputs=(missing, clip)))


@pytest.mark.parametrize("style", ["identity", "wave=0.5", "pack:wave=0.5,wave=0.5"])
def test_styles_that_may_be_there_are_told_from_those_that_are_not(
    style: str, clip: Path, tmp_path: Path
) -> None:
    known = style != "wave=0.5"
    assert videos_need_ray(_film(clip, tmp_path / "o.mp4", style=StyleSpec(style))) == known


def test_every_bundled_style_is_known_ahead(clip: Path, tmp_path: Path) -> None:
    for style in bundled_styles():
        assert videos_need_ray(_film(clip, tmp_path / "o.mp4", style=StyleSpec(style)))


@pytest.mark.parametrize(
    "changes",
    [
        {"pool": _HERE},
        {"pool": PoolSpec(address="10.0.0.1:6379")},
        {"style": StyleSpec("wavve")},
        {"segment_seconds": 1.5},  # the clip has 2 s: it is one segment
        {"inputs": (Path(__file__),)},
        {"inputs": (Path("missing.mp4"),)},
        {"output": Path("missing/out.mp4")},
    ],
)
def test_no_ray_is_started_ahead_of_what_may_not_need_it(
    changes: dict[str, object], clip: Path, tmp_path: Path
) -> None:
    assert not videos_need_ray(_film(clip, tmp_path / "out.mp4", **changes))


def test_no_ray_is_started_ahead_where_earlier_work_may_be_used(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    (tmp_path / ".nst-work").mkdir()
    assert not videos_need_ray(_film(clip, output))
    assert videos_need_ray(_film(clip, output, resume=False))
    output.touch()
    assert not videos_need_ray(_film(clip, output, resume=False))
    assert videos_need_ray(_film(clip, output, resume=False, overwrite=True))


def test_ray_is_started_ahead_for_a_folder_of_many_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    job = StylizeImages((str(folder),), str(tmp_path / "out"), (StyleSpec("wave"),))
    for number in range(MOST_PICTURES):
        (folder / f"{number}.jpg").touch()
    assert not images_need_ray(job)
    (folder / "more.jpg").touch()
    assert images_need_ray(job)
    assert not images_need_ray(dataclasses.replace(job, pool=_HERE))
    (tmp_path / "out").mkdir()
    assert not images_need_ray(job)


def test_small_work_stays_in_this_process_unless_a_pool_is_asked_for() -> None:
    default, small = PoolSpec(), [1000] * MOST_PICTURES
    assert pool_for_pictures(default, small) == _HERE
    assert pool_for_pictures(default, [*small, 1000]) == default
    assert pool_for_pictures(default, small, styles=2) == default
    assert pool_for_pictures(default, [MOST_BYTES // 2, MOST_BYTES]) == default
    assert pool_for_pictures(default, [100 * MOST_BYTES]) == _HERE  # only one worker could do it
    assert pool_for_segments(default, 1) == _HERE
    assert pool_for_segments(default, 2) == default
    for asked in (
        PoolSpec(workers=1),
        PoolSpec(cpus_per_worker=2),
        PoolSpec(gpus_per_worker=0.5),
        PoolSpec(address="10.0.0.1:6379"),
    ):
        assert pool_for_pictures(asked, [1000]) == asked
        assert pool_for_segments(asked, 1) == asked


@pytest.mark.usefixtures("ray_here")
def test_a_picture_has_the_same_bytes_with_and_without_ray(
    photos: Path, style: Style, tmp_path: Path
) -> None:
    outputs = []
    for name, pool in (("here", PoolSpec()), ("ray", PoolSpec(workers=1))):
        output = tmp_path / name
        job = StylizeImages((str(photos / "even"),), str(output), (StyleSpec(str(style.path)),))
        report = stylize_images(dataclasses.replace(job, pool=pool))
        assert (report.done, report.workers) == (5, pool.workers or 0)
        outputs.append(contents(output))
    assert outputs[0] == outputs[1]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_short_video_has_the_same_bytes_with_and_without_ray(
    clip: Path, style: Style, tmp_path: Path
) -> None:
    outputs = []
    for name, pool in (("here", PoolSpec()), ("ray", PoolSpec(workers=1))):
        output = tmp_path / f"{name}.mp4"
        job = _film(clip, output, style=StyleSpec(str(style.path)), pool=pool, segment_seconds=5.0)
        report = stylize_videos(job)
        assert report.inputs[0].status == "done", report.inputs[0].error
        assert report.workers == (pool.workers or 0)
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_several_short_videos_are_several_segments(
    clip: Path, style: Style, tmp_path: Path
) -> None:
    second = tmp_path / "second.mp4"
    make_clip(second)
    (tmp_path / "out").mkdir()
    job = _film(clip, tmp_path / "out", inputs=(clip, second), segment_seconds=5.0)
    report = stylize_videos(dataclasses.replace(job, style=StyleSpec(str(style.path))))
    assert [video.status for video in report.inputs] == ["done", "done"]
    assert report.workers > 0


def test_a_command_that_fails_has_no_first_frame(tmp_path: Path) -> None:
    with pytest.raises(NstError, match=r"nst stylize video: exit code 2: .*no such file"):
        first_frame_seconds(tmp_path / "missing.mp4", tmp_path)


@pytest.mark.slow
def test_the_start_up_is_broken_down_and_compared_with_what_is_unavoidable(tmp_path: Path) -> None:
    section = start_up(BenchSettings(tmp_path, quick=True))
    seconds = {str(name): value for name, value, _ in section.rows}
    assert all(isinstance(value, float) and value >= 0 for value in seconds.values())
    parts = [value for _, value, mark in section.rows if mark == "yes"]
    assert len(parts) == 3
    whole = seconds["from the command to its first frames"]
    assert isinstance(whole, float)
    assert whole > max(value for value in parts if isinstance(value, float))
