"""Downloads of large files: what is there goes on where it stopped, and the content is checked."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from types import MappingProxyType
from typing import IO, cast
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from nst_core import __version__
from nst_core.checkpoints.info import fingerprint
from nst_core.errors import NstError

_TIMEOUT_SECONDS = 30.0
_MOST_TRIES = 5
"""Connections that bring nothing, one after the other, behind one that has brought something."""
_SECONDS_BEFORE_TRYING = 1.0
"""Before the second try; twice as long before every further one."""
_SECONDS_BETWEEN_STATES = 0.5
_PIECE = 2**18
"""Bytes read at a time."""
_PARTIAL, _NOT_SATISFIABLE = 206, 416
"""Status codes of HTTP."""


class DownloadError(NstError):
    """A file could not be downloaded; its message is one line."""


@dataclass(frozen=True)
class Download:
    """How far a download is."""

    name: str
    """The file's."""
    host: str
    done: int
    """Bytes, those of earlier tries included."""
    total: int
    """Bytes; 0 where the server does not say."""
    per_second: float
    """Bytes, over this connection; 0 before anything has come."""

    @property
    def seconds_left(self) -> float | None:
        """An estimate; None where the server does not say how much there is."""
        if not self.total or not self.per_second:
            return None
        return (self.total - self.done) / self.per_second


OnDownload = Callable[[Download], None]


def download(
    url: str,
    path: Path,
    *,
    sha256: str,
    on_download: OnDownload,
    most_bytes: int = sys.maxsize,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write the file at ``url`` to ``path``, whole; ``sha256`` is what its hash begins with.

    What has come is kept beside it, under the name with ``.part``, and a later call goes on from
    there; where the server ignores that, or has another file by now, it starts anew. Raises
    DownloadError, also as soon as there are more than ``most_bytes``. ``headers`` are sent to the
    address's own host only. Two processes must not download to the same path at once.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"{url}: an address that begins with https:// or http:// is needed")
    part = path.with_name(f"{path.name}.part")
    receive = partial(_receive_all, _Asked(url, headers, most_bytes), part, on_download)
    try:
        goes_on = _size(part) > 0
        receive()
        if goes_on and not fingerprint(part).startswith(sha256):
            part.unlink()
            receive()
        if not fingerprint(part).startswith(sha256):
            part.unlink()
            raise DownloadError(
                f"{url}: another file than the one that is known, its SHA-256 does not begin with "
                f"{sha256}"
            )
        part.replace(path)
    except (OSError, HTTPException, ValueError) as error:
        raise DownloadError(
            f"{url}: {' '.join(str(error).split()) or 'the connection was cut'}"
        ) from error


@dataclass(frozen=True)
class _Asked:
    """What is asked for."""

    url: str
    headers: Mapping[str, str]
    most_bytes: int

    def check(self, size: int) -> None:
        """Raise DownloadError for more bytes than are taken."""
        if size > self.most_bytes:
            raise DownloadError(f"{self.url}: more than {self.most_bytes / 1e6:.0f} MB")


class _SafeRedirects(HTTPRedirectHandler):
    """Follow to other hosts without the headers that are for the first one, never out of https."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Return the request that follows. Raises DownloadError."""
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if after.scheme not in ("https", before.scheme):
            raise DownloadError(f"{req.full_url}: leads to {newurl}, which is not encrypted")
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request and before.netloc != after.netloc:
            request.remove_header("Authorization")
        return request


_OPENER = build_opener(_SafeRedirects)


def _receive_all(asked: _Asked, part: Path, on_download: OnDownload) -> None:
    """Receive until all is there, by further connections where one is cut."""
    tries, has_come = 0, False
    while True:
        before = _size(part)
        try:
            if _receive(asked, part, on_download):
                return
            error: Exception = OSError("the connection was cut")
        except HTTPError:
            raise
        except (OSError, HTTPException) as caught:
            error = caught
        if _size(part) > before:
            tries, has_come = 0, True
        tries += 1
        if not has_come or tries > _MOST_TRIES:
            raise error
        time.sleep(_SECONDS_BEFORE_TRYING * 2 ** (tries - 1))


def _receive(asked: _Asked, part: Path, on_download: OnDownload) -> bool:
    """Receive over one connection; returns whether all is there."""
    there = _size(part)
    headers = {"User-Agent": f"nst/{__version__}", **asked.headers}
    if there:
        headers["Range"] = f"bytes={there}-"
    request = Request(asked.url, headers=headers)  # noqa: S310 - its scheme was looked at
    try:
        response = cast("HTTPResponse", _OPENER.open(request, timeout=_TIMEOUT_SECONDS))
    except HTTPError as error:
        if error.code != _NOT_SATISFIABLE or not there:
            raise
        error.close()
        if error.headers.get("Content-Range", "").endswith(f"/{there}"):
            return True
        part.unlink()  # it has more than the file by now
        return _receive(asked, part, on_download)
    with response:
        begins_at = _first_byte(response)
        if begins_at not in (0, there):
            raise HTTPException(f"bytes from {there} on were asked for, not from {begins_at}")
        length = response.headers.get("Content-Length")
        total = begins_at + int(length) if length else 0
        asked.check(total)
        _check_room(part.parent, total - begins_at)
        with part.open("r+b" if part.exists() else "wb") as file:
            file.truncate(begins_at)
            file.seek(begins_at)
            clock = _Clock(asked.url, begins_at, total, on_download)
            while piece := response.read(_PIECE):
                asked.check(clock.done + len(piece))
                file.write(piece)
                clock.count(len(piece))
        clock.tell()
    return clock.done == total if total else True


class _Clock:
    """Tells now and then how far a download is, and how fast it goes."""

    def __init__(self, url: str, begins_at: int, total: int, on_download: OnDownload) -> None:
        self.done = begins_at
        self._url = urlsplit(url)
        self._first, self._total = begins_at, total
        self._on_download = on_download
        self._start = self._told = time.monotonic()
        self.tell()

    def count(self, size: int) -> None:
        self.done += size
        if time.monotonic() - self._told >= _SECONDS_BETWEEN_STATES:
            self.tell()

    def tell(self) -> None:
        self._told = time.monotonic()
        seconds = max(self._told - self._start, 1e-6)
        self._on_download(
            Download(
                self._url.path.rpartition("/")[-1],
                self._url.hostname or "",
                self.done,
                self._total,
                (self.done - self._first) / seconds,
            )
        )


def _first_byte(response: HTTPResponse) -> int:
    """Return where in the file the answer begins: at 0 where the server knows no ranges."""
    if response.status != _PARTIAL:
        return 0
    place = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(place)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"{needed / 1e6:.0f} MB are needed in {folder}, and {free / 1e6:.0f} MB are free; make "
            "room, or name another folder in NST_CACHE_DIR"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
