"""A film on two nodes: one with a GPU, as its cluster is told, and one with CPUs alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from nst_core.checkpoints.library import Style
from tests.kit.cluster_nodes import Machine, Network
from tests.kit.media import make_clip
from tests.kit.processes import command_of

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, str]]:
    """Two machines made of namespaces; the first, with its address, has the head and a GPU."""
    try:
        network = Network(tmp_path_factory.mktemp("network"), 2)
    except OSError as error:
        pytest.skip(f"machines cannot be made of namespaces here: {error}")
    try:
        driver = network.machine(0)
        # CPUs enough for encoders, too, which are not to be there.
        head = driver.up("--listen", network.address(0), "--cpus", "8", "--gpus", "1")
        network.machine(1).up("--join", head.address, "--cpus", "2", "--gpus", "0")
        yield driver, head.address
    finally:
        network.down()
        network.close()


@pytest.fixture(scope="module")
def folder(style: Style, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film, a style, and what a run without any cluster makes of them."""
    folder = tmp_path_factory.mktemp("film")
    assert style.path is not None
    shutil.copy(style.path, folder / "style.safetensors")
    make_clip(folder / "film.mp4", frames=480, width=320, height=192, options={"g": "12"})
    result = Machine(folder / "home").nst(*_stylize("here.mp4"), "--workers", "0", folder=folder)
    assert result.returncode == 0, result.stderr
    return folder


def _stylize(output: str, *options: str) -> tuple[str, ...]:
    command = ("stylize", "video", "film.mp4", "-o", output, "--style", "style.safetensors")
    return (*command, "--segment-seconds", "0.5", "--engine", "torch", "--json", *options)


def _wait_for(is_so: Any, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def _processes(title: str) -> list[psutil.Process]:
    return [each for each in psutil.process_iter() if title in command_of(each)]


def _encoders() -> list[psutil.Process]:
    return _processes("ray::EncoderHost")


def _network_of(process: psutil.Process) -> Path:
    return Path(f"/proc/{process.pid}/ns/net").readlink()


def _on_cluster(address: str, encoders: str, *more: str) -> Sequence[str]:
    return ("--address", address, "--cpus-per-worker", "2", "--encoders", encoders, *more)


@pytest.mark.parametrize("encoders", ["0", "1", "2", "auto"])
def test_the_film_is_the_same_with_encoders_on_the_other_node(
    encoders: str, cluster: tuple[Machine, str], folder: Path
) -> None:
    machine, address = cluster
    output = f"{encoders}.mp4"
    process = machine.start(*_stylize(output, *_on_cluster(address, encoders)), folder=folder)
    most = 0
    while process.poll() is None:
        most = max(most, len(_encoders()))
        time.sleep(0.1)
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    (report,) = json.loads(stdout)["inputs"]
    assert (report["status"], report["warnings"]) == ("done", [])
    assert (folder / output).read_bytes() == (folder / "here.mp4").read_bytes()
    if encoders != "auto":
        assert most == int(encoders)
    _wait_for(lambda: not _encoders(), 30)


def test_a_killed_encoder_costs_its_segment(cluster: tuple[Machine, str], folder: Path) -> None:
    machine, address = cluster
    process = machine.start(*_stylize("killed.mp4", *_on_cluster(address, "1")), folder=folder)
    _wait_for(_encoders)
    time.sleep(1.5)  # it has been given a segment
    _encoders()[0].send_signal(signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr
    (report,) = json.loads(stdout)["inputs"]
    assert report["warnings"] == ["an encoder on another node was lost; what it had was done anew"]
    assert (folder / "killed.mp4").read_bytes() == (folder / "here.mp4").read_bytes()


def test_an_interrupted_run_leaves_no_encoder(cluster: tuple[Machine, str], folder: Path) -> None:
    machine, address = cluster
    process = machine.start(*_stylize("stopped.mp4", *_on_cluster(address, "2")), folder=folder)
    _wait_for(lambda: len(_encoders()) == 2)
    (worker,) = _processes("ray::WorkerHost")
    assert all(_network_of(each) != _network_of(worker) for each in _encoders())
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    _wait_for(lambda: not _encoders(), 30)
    assert not (folder / "stopped.mp4").exists()


def test_more_encoders_than_there_is_room_for_are_one_line(
    cluster: tuple[Machine, str], folder: Path
) -> None:
    machine, address = cluster
    for options, words in (
        (_on_cluster(address, "3"), "3 encoders of one CPU each: the nodes without a GPU have 2"),
        (_on_cluster(address, "1", "--gpus-per-worker", "0"), "they are for workers with a GPU"),
    ):
        result = machine.nst(*_stylize("no.mp4", *options), folder=folder)
        assert result.returncode == 2
        (line,) = [each for each in result.stderr.splitlines() if each.startswith("error")]
        assert words in line
