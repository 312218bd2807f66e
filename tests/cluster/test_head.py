from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import grpc
import pytest
import ray
from ray.core.generated import gcs_service_pb2 as messages
from ray.core.generated import gcs_service_pb2_grpc as services

from cluster import head
from cluster.head import HeadWatch, check_head, check_version, with_port
from cluster.submission.client import Jobs
from nst_core.errors import EnvironmentProblem


class _Head(services.NodeInfoGcsServiceServicer):  # type: ignore[misc]
    """Answers like a head of the version that it is given."""

    version = ray.__version__

    asked = 0

    refuses = False

    def CheckAlive(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        self.asked += 1
        if self.refuses:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
        return messages.CheckAliveReply(ray_version=self.version)


@pytest.fixture
def servicer() -> _Head:
    return _Head()


@pytest.fixture
def server(servicer: _Head) -> Iterator[tuple[grpc.Server, str]]:
    server = grpc.server(ThreadPoolExecutor(2))
    services.add_NodeInfoGcsServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield server, f"127.0.0.1:{port}"
    server.stop(None)


def test_a_head_of_the_same_ray_is_accepted(
    server: tuple[grpc.Server, str], servicer: _Head
) -> None:
    check_head(server[1])
    assert servicer.asked == 1


def test_a_head_that_wants_a_token_or_another_one_is_one_line(
    server: tuple[grpc.Server, str], servicer: _Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    servicer.refuses = True
    for token, words in ((None, "wants a token"), ("0" * 64, "does not take this token")):
        monkeypatch.setattr(head, "sent_token", lambda token=token: token)
        with pytest.raises(EnvironmentProblem, match=words) as caught:
            check_head(server[1])
        assert "\n" not in str(caught.value)


def test_another_version_of_ray_is_one_line_that_names_both(
    server: tuple[grpc.Server, str], servicer: _Head
) -> None:
    servicer.version = "2.40.0"
    with pytest.raises(EnvironmentProblem) as caught:
        check_head(server[1])
    assert "runs Ray 2.40.0" in str(caught.value)
    assert f"this machine {ray.__version__}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_jobs_api_of_another_version_of_ray_is_refused_too() -> None:
    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"ray_version": "2.40.0"}')

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            return

    server = HTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with pytest.raises(EnvironmentProblem, match=r"runs Ray 2\.40\.0"):
            Jobs(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


def test_a_version_that_is_not_told_is_another() -> None:
    with pytest.raises(EnvironmentProblem, match="of an unknown version"):
        check_version("here", "")


def test_what_is_no_head_of_ray_is_said_to_be_none() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with pytest.raises(EnvironmentProblem, match="what answers there is no head of Ray"):
            check_head(f"127.0.0.1:{port}")
    finally:
        server.stop(None)


@pytest.mark.parametrize("address", ["ray://here:10001", "http://here:8265", "here:x", ":6379"])
def test_addresses_of_another_kind_are_refused(address: str) -> None:
    with pytest.raises(EnvironmentProblem, match=r"--address .* is allowed"):
        with_port(address)


def test_an_address_without_a_port_has_rays_usual_one() -> None:
    assert with_port("here") == "here:6379"
    assert with_port("here:7000") == "here:7000"


def test_a_watch_notices_a_head_that_is_gone_and_bears_a_short_silence(
    server: tuple[grpc.Server, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "_SECONDS_BETWEEN_QUESTIONS", 0.05)
    monkeypatch.setattr(head, "_SILENT_SECONDS", 0.2)
    watch = HeadWatch(server[1])

    def is_lost() -> bool:
        return watch.lost

    try:
        time.sleep(0.5)
        assert not is_lost()
        assert not watch.is_silent()
        server[0].stop(None).wait()
        end = time.monotonic() + 300
        while not is_lost():
            assert time.monotonic() < end
            time.sleep(0.05)
        assert watch.is_silent()
    finally:
        watch.close()


def test_a_head_that_takes_connections_and_answers_late_is_busy_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(head, "_SECONDS_BETWEEN_QUESTIONS", 0.05)
    monkeypatch.setattr(head, "_ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(head, "_SILENT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # as of a process that gets no turn
        watch = HeadWatch(f"127.0.0.1:{listener.getsockname()[1]}")
        watch._heard = True
        try:
            time.sleep(2)
            assert not watch.lost
            assert watch.is_silent()
            monkeypatch.setattr(head, "_BUSY_SECONDS", 0.2)
            end = time.monotonic() + 300
            while not watch.lost:
                assert time.monotonic() < end
                time.sleep(0.05)
        finally:
            watch.close()


def test_a_head_that_refuses_us_and_one_never_heard_are_not_lost(
    server: tuple[grpc.Server, str], servicer: _Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "_SECONDS_BETWEEN_QUESTIONS", 0.05)
    monkeypatch.setattr(head, "_SILENT_SECONDS", 0.2)
    servicer.refuses = True
    watches = [HeadWatch(server[1]), HeadWatch("127.0.0.1:9")]
    try:
        time.sleep(1)
        assert servicer.asked > 4
        assert not any(watch.lost for watch in watches)
        monkeypatch.setattr(head, "_NEVER_HEARD_SECONDS", 0.2)
        end = time.monotonic() + 300
        while not watches[1].lost:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert not watches[0].lost
    finally:
        for watch in watches:
            watch.close()
