from __future__ import annotations

from pathlib import Path

import pytest

from cluster.auth_token import find_token, make_token, sent_token, token_file, use_token
from cluster.local_nodes import NodeSpec
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
