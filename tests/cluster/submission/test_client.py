"""Jobs of a cluster, asked for twice."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import ray.job_submission

import cluster.submission.client
from cluster.submission.client import JobRequest, Jobs
from nst_core.errors import InputError
from tests.kit.command_line import nst

REQUEST = JobRequest("stylize-images-1f2e3d4c", "nightly", "true", None)


class _Client:
    """Ray's client of a cluster that has some jobs."""

    def __init__(self, *jobs: tuple[str, str, str]) -> None:
        self.details = [_details(*job) for job in jobs]
        self.submitted: list[str] = []

    def __call__(self, url: str) -> _Client:
        return self

    def list_jobs(self) -> list[Any]:
        return self.details

    def submit_job(self, *, submission_id: str, metadata: dict[str, str], **_: object) -> None:
        self.submitted.append(submission_id)
        self.details.append(_details(submission_id, "PENDING", metadata["name"]))


def _details(job_id: str, status: str, name: str) -> Any:
    return SimpleNamespace(
        submission_id=job_id,
        status=SimpleNamespace(value=status),
        driver_exit_code=1 if status == "FAILED" else None,
        entrypoint="true",
        message="",
        start_time=1000000,
        end_time=1002000,
        metadata={"name": name, "command": "nst stylize images photos"},
    )


def _jobs(client: _Client, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setattr(ray.job_submission, "JobSubmissionClient", client)
    monkeypatch.setattr(cluster.submission.client, "_version", lambda _: ray.__version__)
    monkeypatch.setattr(cluster.submission.client, "prepare_environment", lambda _: None)
    return Jobs("http://127.0.0.1:8265")


@pytest.mark.parametrize("status", ["PENDING", "RUNNING", "SUCCEEDED"])
def test_a_job_of_an_id_that_runs_or_has_succeeded_is_found(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = _Client(("nightly", status, REQUEST.name))
    assert _jobs(client, monkeypatch).submit(REQUEST) == ("nightly", False)
    assert client.submitted == []


@pytest.mark.parametrize(("status", "words"), [("STOPPED", "been stopped"), ("FAILED", "failed")])
def test_a_job_of_an_id_that_did_not_succeed_is_refused_with_what_to_try(
    status: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = _Client(("nightly", status, REQUEST.name), ("nightly-2", status, REQUEST.name))
    jobs = _jobs(client, monkeypatch)
    with pytest.raises(InputError, match=f"nightly: that job has {words}.* --id nightly-3, "):
        jobs.submit(REQUEST)
    assert client.submitted == []
    assert jobs.submit(replace(REQUEST, id="nightly-3")) == ("nightly-3", True)
    assert jobs.submit(replace(REQUEST, id=None))[1] is False  # that one runs now


def test_without_an_id_a_stopped_job_is_run_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    client = _Client((REQUEST.name, "STOPPED", REQUEST.name))
    jobs = _jobs(client, monkeypatch)
    assert jobs.submit(replace(REQUEST, id=None)) == (f"{REQUEST.name}-2", True)


def test_an_id_of_another_command_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    client = _Client(("nightly", "RUNNING", "stylize-video-00000000"))
    with pytest.raises(InputError, match=r"another command .*such as --id nightly-2"):
        _jobs(client, monkeypatch).submit(REQUEST)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("RUNNING", "is running already; nothing new is started"),
        ("SUCCEEDED", "has succeeded already; nothing is run again"),
    ],
)
def test_a_submit_that_starts_nothing_says_so(
    status: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = _Client()
    _jobs(client, monkeypatch)
    line = ("jobs", "submit", "--id", "nightly", "--address", "http://127.0.0.1:8265", "--")
    command = ("synthesize", "pebble", "-o", "a.png", "--size", "64x64")
    assert nst(*line, *command).code == 0
    (name,) = (each.metadata["name"] for each in client.details)
    client.details = [_details("nightly", status, name)]
    again = nst(*line, *command)
    assert (again.code, again.out) == (0, "nightly\n"), again.error
    assert f"job nightly: {words}" in again.error
    client.details = [_details("nightly", "STOPPED", name)]
    refused = nst(*line, *command)
    assert refused.code == 2
    assert "--id nightly-2" in refused.error_line


class _Breaking(_Client):
    """A client whose connection is reset, in the log of a job that runs, a few times."""

    def __init__(self, breaks: int) -> None:
        super().__init__(("nightly", "RUNNING", REQUEST.name))
        self.breaks = breaks
        self.asked = 0

    def get_job_info(self, job_id: str) -> Any:
        self.asked += 1
        if self.asked == 2:
            raise ConnectionError("Connection aborted.")
        return self.details[0]

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        yield "first\nsecond\nthi"
        if self.breaks:
            self.breaks -= 1
            raise aiohttp.ClientConnectionResetError("Connection reset by peer")
        self.details = [_details("nightly", "FAILED", REQUEST.name)]
        yield "rd\nerror: x: no such file\nlast"

    def get_job_logs(self, job_id: str) -> str:
        return "third\nerror: x: no such file\nlast"


_FOLLOW = ("jobs", "logs", "nightly", "--follow", "--address", "http://127.0.0.1:8265")


def test_a_follower_whose_connection_is_reset_goes_on_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster.submission.client, "_SECONDS_BETWEEN_ATTEMPTS", 0.01)
    _jobs(_Breaking(breaks=2), monkeypatch)
    told = nst(*_FOLLOW)
    assert told.code == 1
    assert "Connection reset by peer" in told.error
    lines = [line for line in told.error.splitlines() if not line.startswith("the connection")]
    assert lines == [
        *("first", "second", "third", "error: x: no such file", "last"),
        "job nightly: failed (1): x: no such file",
    ]


def test_a_follower_that_gives_up_says_how_to_follow_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster.submission.client, "_SECONDS_BETWEEN_ATTEMPTS", 0.01)
    monkeypatch.setattr(cluster.submission.client, "_PATIENCE_SECONDS", 0.1)
    _jobs(_Breaking(breaks=10**6), monkeypatch)
    told = nst(*_FOLLOW)
    assert told.code == 2
    *_, lost, error = told.error.splitlines()
    assert lost.startswith("the connection is lost (http://127.0.0.1:8265: Connection reset")
    assert f"`nst {' '.join(_FOLLOW)}` shows it again" in error


def test_status_of_a_failed_job_has_the_line_of_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = _Breaking(breaks=0)
    client.details = [_details("nightly", "FAILED", REQUEST.name)]
    _jobs(client, monkeypatch)
    told = nst("jobs", "status", "nightly", "--address", "http://127.0.0.1:8265")
    assert (told.code, told.error) == (0, "")
    assert "error     x: no such file" in told.out.splitlines()


def test_a_job_that_has_ended_is_not_stopped_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _jobs(_Client(("nightly", "FAILED", REQUEST.name)), monkeypatch)
    told = nst("jobs", "stop", "nightly", "--address", "http://127.0.0.1:8265")
    assert (told.code, told.error) == (0, "")
    assert re.fullmatch(
        r"nightly  failed \(1\) at 1970-01-01 \d\d:16:42 already; there is nothing to stop\n",
        told.out,
    )
