"""A video over three machines: nodes and links that fail cost time, and no frame.

The machines are network namespaces, so that links can be cut. The two that work do not see the
folder that the video, the style and the output are in.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.nodes.records import NodeRecord
from nst_core.checkpoints.library import find_style
from tests.kit.cluster_nodes import Machine, Network

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Three machines; whatever runs on them is ended."""
    try:
        network = Network(tmp_path_factory.mktemp("network"), 3)
    except OSError as error:
        pytest.skip(f"machines cannot be made of namespaces here: {error}")
    try:
        yield network
    finally:
        network.down()
        network.close()


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What only the driver's machine sees: a video, a style, and what a local run makes of them."""
    folder = tmp_path_factory.mktemp("driver")
    shutil.copy(data / "video" / "bunny.mp4", folder / "bunny.mp4")
    pack = find_style("wave").path
    assert pack is not None
    shutil.copy(pack, folder / "pack.safetensors")
    result = Machine(folder / "home").nst(*_stylize("local.mp4"), "--workers", "2", folder=folder)
    assert result.returncode == 0, result.stderr
    return folder


def _stylize(output: str, *options: str) -> tuple[str, ...]:
    command = ("stylize", "video", "bunny.mp4", "-o", output, "--style", "pack.safetensors:wave")
    return (*command, "--max-side", "400", "--segment-seconds", "0.5", "--json", *options)


class _Run:
    """A cluster of one head that has no CPUs and two workers of one, stylizing."""

    def __init__(self, network: Network, folder: Path, output: str, *options: str) -> None:
        self.driver = network.machine(0)
        self.head = self.driver.up("--listen", network.address(0), "--cpus", "0")
        self.workers = [self._join(network, number, folder) for number in (1, 2)]
        self.process = self.start(folder, output, *options)
        self._folder = folder
        self._output = output
        self._wait_until_half_way()

    def start(self, folder: Path, output: str, *options: str) -> subprocess.Popen[str]:
        command = (*_stylize(output, *options), "--address", self.head.address)
        return self.driver.start(*command, folder=folder)

    def _join(self, network: Network, number: int, folder: Path) -> NodeRecord:
        worker = network.machine(number, hidden=folder)
        return worker.up("--join", self.head.address, "--cpus", "1")

    def _wait_until_half_way(self) -> None:
        """Until some segments are done by both workers, and most are not."""
        end = time.monotonic() + 300
        while len(list(self._folder.glob(".nst-work/**/*.piece"))) < 4:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)

    def report(self) -> dict[str, Any]:
        stdout, stderr = self.process.communicate(timeout=600)
        assert self.process.returncode == 0, stderr
        (report,) = json.loads(stdout)["inputs"]
        return dict(report)


def _kill(node: NodeRecord) -> None:
    for process in node.processes():
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _assert_as_if_nothing_had_happened(report: dict[str, Any], folder: Path, output: str) -> None:
    _assert_whole(report)
    assert report["segments"]["retried"] >= 1
    assert (folder / output).read_bytes() == (folder / "local.mp4").read_bytes()


def _assert_whole(report: dict[str, Any]) -> None:
    assert (report["status"], report["frames_out"]) == ("done", 240), report
    assert report["verified"]["frame_count"]
    assert report["verified"]["pts"]
    assert report["verified"]["copied_streams"]


@pytest.mark.slow
def test_the_segments_of_a_killed_node_are_done_by_another(network: Network, folder: Path) -> None:
    run = _Run(network, folder, "killed.mp4")
    _kill(run.workers[0])
    _assert_as_if_nothing_had_happened(run.report(), folder, "killed.mp4")


@pytest.mark.slow
def test_the_segments_behind_a_cut_link_are_done_by_another(network: Network, folder: Path) -> None:
    run = _Run(network, folder, "cut.mp4")
    network.cut(1)
    cut = time.monotonic()
    while run.process.poll() is None and "lost" not in run.driver.nst("cluster", "status").stdout:
        time.sleep(0.2)
    assert time.monotonic() - cut < 15
    _assert_as_if_nothing_had_happened(run.report(), folder, "cut.mp4")


@pytest.mark.slow
def test_a_lost_head_is_one_line_and_a_new_cluster_goes_on(network: Network, folder: Path) -> None:
    # Workers go on without a head, and would come to the end of a film that is done sooner.
    slow = ("--engine", "torch", "--max-side", "640")
    run = _Run(network, folder, "resumed.mp4", *slow)
    _kill(run.head)
    _, stderr = run.process.communicate(timeout=600)
    assert run.process.returncode == 2, stderr
    errors = [line for line in stderr.splitlines() if "frames" not in line]
    assert len(errors) == 1, stderr
    assert errors[0].startswith(f"error: the head at {run.head.address} is lost")
    network.down()

    again = run.driver.up("--listen", network.address(0), "--cpus", "1")
    result = run.driver.nst(
        *_stylize("resumed.mp4", *slow), "--address", again.address, folder=folder
    )
    assert result.returncode == 0, result.stderr
    (report,) = json.loads(result.stdout)["inputs"]
    assert report["segments"]["reused"] >= 3
    _assert_whole(report)
    local = Machine(folder / "home").nst(
        *_stylize("local-slow.mp4", *slow), "--workers", "2", folder=folder
    )
    assert local.returncode == 0, local.stderr
    assert (folder / "resumed.mp4").read_bytes() == (folder / "local-slow.mp4").read_bytes()


@pytest.mark.slow
def test_a_film_that_is_finished_without_its_head_is_told_as_finished(
    network: Network, folder: Path
) -> None:
    """Ray itself would wait for the head, to leave the cluster, until it is given up."""
    run = _Run(network, folder, "finished.mp4")
    _kill(run.head)
    _assert_whole(run.report())
    assert (folder / "finished.mp4").read_bytes() == (folder / "local.mp4").read_bytes()


@pytest.mark.slow
def test_folders_that_a_node_does_not_see_are_one_line_and_nothing_is_lost(
    network: Network, folder: Path, photos: Path, vgg19_file: Path
) -> None:
    driver, head = _cluster(network, workers=1, hidden=folder)
    shutil.copytree(photos, folder / "photos")
    weights = ("--loss-network", "vgg19", "--loss-network-weights", str(vgg19_file))
    sizes = ("--steps", "2", "--batch-size", "1", "--image-size", "32", "--width", "4")
    photo = str(next(photos.rglob("*.jpg")))
    train = ("train", "style", photo, *weights, *sizes, "-o")
    for command, words in (
        (_images(str(photos), "-o", "out"), f"{folder}/out: the node"),
        (_images("photos", "-o", str(photos.parent / "out")), "does not see this file"),
        ((*train, "network.safetensors", "--content", str(photos)), "does not see this folder"),
    ):
        result = driver.nst(*command, "--address", head.address, folder=folder)
        assert result.returncode in (1, 2)
        (line,) = [each for each in result.stderr.splitlines() if each.startswith("error")]
        assert words in line
        assert "Traceback" not in result.stderr
    assert not list(folder.glob("out/*.jpg"))
    assert not list(folder.rglob(".nst-seen-*"))


def _images(*words: str) -> tuple[str, ...]:
    return ("stylize", "images", *words, "--style", "identity")


@pytest.mark.slow
def test_a_machine_that_only_gives_orders_has_its_film_done_by_others(
    network: Network, folder: Path
) -> None:
    _, head = _cluster(network, workers=1, hidden=folder)
    laptop = network.machine(2)
    laptop.up("--join", head.address, "--cpus", "0")
    result = laptop.nst(*_stylize("laptop.mp4"), "--address", "auto", folder=folder)
    assert result.returncode == 0, result.stderr
    assert (folder / "laptop.mp4").read_bytes() == (folder / "local.mp4").read_bytes()


@pytest.mark.slow
def test_training_goes_on_when_the_link_of_one_of_its_nodes_is_cut(
    network: Network, photos: Path, vgg19_file: Path, tmp_path: Path
) -> None:
    driver, head = _cluster(network, workers=2)
    weights = ("--loss-network", "vgg19", "--loss-network-weights", str(vgg19_file))
    sizes = ("--steps", "200", "--batch-size", "1", "--image-size", "32", "--width", "4")
    photo = str(next(photos.rglob("*.jpg")))
    options = (*weights, *sizes, "--workers", "1:2", "--checkpoint-every", "10", "--json")
    where = ("--content", str(photos), "-o", str(tmp_path / "net.safetensors"))
    training = driver.start(
        "train", "style", photo, *where, *options, "--address", head.address, folder=tmp_path
    )
    metrics = tmp_path / "net.run" / "metrics.jsonl"
    end = time.monotonic() + 300
    while not metrics.exists() or len(metrics.read_text().splitlines()) < 25:
        assert training.poll() is None, training.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    network.cut(1)
    stdout, stderr = training.communicate(timeout=250)
    assert training.returncode == 0, stderr
    assert json.loads(stdout)["steps"] == 200
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(200))
    assert {line["workers"] for line in lines} == {1, 2}


def _cluster(
    network: Network, workers: int, hidden: Path | None = None
) -> tuple[Machine, NodeRecord]:
    """Return the driver's machine, and its head, which workers of one CPU each have joined."""
    driver = network.machine(0)
    head = driver.up("--listen", network.address(0), "--cpus", "0")
    for number in range(1, workers + 1):
        network.machine(number, hidden).up("--join", head.address, "--cpus", "1")
    return driver, head
