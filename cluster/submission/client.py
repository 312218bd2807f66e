"""Jobs on a cluster: a command line that runs on its head, by Ray's Jobs API."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.auth_token import sent_token
from cluster.connection import prepare_environment
from cluster.head import AUTO, check_version, refused
from cluster.nodes.records import running_heads
from cluster.nodes.start import DASHBOARD_PORT, LOOPBACK
from cluster.submission.output import JOB_VARIABLE
from nst_core.errors import EnvironmentProblem, InputError
from nst_core.wording import last_line, quoted

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

_ANSWER_SECONDS = 5.0
_SECONDS_BETWEEN_QUESTIONS = 0.5
_STOP_SECONDS = 90.0
_PATIENCE_SECONDS = 60.0
"""How long a follower asks again when the connection is lost."""
_SECONDS_BETWEEN_ATTEMPTS = 2.0
_TALKATIVE = ("ray.dashboard.modules.job.sdk", "ray.dashboard.modules.dashboard_sdk")
LIVE = ("PENDING", "RUNNING")
_IN_VAIN = {"STOPPED": "been stopped", "FAILED": "failed"}
_URL_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")


@dataclass(frozen=True)
class JobRequest:
    """A job to be run."""

    name: str
    """Name of the job; the same for the same command, folder and package."""
    id: str | None
    """Chosen by the user; None: made from the name."""
    entrypoint: str
    """For the shell of the head."""
    package: Path | None
    """ZIP file that the entrypoint finds unpacked in its working directory; None: no such."""
    metadata: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    """Variables that the job gets beside those of the cluster's nodes; lists of jobs show them."""


@dataclass(frozen=True)
class Job:
    """A job as the cluster knows it."""

    id: str
    status: str
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    exit_code: int | None
    """None as long as it runs, and where it ended without one."""
    command: str
    message: str
    started: float | None
    """In seconds since the epoch."""
    ended: float | None
    metadata: dict[str, str]

    @property
    def is_live(self) -> bool:
        """Whether it waits or runs."""
        return self.status in LIVE


def default_url() -> str:
    """Return where the Jobs API is taken to be: of the head here, or on Ray's usual port."""
    for variable in _URL_VARIABLES:
        if os.environ.get(variable, "").startswith(("http://", "https://")):
            return os.environ[variable]
    dashboards = [head.dashboard for head in running_heads() if head.dashboard]
    return dashboards[-1] if dashboards else f"http://{LOOPBACK}:{DASHBOARD_PORT}"


def is_head_here(url: str) -> bool:
    """Whether the Jobs API at ``url`` is that of a head started on this machine.

    A tunnel to another machine ends here, too, and is none.
    """
    return url.rstrip("/") in {head.dashboard for head in running_heads()}


class Jobs:
    """The jobs of one cluster. Every method raises EnvironmentProblem when it is out of reach."""

    def __init__(self, url: str, tell: Callable[[str], None] = lambda line: None) -> None:
        """``url`` is the dashboard's, such as ``http://127.0.0.1:8265``.

        ``tell`` gets a line when the connection of a follower is lost.

        Raises InputError for another kind of address; EnvironmentProblem, within seconds, where
        nothing answers there, the token is not taken, or Ray's version is another.
        """
        if not url.startswith(("http://", "https://")):
            raise InputError(
                f"--address {url}: the URL of the Jobs API is needed, such as "
                f"http://{LOOPBACK}:{DASHBOARD_PORT} (`nst cluster up` prints it)"
            )
        self._url = url.rstrip("/")
        self._tell = tell
        prepare_environment(AUTO)
        check_version(self._url, _version(self._url))
        for variable in _URL_VARIABLES:
            os.environ.pop(variable, None)  # Ray would prefer them to what was asked for
        from ray.job_submission import JobSubmissionClient

        with one_line_errors(self._url):
            self._client: JobSubmissionClient = JobSubmissionClient(self._url)
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)

    @property
    def url(self) -> str:
        """Where the cluster's dashboard is."""
        return self._url

    def submit(self, request: JobRequest) -> tuple[str, bool]:
        """Run a job; returns its id, and whether it is new.

        The same request again, while its job waits or runs, gives that job. With an id of the
        user's, also after it has succeeded. Raises InputError where that id is another command's,
        or of a job that did not succeed.
        """
        jobs = {job.id: job for job in self.list()}
        if request.id is not None and request.id in jobs:
            _check_same(jobs[request.id], request, jobs)
            return request.id, False
        if request.id is None:
            for job in jobs.values():
                if job.is_live and job.metadata.get("name") == request.name:
                    return job.id, False
        names = chain([request.name], _numbered(request.name))
        new_id = request.id or next(name for name in names if name not in jobs)
        own = {JOB_VARIABLE: new_id, "NST_ADDRESS": AUTO}
        environment = {"env_vars": {**request.environment, **own}}
        package = {"working_dir": str(request.package)} if request.package else {}
        try:
            with one_line_errors(self._url):
                self._client.submit_job(
                    entrypoint=request.entrypoint,
                    submission_id=new_id,
                    runtime_env={**environment, **package},
                    metadata={**request.metadata, "name": request.name},
                )
        except EnvironmentProblem:
            if any(job.id == new_id for job in self.list()):
                return new_id, False  # the same request came at the same moment
            raise
        return new_id, True

    def list(self) -> list[Job]:
        """Return all jobs, the oldest first."""
        with one_line_errors(self._url):
            details = [each for each in self._client.list_jobs() if each.submission_id]
        return sorted((_job(each) for each in details), key=lambda job: job.started or time.time())

    def get(self, job_id: str) -> Job:
        """Return a job. Raises InputError for an unknown one."""
        jobs = {job.id: job for job in self.list()}
        if job_id not in jobs:
            known = ", ".join(list(jobs)[-5:]) or "none"
            raise InputError(f"{job_id}: no such job at {self._url}; the latest are: {known}")
        return jobs[job_id]

    def log(self, job_id: str) -> str:
        """Return all that a job has printed."""
        with one_line_errors(self._url):
            text: str = self._client.get_job_logs(job_id)
        return text

    def follow(self, job_id: str) -> Iterator[str]:
        """Yield the lines of a job's log, from its first to its end.

        Where the connection is lost it is made again, for a minute.
        """
        yielded, until = 0, 0.0
        self._wait_while(job_id, ("PENDING",))
        while True:
            try:
                for line in islice(self._lines(job_id), yielded, None):
                    yielded, until = yielded + 1, 0.0
                    yield line
                if not self._look_at(job_id).is_live:
                    return
            except EnvironmentProblem as problem:
                until = self._wait_for_connection(job_id, problem, until)

    def wait(self, job_id: str) -> Job:
        """Wait until a job has ended. Where the connection is lost it is made again, as above."""
        return self._wait_while(job_id, LIVE)

    def _wait_while(self, job_id: str, statuses: tuple[str, ...]) -> Job:
        until = 0.0
        while True:
            try:
                job = self._look_at(job_id)
                if job.status not in statuses:
                    return job
                until = 0.0
                time.sleep(_SECONDS_BETWEEN_QUESTIONS)
            except EnvironmentProblem as problem:
                until = self._wait_for_connection(job_id, problem, until)

    def _wait_for_connection(self, job_id: str, problem: EnvironmentProblem, until: float) -> float:
        """Wait before another attempt; returns the moment of the last one, which 0 begins.

        Raises EnvironmentProblem after that moment.
        """
        now = time.monotonic()
        if not until:
            self._tell(
                f"the connection is lost ({problem}); trying again for "
                f"{_PATIENCE_SECONDS:.0f} s, the job goes on meanwhile"
            )
            until = now + _PATIENCE_SECONDS
        if now >= until:
            raise EnvironmentProblem(
                f"{problem}; the job may go on: `nst jobs logs {quoted(job_id)} --follow --address "
                f"{self._url}` shows it again"
            ) from problem
        time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
        return until

    def _lines(self, job_id: str) -> Iterator[str]:
        """Yield the lines of a job's log from its first, as long as the connection lasts."""
        with asyncio.Runner() as runner, one_line_errors(self._url):
            chunks = self._client.tail_job_logs(job_id)
            rest = ""
            while (chunk := runner.run(_next(chunks))) is not None:
                *lines, rest = (rest + chunk).split("\n")
                yield from lines
            if rest:
                yield rest

    def stop(self, job_id: str) -> Job:
        """End a job as Ctrl-C would, and wait for its end. Raises InputError for an unknown one."""
        job = self.get(job_id)
        if not job.is_live:
            return job
        with one_line_errors(self._url):
            self._client.stop_job(job_id)
        end = time.monotonic() + _STOP_SECONDS
        while (job := self._look_at(job_id)).is_live and time.monotonic() < end:
            time.sleep(_SECONDS_BETWEEN_QUESTIONS)
        return job

    def _look_at(self, job_id: str) -> Job:
        """Return a job that is known to be there."""
        with one_line_errors(self._url):
            return _job(self._client.get_job_info(job_id))


def _check_same(job: Job, request: JobRequest, jobs: Collection[str]) -> None:
    """Raise InputError where a job that has the request's id is not what the request wants."""
    free = next(name for name in _numbered(job.id) if name not in jobs)
    if job.metadata.get("name") != request.name:
        raise InputError(
            f"--id {job.id}: there is a job of that id with another command ({job.command}); "
            f"choose another, such as --id {quoted(free)}"
        )
    if job.status in _IN_VAIN:  # Ray does not support a second job of an id, deleted or not
        raise InputError(
            f"--id {job.id}: that job has {_IN_VAIN[job.status]} and an id runs only once; try "
            f"--id {quoted(free)}, or no --id: what is finished is used (`nst jobs logs "
            f"{quoted(job.id)}` shows what it printed)"
        )


def _numbered(name: str) -> Iterator[str]:
    return (f"{name}-{number}" for number in count(2))


def _job(details: JobDetails) -> Job:
    metadata = dict(details.metadata or {})
    return Job(
        id=str(details.submission_id),
        status=str(details.status.value),
        exit_code=details.driver_exit_code,
        command=metadata.get("command", details.entrypoint),
        message=(details.message or "").split("\n")[0],
        started=details.start_time / 1000 if details.start_time else None,
        ended=details.end_time / 1000 if details.end_time else None,
        metadata=metadata,
    )


def _version(url: str) -> str:
    """Ask for the version of the Ray behind ``url``. Raises EnvironmentProblem."""
    token = sent_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{url}/api/version", headers=headers)  # noqa: S310 - http(s)
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as reply:  # noqa: S310
            return str(json.load(reply)["ray_version"])
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise EnvironmentProblem(refused(url)) from error
        raise EnvironmentProblem(f"{url}: no Jobs API of Ray ({error})") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "reason", error)
        raise EnvironmentProblem(
            f"no Jobs API of Ray at {url} ({reason}); start a cluster here with `nst cluster up`, "
            "or name the dashboard of one that runs with --address URL (from elsewhere: check the "
            "tunnel to its head)"
        ) from error


@contextmanager
def one_line_errors(url: str) -> Iterator[None]:
    """Put what Ray's client raises into one line."""
    import aiohttp

    try:
        yield
    except (RuntimeError, ConnectionError, OSError, aiohttp.ClientError) as error:
        raise EnvironmentProblem(f"{url}: {last_line(error)}") from error


async def _next(chunks: AsyncIterator[str]) -> str | None:
    return await anext(chunks, None)
