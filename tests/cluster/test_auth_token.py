from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.auth_token import find_token, make_token, sent_token, token_file, use_token
from cluster.nodes import start as local_nodes
from cluster.nodes.records import read_records
from cluster.nodes.start import NodeSpec
from nst_core.errors import EnvironmentProblem, InputError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_token_is_made_once_for_its_owner_alone(home: Path) -> None:
    assert find_token() is None
    path = make_token()
    assert path == token_file() == home / ".ray" / "auth_token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    token = find_token()
    assert token is not None
    assert len(token) == 64
    assert make_token() is None
    assert find_token() == token


def test_a_file_that_others_may_read_is_closed_to_them(home: Path) -> None:
    path = home / ".ray" / "auth_token"
    path.parent.mkdir()
    path.write_text("secret\n")
    path.chmod(0o644)
    assert find_token() == "secret"
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_empty_file_is_no_token_and_is_filled(home: Path) -> None:
    path = home / ".ray" / "auth_token"
    path.parent.mkdir()
    path.touch(mode=0o644)
    assert find_token() is None
    assert make_token() == path
    assert path.stat().st_mode & 0o777 == 0o600


def test_tokens_are_looked_for_where_ray_does(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = home / "other"
    other.write_text("of the file")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(other))
    assert find_token() == "of the file"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of the environment")
    assert find_token() == "of the environment"


def test_a_token_that_is_there_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    make_token()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    use_token()
    assert sent_token() is None  # asked for by the user
    monkeypatch.delenv("RAY_AUTH_MODE")
    use_token()
    assert sent_token() == find_token()


def test_a_folder_in_the_tokens_place_is_one_line(home: Path) -> None:
    (home / ".ray" / "auth_token").mkdir(parents=True)
    with pytest.raises(EnvironmentProblem, match="cannot be made"):
        make_token()


@pytest.mark.parametrize(
    "spec",
    [
        {"listen": "10.0.0.1"},
        {"listen": "0.0.0.0"},  # noqa: S104 - refused
        {"dashboard_listen": "0.0.0.0"},  # noqa: S104
        {"join": "10.0.0.1:6379"},
    ],
)
def test_without_a_token_nothing_listens_beyond_loopback(spec: dict[str, str]) -> None:
    with pytest.raises(InputError, match="--no-token"):
        NodeSpec(token=False, **spec)  # type: ignore[arg-type]
    NodeSpec(token=True, **spec)  # type: ignore[arg-type]
    NodeSpec(token=False)


def test_of_many_that_make_a_token_at_once_one_does_and_all_have_it(home: Path) -> None:
    path = token_file()
    path.parent.mkdir(parents=True)
    path.touch()  # an empty one must be replaced, and no other's with it
    code = (
        "import sys, time; from cluster.auth_token import find_token, make_token\n"
        "time.sleep(max(0, float(sys.argv[1]) - time.time()))\n"
        "print(make_token() is not None, find_token())"
    )
    at_once = str(time.time() + 1.5)
    processes = [
        subprocess.Popen([sys.executable, "-c", code, at_once], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    answers = [process.communicate()[0].split() for process in processes]
    assert sorted(made for made, _ in answers) == ["False"] * 5 + ["True"]
    assert {token for _, token in answers} == {find_token()}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_node_is_on_record_before_it_has_a_process(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NST_STATE_DIR", str(tmp_path / "state"))
    seen: list[tuple[bool, bool]] = []

    def launch(spec: NodeSpec, name: str, *_: object) -> None:
        seen.extend((record.name == name, record.is_running) for record in read_records())
        raise OSError("no more processes")

    monkeypatch.setattr(local_nodes, "_launch", launch)
    with pytest.raises(EnvironmentProblem, match="no more processes"):
        local_nodes._start(NodeSpec(), print)
    assert seen == [(True, False)]
    assert list(read_records()) == []
