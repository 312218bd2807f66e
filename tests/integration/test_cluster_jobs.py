"""`nst cluster` and `nst jobs` on this machine: the same results as without, and nothing left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.torch import load_file

from cluster.nodes.records import MARK, NodeRecord
from nst_core.checkpoints.library import Style
from tests.kit.cluster_nodes import Machine
from tests.kit.media import make_clip
from tests.kit.processes import command_of

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """This machine, with a head on loopback that offers two CPUs."""
    machine = Machine(tmp_path_factory.mktemp("here"))
    try:
        machine.up("--cpus", "2", "--port", "0", "--dashboard-port", "0")
        yield machine
    finally:
        machine.down()


@pytest.fixture
def folder(photos: Path, style: Style, tmp_path: Path) -> Path:
    """Pictures, one of them broken, and a style: what a user has beside him."""
    assert style.path is not None
    shutil.copy(style.path, tmp_path / "style.safetensors")
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no picture")
    return tmp_path


def _images(output: str, *options: str) -> tuple[str, ...]:
    command = ("stylize", "images", "photos", "-o", output, "--style", "style.safetensors")
    return (*command, "--json", *options)


def _tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*.jpg"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_job_gives_the_result_report_and_code_of_the_command_itself(
    here: Machine, folder: Path
) -> None:
    itself = here.nst(*_images("itself"), folder=folder)
    job = here.nst("jobs", "submit", "--follow", "--", *_images("job"), folder=folder)
    assert (itself.returncode, job.returncode) == (1, 1), job.stderr
    report, jobs_report = json.loads(itself.stdout), json.loads(job.stdout)
    assert report["failures"] == jobs_report["failures"] != []
    assert (report["total"], report["done"]) == (jobs_report["total"], jobs_report["done"])
    assert _tree(folder / "itself") == _tree(folder / "job") != {}
    assert f"error: {report['failures'][0]['error']}" in job.stderr
    assert not {"\x1d", "\x1e"} & set(job.stdout + job.stderr)

    (job_id,) = [
        each["id"]
        for each in json.loads(here.nst("jobs", "list", "--json").stdout)["jobs"]
        if "-o job" in each["command"]
    ]
    status = json.loads(here.nst("jobs", "status", job_id, "--json").stdout)
    assert (status["status"], status["exit_code"]) == ("FAILED", 1)
    assert status["report"] == jobs_report
    assert status["metadata"]["inputs"] == "photos"
    assert status["metadata"]["folder"] == str(folder)
    assert "ray" in status["metadata"]["versions"]
    logs = here.nst("jobs", "logs", job_id)
    assert json.loads(logs.stdout) == jobs_report


@pytest.mark.slow
def test_a_job_that_cannot_start_gives_its_own_line_and_code(here: Machine, folder: Path) -> None:
    command = ("stylize", "images", "photos", "-o", "out", "--style", "/nowhere/a.safetensors")
    job = here.nst("jobs", "submit", "--follow", "--", *command, folder=folder)
    assert job.returncode == 2
    *_, error, end = job.stderr.splitlines()
    assert error.startswith("error: style '/nowhere/a.safetensors' is neither")
    words = error.removeprefix("error: ")
    job_id = end.split(":")[0].removeprefix("job ")
    assert end == f"job {job_id}: failed (2): {words}"
    assert f"error     {words}" in here.nst("jobs", "status", job_id).stdout.splitlines()
    assert "nothing to stop" in here.nst("jobs", "stop", job_id).stdout
    # It has never connected to Ray.
    (line,) = [line for line in here.nst("cluster", "status").stdout.splitlines() if job_id in line]
    assert line.split()[:2] == ["job", "failed"]


def test_a_missing_input_is_told_before_a_job_is_made_of_it(here: Machine, folder: Path) -> None:
    command = ("stylize", "images", "nothing-here", "-o", "out", "--style", "identity")
    _assert_one_line(
        here.nst("jobs", "submit", "--", *command, folder=folder),
        "nothing-here: no such file or folder",
    )
    assert "nothing-here" not in here.nst("jobs", "list").stdout


@pytest.mark.slow
def test_a_folder_that_is_sent_is_where_the_job_reads(here: Machine, folder: Path) -> None:
    (folder / "photos" / "broken.jpg").unlink()
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    output = str(folder / "written")
    command = ("jobs", "submit", "--follow", "--working-dir", str(folder), "--", *_images(output))
    job = here.nst(*command, folder=elsewhere)
    assert job.returncode == 0, job.stderr
    assert json.loads(job.stdout)["done"] == 10
    assert len(_tree(folder / "written")) == 10


@pytest.mark.slow
def test_the_same_submit_finds_the_job_that_runs_and_stop_leaves_work_to_go_on_with(
    here: Machine, folder: Path
) -> None:
    make_clip(folder / "film.mp4", frames=720, width=240, height=136)
    style = ("--style", "wave", "--precision", "float32", "--segment-seconds", "1")
    command = ("stylize", "video", "film.mp4", "-o", "out.mp4", *style, "--json")
    ids = [here.nst("jobs", "submit", "--", *command, folder=folder).stdout for _ in range(2)]
    assert ids[0] == ids[1] != ""
    job_id = ids[0].strip()
    end = time.monotonic() + 300
    while len(list(folder.glob(".nst-work/**/*.piece"))) < 4:
        assert time.monotonic() < end
        time.sleep(0.05)
    stopped = here.nst("jobs", "stop", job_id, "--json")
    assert json.loads(stopped.stdout)["status"] == "STOPPED"
    assert not (folder / "out.mp4").exists()

    in_vain = here.nst("jobs", "submit", "--id", job_id, "--", *command, folder=folder)
    assert in_vain.returncode == 2
    assert f"that job has been stopped and an id runs only once; try --id {job_id}-2" in (
        in_vain.stderr
    )
    again = here.nst("jobs", "submit", "--follow", "--", *command, folder=folder)
    assert again.returncode == 0, again.stderr
    (report,) = json.loads(again.stdout)["inputs"]
    assert report["segments"]["reused"] >= 3


@pytest.mark.slow
def test_a_follower_that_leaves_says_how_to_come_back(here: Machine, folder: Path) -> None:
    make_clip(folder / "film.mp4", frames=720, width=240, height=136)
    style = ("--style", "wave", "--precision", "float32", "--segment-seconds", "1")
    command = ("stylize", "video", "film.mp4", "-o", "out.mp4", *style)
    follower = here.start("jobs", "submit", "--follow", "--", *command, folder=folder)
    assert follower.stderr is not None
    for line in follower.stderr:
        if "frames" in line:
            break
    follower.send_signal(2)
    _, stderr = follower.communicate(timeout=600)
    assert follower.returncode == 130
    (line,) = [line for line in stderr.splitlines() if line.startswith("detached")]
    job_id = line.split("nst jobs stop ")[1].split("`")[0]
    assert f"nst jobs logs {job_id} --follow" in line
    assert json.loads(here.nst("jobs", "status", job_id, "--json").stdout)["status"] == "RUNNING"
    assert here.nst("jobs", "stop", job_id).returncode == 0


def test_status_shows_nodes_and_jobs(here: Machine) -> None:
    lines = here.nst("cluster", "status").stdout.splitlines()
    assert lines[0].startswith("cluster  127.0.0.1:")
    assert any(line.startswith("node     head") and "2 of 2 CPUs free" in line for line in lines)
    fields = json.loads(here.nst("cluster", "status", "--json").stdout)
    assert [node["is_head"] for node in fields["nodes"]] == [True]


@pytest.mark.slow
def test_a_wrong_request_or_token_is_one_line_at_once(here: Machine, folder: Path) -> None:
    (record,) = _records(here)
    images = (*_images("out"), "--address")
    for options, words in (
        ((record.address, "--gpus-per-worker", "1"), "there is room for 0 (2 CPUs, 0 GPUs)"),
        (("127.0.0.1:9",), "no Ray at 127.0.0.1:9"),
        (("ray://127.0.0.1:10001",), "HOST:PORT of a cluster's head is allowed"),
    ):
        _assert_one_line(here.nst(*images, *options, folder=folder), words)
    _assert_one_line(here.nst("jobs", "list", "--address", "http://127.0.0.1:9"), "no Jobs API")
    strangers = {"none": Machine(folder / "none"), "wrong": Machine(folder / "wrong")}
    strangers["wrong"].environment["RAY_AUTH_TOKEN"] = "0" * 64
    for token, stranger in strangers.items():
        words = {"none": "wants a token", "wrong": "does not take this token"}[token]
        started = time.monotonic()
        _assert_one_line(stranger.nst(*images, record.address, folder=folder), words)
        _assert_one_line(stranger.nst("jobs", "list", "--address", str(record.dashboard)), words)
        assert time.monotonic() - started < 20  # for both


def _assert_one_line(result: subprocess.CompletedProcess[str], words: str) -> None:
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_the_token_is_its_owners_alone_and_shown_nowhere(here: Machine) -> None:
    path = here.home / ".ray" / "auth_token"
    assert path.stat().st_mode & 0o777 == 0o600
    token = path.read_text()
    assert len(token) == 64
    told = here.nst("cluster", "token")
    assert (told.stdout, told.stderr) == (f"{path}\n", "there is a token already\n")
    for process in psutil.process_iter():
        try:
            assert token not in command_of(process)
        except psutil.Error:
            continue
    shown = [here.nst("jobs", "list", "--json"), here.nst("cluster", "status", "--json")]
    assert not any(token in result.stdout + result.stderr for result in shown)
    (record,) = _records(here)
    logs = [file for file in Path(record.folder).rglob("*") if file.is_file()]
    assert logs
    assert not any(token in file.read_text(errors="ignore") for file in logs)


def test_nothing_listens_beyond_loopback(here: Machine) -> None:
    (record,) = _records(here)
    listening = [
        connection.laddr.ip
        for process in record.processes()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_down_ends_all_that_up_has_started_and_no_other_ray(tmp_path: Path) -> None:
    import ray

    machine = Machine(tmp_path)
    record = machine.up("--cpus", "1", "--port", "0", "--dashboard-port", "0")
    processes = record.processes()
    assert len(processes) > 5
    ports = [record.address, str(record.dashboard).removeprefix("http://")]
    assert all(_listens(port) for port in ports)
    ended = machine.down()
    assert [each["name"] for each in ended["ended"]] == [record.name]
    assert not any(process.is_running() for process in processes)
    assert not any(_carries(process, record.name) for process in psutil.process_iter())
    assert not any(_listens(port) for port in ports)
    assert not Path(record.folder).exists()
    assert not list((tmp_path / "state" / "cluster").iterdir())
    task: Any = ray.remote(num_cpus=0)(lambda: os.getpid())
    assert ray.get(task.remote()) > 0
    assert machine.nst("cluster", "down").stdout == "no node of `nst cluster up` is here\n"


@pytest.mark.slow
def test_a_node_in_the_foreground_ends_with_its_command(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    process = machine.start("cluster", "up", "--block", "--port", "0", "--dashboard-port", "0")
    assert process.stdout is not None
    while not process.stdout.readline().startswith("end"):
        assert process.poll() is None, process.communicate()
    (record,) = _records(machine)
    processes = record.processes()
    process.send_signal(signal.SIGTERM)  # as `docker stop` and systemd do
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 0
    assert stderr.splitlines()[-1] == f"ended  head {record.address}"
    assert not any(each.is_running() for each in processes)
    assert not _records(machine)


def test_a_node_that_cannot_start_leaves_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for options, words in (
            (("--join", f"192.0.2.99:{port}"), "no token here"),
            (("--port", port), "cannot be listened on"),
            (("--listen", "192.0.2.99"), "no address of this machine"),
            (("--listen", "0.0.0.0"), "no address of this machine"),  # noqa: S104 - refused
            (("--join", "127.0.0.1:6379"), "a head on loopback is alone"),
        ):
            _assert_one_line(machine.nst("cluster", "up", *options), words)
    assert not _records(machine)


@pytest.mark.slow
def test_a_training_as_a_job_gives_the_same_network(
    here: Machine, photos: Path, vgg19_file: Path, tmp_path: Path
) -> None:
    style = next(photos.rglob("*.jpg"))
    options: tuple[str, ...] = ("--content", str(photos), "--steps", "6", "--batch-size", "2")
    options = (*options, "--image-size", "32", "--width", "4", "--workers", "1", "--json")
    options = (*options, "--loss-network", "vgg19", "--loss-network-weights", str(vgg19_file))
    outputs = []
    for name, before in (("itself", ()), ("job", ("jobs", "submit", "--follow", "--"))):
        output = tmp_path / f"{name}.safetensors"
        command = (*before, "train", "style", str(style), "-o", str(output), *options)
        result = here.nst(*command, folder=tmp_path)
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout)["steps"] == 6
        outputs.append(load_file(output))
    assert outputs[0].keys() == outputs[1].keys()
    assert all(outputs[0][name].equal(outputs[1][name]) for name in outputs[0])


def _records(machine: Machine) -> list[NodeRecord]:
    files = (machine.home / "state" / "cluster").glob("*.json")
    return [NodeRecord(**json.loads(path.read_text())) for path in files]


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as connection:
        return connection.connect_ex((host, int(port))) == 0


def _carries(process: psutil.Process, name: str) -> bool:
    try:
        environment: dict[str, Any] = process.environ()
    except psutil.Error:
        return False
    return environment.get(MARK) == name
