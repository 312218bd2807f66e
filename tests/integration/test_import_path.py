"""Started in a folder of a user's own modules, no process of ours imports one of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.cluster_nodes import Machine
from tests.kit.poisoned_folder import PoisonedFolder, imported_by_python

pytestmark = pytest.mark.timeout(900)

_NST = Path(sys.executable).with_name("nst")
_STYLE = ("--style", "identity")
_TRAINING = (
    *("--content", "photos", "--loss-network-weights", "vgg.safetensors", "--device", "cpu"),
    *("--image-size", "32", "--batch-size", "2", "--steps", "2"),
)
_WITH_RAY = {
    "images": ("stylize", "images", "photos", "-o", "out", *_STYLE, "--workers", "1"),
    "upscale": ("upscale", "photos/even", "-o", "out", "--model", "x4", "--workers", "1"),
    "style": (
        *("train", "style", "photos/even/0.jpg", "-o", "o.safetensors", "--width", "4"),
        *("--style-size", "32", *_TRAINING),
    ),
    "super-resolution": ("train", "super-resolution", "-o", "o.safetensors", *_TRAINING),
}
_WITHOUT_RAY = {
    "video": ("stylize", "video", "clip.mp4", "-o", "out.mp4", *_STYLE, "--workers", "0"),
    "optimize": (
        *("optimize", "photos/even/0.jpg", "--style", "photos/even/2.jpg", "-o", "o.png"),
        *("--steps", "1", "--loss-network-weights", "vgg.safetensors", "--image-size", "64"),
    ),
    "styles": ("styles", "list"),
    "export": ("styles", "export", "wave", "-o", "wave.onnx"),
    "synthesize": ("synthesize", "bricks", "-o", "o.png", "--size", "64x64"),
    "flicker": ("evaluate", "--video", "clip.mp4", "clip.mp4"),
    "doctor": ("doctor",),
}


@pytest.fixture
def folder(clip: Path, photos: Path, vgg19_file: Path, tmp_path: Path) -> PoisonedFolder:
    return _fill(PoisonedFolder(tmp_path), clip, photos, vgg19_file)


def _fill(folder: PoisonedFolder, clip: Path, photos: Path, vgg19: Path) -> PoisonedFolder:
    shutil.copy(clip, folder.path / "clip.mp4")
    shutil.copytree(photos, folder.path / "photos")
    shutil.copy(vgg19, folder.path / "vgg.safetensors")
    return folder


def _run(folder: PoisonedFolder, *command: str, **environment: str) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "PYTHON"))}
    done = subprocess.run(
        command,
        cwd=folder.path,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert folder.bitten == "", done.stderr
    assert done.returncode == 0, done.stderr


def test_the_drivers_workers_and_helpers_of_a_film_import_nothing_of_the_folder(
    folder: PoisonedFolder,
) -> None:
    command = ("stylize", "video", "clip.mp4", "-o", "out.mp4", *_STYLE, "--workers", "1")
    _run(folder, str(_NST), *command, PYTHONPATH="")


@pytest.mark.parametrize(
    "path", [f"/nothing{os.pathsep}", pytest.param(".", marks=pytest.mark.slow)]
)
def test_an_entry_of_pythonpath_that_is_empty_is_not_the_folder(
    path: str, clip: Path, photos: Path, vgg19_file: Path, tmp_path: Path
) -> None:
    # Python imports these from there before any program has a say.
    folder = PoisonedFolder(tmp_path, without=imported_by_python())
    _fill(folder, clip, photos, vgg19_file)
    _run(folder, str(_NST), *_WITHOUT_RAY["video"], PYTHONPATH=path)


def test_python_m_leaves_the_folder_out(
    clip: Path, photos: Path, vgg19_file: Path, tmp_path: Path
) -> None:
    # `python -m jobs.cli` finds `jobs` in the folder, as it is asked to, where there is one.
    folder = PoisonedFolder(tmp_path, without={"jobs", *imported_by_python("runpy")})
    _fill(folder, clip, photos, vgg19_file)
    _run(folder, sys.executable, "-m", "jobs.cli", *_WITHOUT_RAY["video"])


def test_processes_that_load_photographs_import_nothing_of_the_folder(
    folder: PoisonedFolder,
) -> None:
    code = (
        "import sys; sys.path.remove(''); "
        "from jobs.cli.import_path import leave_current_folder_out; leave_current_folder_out(); "
        "import multiprocessing; context = multiprocessing.get_context('spawn'); "
        "process = context.Process(target=print); process.start(); process.join(); "
        "raise SystemExit(process.exitcode)"
    )
    _run(folder, sys.executable, "-c", code)


@pytest.mark.slow
@pytest.mark.parametrize("command", _WITHOUT_RAY)
def test_commands_in_one_process_import_nothing_of_the_folder(
    command: str, folder: PoisonedFolder
) -> None:
    _run(folder, str(_NST), *_WITHOUT_RAY[command])


@pytest.mark.slow
@pytest.mark.parametrize("command", _WITH_RAY)
def test_commands_with_ray_import_nothing_of_the_folder(
    command: str, folder: PoisonedFolder
) -> None:
    _run(folder, str(_NST), *_WITH_RAY[command])


@pytest.fixture
def machine(folder: PoisonedFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("machine"))
    del machine.environment["PYTHONPATH"]
    try:
        yield machine
    finally:
        machine.down()


@pytest.mark.slow
def test_nodes_and_jobs_import_nothing_of_the_folder(
    folder: PoisonedFolder, machine: Machine
) -> None:
    def nst(*arguments: str) -> None:
        _run(folder, str(_NST), *arguments, **machine.environment)

    images = ("stylize", "images", "photos", *_STYLE, "--workers", "1")
    nst("cluster", "up", "--cpus", "2", "--port", "0", "--dashboard-port", "0")
    nst("jobs", "submit", "--follow", "--", *images, "-o", "out")
    output = str(folder.path / "sent")
    nst("jobs", "submit", "--follow", "--working-dir", ".", "--", *images, "-o", output)
    nst(*images, "-o", "auto", "--address", "auto")
    nst("cluster", "status")
    nst("cluster", "down")
