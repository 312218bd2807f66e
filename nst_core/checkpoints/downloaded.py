"""Styles from elsewhere, by ``https://...`` or ``hf://user/name[@revision][/file]``.

Each is downloaded once and kept among the caches; ``#sha256=...`` behind an address says which file
is meant. Nothing but checkpoints of ours gets into the cache, and no more than MOST_BYTES.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from nst_core.caches import downloaded_styles
from nst_core.checkpoints.info import fingerprint, read_info
from nst_core.errors import CheckpointError, EnvironmentProblem, InputError
from nst_core.files import lock

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_log = logging.getLogger(__name__)

MOST_BYTES = 1 << 30
_SUFFIX = ".safetensors"
_PIN = re.compile(r"(.*)#sha256=([0-9a-fA-F]{16,64})")
HUB = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w.-]+))?(?:/(.+))?")
"""Groups: the repository, its revision, the file in it."""
_HERE = ("127.0.0.1", "localhost", "::1")


def is_address(text: str) -> bool:
    """Whether a style's name is an address, a mixture behind it included."""
    return text.startswith(("https://", "http://", "hf://"))


def downloaded(text: str) -> Path:
    """Return the checkpoint of an address on this machine; it is downloaded where it is not there.

    A copy that is there is used without asking the network. Raises InputError for an address that
    has no style, EnvironmentProblem where the hub's package is missing, or no style can be fetched.
    """
    pinned = _PIN.fullmatch(text)
    address, pin = pinned.groups() if pinned else (text, "")
    pin = pin.lower()
    if "#" in address:
        raise InputError(f"--style {text}: #sha256= and 16 to 64 hexadecimal digits are needed")
    folder = _folder_of(address)
    if path := _kept(folder, pin):
        _log.info("%s: the copy that is kept here, SHA-256 %s", address, fingerprint(path))
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(folder):
        return _kept(folder, pin) or _fetched(address, pin, folder)


def forget(address: str) -> None:
    """Remove the copy that is kept of an address, where there is one."""
    for path in _folder_of(address).glob(f"*{_SUFFIX}"):
        path.unlink(missing_ok=True)


def hub_api(asked: str) -> HfApi:
    """Return the interface of the Hugging Face Hub, or of what HF_ENDPOINT names.

    ``asked`` is the option that needs it, with its value. Raises EnvironmentProblem where the hub's
    package is missing.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise EnvironmentProblem(
            f"{asked}: huggingface_hub is not installed; pip install 'nst[hub]'"
        ) from error
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # else a line for each retry
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)


def _folder_of(address: str) -> Path:
    return downloaded_styles() / hashlib.sha256(address.encode()).hexdigest()[:32]


def _kept(folder: Path, pin: str) -> Path | None:
    found = sorted(folder.glob(f"*{_SUFFIX}"))
    return next((path for path in found if not pin or fingerprint(path).startswith(pin)), None)


def _fetched(address: str, pin: str, folder: Path) -> Path:
    from nst_core.objectives.weights.download import DownloadError, download  # urllib

    url, headers = _on_hub(address) if address.startswith("hf://") else (address, {})
    parts = urlsplit(url)
    if parts.scheme == "http" and not pin and parts.hostname not in _HERE:
        raise InputError(
            f"--style {address}: not encrypted; use https://, or say which file it is: #sha256=..."
        )
    name = PurePosixPath(unquote(parts.path)).name
    if not name.endswith(_SUFFIX):
        raise InputError(
            f"--style {address}: only {_SUFFIX} files are taken; of other programs' checkpoints "
            "`nst styles import FILE` makes one"
        )
    new = folder / "incoming"
    if not pin:  # what has come of it may be another file's
        (folder / "incoming.part").unlink(missing_ok=True)
    try:
        download(
            url,
            new,
            sha256=pin,
            on_download=lambda _: None,
            most_bytes=MOST_BYTES,
            headers=headers,
        )
    except DownloadError as error:
        raise EnvironmentProblem(
            f"--style {address}: no copy is kept here, and it cannot be fetched ({error}); check "
            "the address and the network"
        ) from error
    try:
        read_info(new)
    except CheckpointError as error:
        new.unlink()
        reason = str(error).removeprefix(f"checkpoint {new}: ")
        raise CheckpointError(f"--style {address}: {reason}") from error
    for old in folder.glob(f"*{_SUFFIX}"):
        old.unlink()
    path = folder / name
    new.replace(path)
    _log.info("%s: fetched, SHA-256 %s", address, fingerprint(path))
    return path


def _on_hub(address: str) -> tuple[str, Mapping[str, str]]:
    """Return the URL of a file of the Hugging Face Hub, and the header with a user's token."""
    found = HUB.fullmatch(address)
    if found is None:
        raise InputError(f"--style {address}: hf://user/name or hf://user/name/FILE is needed")
    api = hub_api(f"--style {address}")
    from huggingface_hub import get_token, hf_hub_url

    repository, revision, file = found.groups()
    if file is None:
        try:
            files = api.list_repo_files(repository, revision=revision)
        except Exception as error:  # it raises its HTTP library's errors, whichever that is
            raise EnvironmentProblem(
                f"--style {address}: no copy is kept here, and the hub does not answer for it "
                f"({' '.join(str(error).split()) or type(error).__name__})"
            ) from error
        styles = [name for name in files if name.endswith(_SUFFIX)]
        if len(styles) != 1:
            known = f"name one of {', '.join(styles)}" if styles else f"it has no {_SUFFIX} file"
            raise InputError(f"--style {address}: {known}")
        file = styles[0]
    url = hf_hub_url(repository, file, revision=revision, endpoint=api.endpoint)
    token = get_token()
    return url, {"Authorization": f"Bearer {token}"} if token else {}


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process fetches the same style; the folder is what they lock."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)
