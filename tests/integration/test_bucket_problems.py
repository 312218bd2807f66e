"""Buckets that do not let us: each reason is told in one line."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from jobs.applying.stylize_images import stylize_images
from nst_core.errors import EnvironmentProblem, InputError
from tests.kit.buckets import put_picture
from tests.kit.image_jobs import counts, images_job, save_pictures

boto3 = pytest.importorskip("boto3")
moto_settings = pytest.importorskip("moto.settings")
pytestmark = pytest.mark.usefixtures("service")


def _refused(source: str, output: str, error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        stylize_images(images_job(source, output))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_bucket_that_is_not_there_is_named(service: Any, bucket: str) -> None:
    put_picture(service, bucket, "in/a.png")
    source = _refused("s3://no-such-bucket/in", f"s3://{bucket}/out", InputError)
    assert source == "s3://no-such-bucket/in: no such file or folder"
    output = _refused(f"s3://{bucket}/in", "s3://no-such-bucket/out", EnvironmentProblem)
    assert output == "s3://no-such-bucket: no such bucket; create it"


@pytest.fixture
def guarded(service: Any, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket with a picture in ``in``; whoever asks now is somebody who may only read."""
    put_picture(service, bucket, "in/a.png")
    iam = boto3.client("iam")
    user = f"reader-of-{bucket}"
    iam.create_user(UserName=user)
    statement = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=user, PolicyName="read", PolicyDocument=policy)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    monkeypatch.setattr(moto_settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    return bucket


def test_a_bucket_that_may_only_be_read_fails_each_picture_with_the_reason(
    guarded: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = f"s3://{guarded}/in"
    assert counts(stylize_images(images_job(source, tmp_path / "out"))) == (1, 1, 0, 0)
    report = stylize_images(images_job(source, f"s3://{guarded}/out"))
    assert counts(report) == (1, 0, 0, 1)
    assert report.failures[0]["error"] == (
        f"s3://{guarded}/out/a.png: cannot be written (Access Denied)"
    )
    assert "the record cannot be written" in caplog.text


def test_wrong_credentials_are_told_in_one_line(
    guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    local = str(save_pictures(tmp_path / "in", "a.png"))
    sides = (f"s3://{guarded}/in", str(tmp_path / "out")), (local, f"s3://{guarded}/out")
    for source, output in sides:
        message = _refused(source, output, EnvironmentProblem)
        assert message.startswith(f"s3://{guarded}/")
        # The second is asked for by HEAD, and answers to that have no text.
        assert "Access Key Id you provided does not exist" in message or "Forbidden" in message


def test_without_credentials_that_is_what_is_said(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    message = _refused(f"s3://{bucket}/in", str(tmp_path / "out"), EnvironmentProblem)
    assert "credentials" in message


def test_a_service_that_is_not_there_is_an_error_on_either_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # else each question takes 4 to 13 s
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        local = str(save_pictures(tmp_path / "in", "a.png"))
        sides = ("s3://bucket/in", str(tmp_path / "out")), (local, "s3://bucket/out")
        for source, output in sides:
            message = _refused(source, output, EnvironmentProblem)
            assert message.startswith(f"s3://bucket/{'in' if source != local else 'out'}: ")
            assert "Could not connect to the endpoint" in message
