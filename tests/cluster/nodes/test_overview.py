"""What a head tells of its cluster: a head's own protocol, answered by this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from ray.core.generated import gcs_service_pb2 as messages
from ray.core.generated import gcs_service_pb2_grpc as services
from ray.dashboard.modules.job.common import JobInfo, JobInfoStorageClient, JobStatus

from cluster.nodes.overview import look_at

_PREFIX = JobInfoStorageClient.JOB_DATA_KEY_PREFIX.encode()
_NIGHTLY = JobInfo(
    status=JobStatus.FAILED,
    entrypoint="exec nst stylize",
    start_time=2000,
    metadata={"command": "nst stylize images photos"},
)
_OTHER = JobInfo(status=JobStatus.RUNNING, entrypoint="sleep 9", start_time=1000)


class _Jobs(services.JobInfoGcsServiceServicer):  # type: ignore[misc]
    """Of four connected commands one is a job's and one is Ray's own; another has ended."""

    def GetAllJobInfo(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        reply = messages.GetAllJobInfoReply()
        reply.job_info_list.add()
        reply.job_info_list.add().config.metadata["job_submission_id"] = "other"
        reply.job_info_list.add().config.ray_namespace = "_ray_internal_dashboard"
        reply.job_info_list.add().is_dead = True
        return reply


class _Actors(services.ActorInfoGcsServiceServicer):  # type: ignore[misc]
    def GetAllActorInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.GetAllActorInfoReply()


class _Usage(services.NodeResourceInfoGcsServiceServicer):  # type: ignore[misc]
    def GetAllResourceUsage(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.GetAllResourceUsageReply()


class _Nodes(services.NodeInfoGcsServiceServicer):  # type: ignore[misc]
    def GetAllNodeInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.GetAllNodeInfoReply()


class _Kept(services.InternalKVGcsServiceServicer):  # type: ignore[misc]
    """Ray's own record of submitted jobs."""

    def __init__(self) -> None:
        infos = {b"nightly": _NIGHTLY, b"other": _OTHER}
        self._kept = {_PREFIX + key: json.dumps(job.to_json()) for key, job in infos.items()}

    def InternalKVKeys(self, request: Any, context: Any) -> Any:  # noqa: N802
        assert request.namespace == b"job"
        keys = [key for key in self._kept if key.startswith(request.prefix)]
        return messages.InternalKVKeysReply(results=keys)

    def InternalKVMultiGet(self, request: Any, context: Any) -> Any:  # noqa: N802
        assert request.namespace == b"job"
        reply = messages.InternalKVMultiGetReply()
        for key in request.keys:
            reply.results.add(key=key, value=self._kept[key].encode())
        return reply


@pytest.fixture
def address() -> Iterator[str]:
    """Of a head with two jobs, neither of which Ray lists among its drivers by name."""
    server = grpc.server(ThreadPoolExecutor(2))
    services.add_JobInfoGcsServiceServicer_to_server(_Jobs(), server)
    services.add_ActorInfoGcsServiceServicer_to_server(_Actors(), server)
    services.add_NodeResourceInfoGcsServiceServicer_to_server(_Usage(), server)
    services.add_NodeInfoGcsServiceServicer_to_server(_Nodes(), server)
    services.add_InternalKVGcsServiceServicer_to_server(_Kept(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


def test_jobs_that_ended_before_they_connected_to_ray_are_listed_in_their_order(
    address: str,
) -> None:
    assert look_at(address).jobs == [
        {"id": "other", "status": "RUNNING", "command": "sleep 9"},
        {"id": "nightly", "status": "FAILED", "command": "nst stylize images photos"},
    ]


def test_commands_of_jobs_are_told_from_others(address: str) -> None:
    overview = look_at(address)
    assert (overview.drivers, overview.drivers_of_jobs) == (2, 1)
