"""Jobs of a cluster, asked for twice."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import ray.job_submission

import cluster.job_client
from cluster.job_client import JobRequest, Jobs
from nst_core.errors import InputError
from tests.command_line import nst

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
        start_time=1000,
        end_time=None,
        metadata={"name": name, "command": "nst stylize images photos"},
    )


def _jobs(client: _Client, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setattr(ray.job_submission, "JobSubmissionClient", client)
    monkeypatch.setattr(cluster.job_client, "_version", lambda _: ray.__version__)
    monkeypatch.setattr(cluster.job_client, "prepare_environment", lambda _: None)
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
