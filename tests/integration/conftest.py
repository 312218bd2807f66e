"""An S3 service on this machine, for the tests that ask for it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def _s3_server() -> Iterator[Any]:
    moto_server = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it prints a line for each request
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        yield boto3.client("s3")
    server.stop()


@pytest.fixture
def service(_s3_server: Any) -> Iterator[Any]:
    """A client of an S3 that this process serves, and that the environment names."""
    file_system = pytest.importorskip("s3fs").S3FileSystem
    # What fsspec keeps was connected as the environment said before.
    file_system.clear_instance_cache()
    yield _s3_server
    file_system.clear_instance_cache()


@pytest.fixture
def bucket(service: Any) -> str:
    """A bucket of the test's own; it keeps every version, so that writes can be counted."""
    name = f"bucket-{len(service.list_buckets()['Buckets'])}"
    service.create_bucket(Bucket=name)
    service.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name
