"""The token that opens a cluster: found where Ray finds it, made where there is none."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nst_core.errors import EnvironmentProblem
from nst_core.files import lock, write_whole

_TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105 - names of Ray's variables, no secrets
_TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"  # noqa: S105
_MODE = "RAY_AUTH_MODE"


def token_file() -> Path:
    """Return where the token is, or would be made: Ray's own rule."""
    return Path(os.environ.get(_TOKEN_PATH) or Path.home() / ".ray" / "auth_token")


def find_token() -> str | None:
    """Return the token of this user, None without one.

    Raises EnvironmentProblem where its file cannot be read, or others may read it.
    """
    if token := os.environ.get(_TOKEN, "").strip():
        return token
    path = token_file()
    try:
        if not path.is_file():
            return None
        _keep_private(path)
        return path.read_text().strip() or None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text"
        raise EnvironmentProblem(f"token file {path}: {reason}; see {_TOKEN_PATH}") from error


def make_token() -> Path | None:
    """Make a token where there is none yet; returns the new file, readable by its owner only.

    Of several processes that find none, one makes it.
    """
    if find_token():
        return None
    path = token_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(path.with_name(f".{path.name}.lock")):
            if find_token():  # another process was faster
                return None
            write_whole(path, secrets.token_hex(32), private=True)
    except OSError as error:
        raise EnvironmentProblem(
            f"token file {path}: cannot be made ({error.strerror}); name another in {_TOKEN_PATH}"
        ) from error
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600)) as file:
        lock(file, wait=True)
        yield


def use_token() -> None:
    """Have this process's Ray send the token; without one it asks for none.

    To be called before the first ``import ray``. An explicit RAY_AUTH_MODE stays.
    """
    os.environ.setdefault(_MODE, "token" if find_token() else "disabled")


def sent_token() -> str | None:
    """Return the token that this process's Ray sends, None for none."""
    return find_token() if os.environ.get(_MODE, "token").lower() == "token" else None


def _keep_private(path: Path) -> None:
    """Take rights from others on a file of ours: Ray itself makes it readable by all."""
    status = path.stat()
    if status.st_mode & 0o077 and status.st_uid == os.geteuid():
        with suppress(OSError):  # a secret that is mounted to be read only
            path.chmod(status.st_mode & 0o700)
