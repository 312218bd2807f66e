"""Files behind a URI, by fsspec: buckets above all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

import fsspec
from fsspec.registry import known_implementations

from nst_core.errors import EnvironmentProblem, InputError, MediaError
from pipeline.storage.files import StoredFile, below, matching, parts_of_pattern

Answer = TypeVar("Answer")

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
"""What brings a scheme."""
_OBJECT_STORES = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "memory"}
)
"""Where an object appears when its upload has ended, and not before."""
_VERSIONS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
_KEYS_A_PAGE = 1000
_ADVICE = "check the name, and the service's address and keys in the environment"


class RemoteStorage:
    """What lies behind the scheme of one URI. Listings are never cached: others may write too."""

    is_remote = True

    def __init__(self, uri: str) -> None:
        self._scheme = uri.partition("://")[0].lower()
        if self._scheme not in known_implementations and self._scheme not in fsspec.registry:
            raise InputError(
                f"{uri}: the scheme {self._scheme}:// is unknown; "
                "try s3://, gs://, file:// or a path"
            )
        try:
            kind = fsspec.get_filesystem_class(self._scheme)
            # Not url_to_fs, which takes a :: in a name for two file systems, one in the other.
            self._fs = kind(**kind._get_kwargs_from_urls(uri), use_listings_cache=False)
        except ImportError as error:
            package = _PACKAGES.get(self._scheme)
            remedy = f"pip install {package}" if package else "install the package it names"
            raise EnvironmentProblem(f"{uri}: {error}; {remedy}") from error
        except Exception as error:
            raise InputError(f"{uri}: {_words(error)}") from error

    def resolved(self, path: str) -> str:
        """Return the URI without a ``/`` at its end."""
        return path.rstrip("/")

    def real(self, path: str) -> str:
        """Return the path itself: buckets have no links."""
        return path

    def is_folder(self, path: str) -> bool:
        """Whether anything lies below that name."""
        return self._ask(path, lambda: bool(self._fs.isdir(self._inner(path))))

    def is_file(self, path: str) -> bool:
        """Whether there is a file of that name."""
        with suppress(FileNotFoundError):  # isfile() takes every error for a no
            return self._ask(path, lambda: bool(self._fs.info(self._inner(path))["type"] == "file"))
        return False

    def walk(
        self, folder: str, *, without: str | None = None, hidden: bool = False
    ) -> Iterator[StoredFile]:
        """Yield the files below ``folder``, page by page; hidden ones only where asked.

        Raises EnvironmentProblem.
        """
        return self._files(folder, without, is_deep=True, hidden=hidden)

    def glob(self, pattern: str, *, without: str | None = None) -> Iterator[StoredFile]:
        """Yield the files that match, page by page. Raises EnvironmentProblem."""
        folder, rest = parts_of_pattern(pattern)
        is_deep = "/" in rest or rest == "**"
        return matching(self._files(folder, without, is_deep=is_deep), rest)

    def _files(
        self, folder: str, without: str | None, *, is_deep: bool, hidden: bool = False
    ) -> Iterator[StoredFile]:
        prefix = below(self._inner(folder), "")
        listed = self._s3_pages if self._is_s3() else self._folders
        listing = listed(prefix, is_deep=is_deep)
        while (info := self._ask(folder, lambda: next(listing, None))) is not None:
            name = str(info["name"])[len(prefix) :]
            path = below(folder, name)
            is_shown = hidden or not any(part.startswith(".") for part in name.split("/"))
            inside = without is not None and path.startswith(below(without, ""))
            if name and is_shown and not inside:
                yield _stored(path, name, info)

    def find(self, path: str) -> StoredFile:
        """Look at one file, whether it exists or not."""
        name = path.rpartition("/")[2]
        try:
            info = self._fs.info(self._inner(path))
        except Exception:
            return StoredFile(path, name, 0, "", path)  # reading it will say what is wrong
        return _stored(path, name, info)

    def size(self, path: str) -> int | None:
        """Return the size in bytes; None where there is no file."""
        try:
            return int(self._fs.info(self._inner(path))["size"])
        except FileNotFoundError:
            return None
        except Exception as error:
            raise EnvironmentProblem(f"{path}: {_words(error)}; {_ADVICE}") from error

    def read(self, path: str) -> bytes:
        """Return the content. Raises MediaError."""
        try:
            content = self._fs.cat_file(self._inner(path))
        except FileNotFoundError as error:
            raise MediaError(f"{path}: no such file") from error
        except Exception as error:
            raise MediaError(f"{path}: cannot be read ({_words(error)})") from error
        return bytes(content)

    def read_part(self, path: str, start: int, size: int) -> bytes:
        """Return ``size`` bytes of the content, from ``start`` on. Raises MediaError."""
        try:
            part = bytes(self._fs.cat_file(self._inner(path), start=start, end=start + size))
        except Exception as error:
            raise MediaError(f"{path}: cannot be read ({_words(error)})") from error
        if len(part) != size:
            raise MediaError(
                f"{path}: {len(part)} bytes came where {size} were asked for: the file changed "
                "while it was read, or its server gives no parts; download it"
            )
        return part

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """Open a file. Raises MediaError, also while it is read."""
        try:
            with self._fs.open(self._inner(path), "rb") as file:
                yield file
        except Exception as error:
            raise MediaError(f"{path}: cannot be read ({_words(error)})") from error

    def lines(self, path: str) -> Iterator[bytes]:
        """Yield a text's lines one by one. Raises MediaError."""
        with self.open(path) as file:
            yield from file

    def state(self, path: str) -> StoredFile:
        """Look at a file that is there. Raises FileNotFoundError and EnvironmentProblem."""
        info = self._ask(path, lambda: self._fs.info(self._inner(path)))
        if info["type"] != "file":
            raise FileNotFoundError(path)
        return _stored(path, path.rpartition("/")[2], info)

    def write(self, path: str, content: bytes) -> None:
        """Let a file appear whole or not at all. Raises MediaError."""
        self._put(path, lambda inner: self._fs.pipe_file(inner, content))

    def upload(self, file: Path, path: str) -> None:
        """Let a copy of a file of this machine appear whole or not at all. Raises MediaError."""
        self._put(path, lambda inner: self._fs.put_file(str(file), inner))

    def _put(self, path: str, put: Callable[[str], object]) -> None:
        inner = self._inner(path)
        try:
            if self._scheme in _OBJECT_STORES:
                put(inner)
                return
            parent, _, name = inner.rpartition("/")
            temporary = f"{parent}/.{name}.part"
            self._fs.makedirs(parent, exist_ok=True)
            put(temporary)
            self._fs.mv(temporary, inner)
        except Exception as error:
            raise MediaError(f"{path}: cannot be written ({_words(error)})") from error

    @contextmanager
    def appearing(self, path: str) -> Iterator[Path]:
        """Give a temporary file of this machine, uploaded at the end."""
        with tempfile.TemporaryDirectory(prefix="nst-") as folder:
            file = Path(folder, "file")
            yield file
            self.upload(file, path)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            self._ask(path, lambda: self._fs.rm_file(self._inner(path)))

    def _inner(self, path: str) -> str:
        """Return the path as the file system itself has it."""
        return str(self._fs._strip_protocol(path))

    def _is_s3(self) -> bool:
        return self._scheme in ("s3", "s3a")

    def _s3_pages(self, prefix: str, *, is_deep: bool) -> Iterator[dict[str, Any]]:
        """List as S3 does, a thousand keys at a time: fsspec would gather a whole folder first."""
        bucket, _, key = prefix.partition("/")
        more = {} if is_deep else {"Delimiter": "/"}
        while True:
            try:
                page = self._fs.call_s3(
                    "list_objects_v2", Bucket=bucket, Prefix=key, MaxKeys=_KEYS_A_PAGE, **more
                )
            except FileNotFoundError as error:
                raise EnvironmentProblem(f"s3://{bucket}: no such bucket; create it") from error
            for found in page.get("Contents", ()):
                if not found["Key"].endswith("/"):  # how consoles mark a folder
                    yield {**found, "name": f"{bucket}/{found['Key']}", "size": found["Size"]}
            if not page.get("IsTruncated"):
                return
            more["ContinuationToken"] = page["NextContinuationToken"]

    def _folders(self, prefix: str, *, is_deep: bool) -> Iterator[dict[str, Any]]:
        depth = None if is_deep else 1
        with suppress(FileNotFoundError):  # it may come into being with its first file
            for _, _, files in self._fs.walk(
                prefix.rstrip("/"), maxdepth=depth, detail=True, on_error="raise"
            ):
                yield from files.values()

    def _ask(self, path: str, question: Callable[[], Answer]) -> Answer:
        """Ask what may fail in as many ways as there are services."""
        try:
            return question()
        except (FileNotFoundError, EnvironmentProblem):
            raise
        except Exception as error:
            raise EnvironmentProblem(f"{path}: {_words(error)}; {_ADVICE}") from error


def _stored(path: str, name: str, info: dict[str, Any]) -> StoredFile:
    version = next((str(info[key]) for key in _VERSIONS if info.get(key)), "")
    return StoredFile(path, name, int(info.get("size") or 0), version, path)


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__
