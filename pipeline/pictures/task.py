"""What an image worker is given, and what it tells of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from nst_core.errors import MediaError
from pipeline.storage.open import storage_for

PICTURES_VERSION = 7
"""Version of the outputs' content. Raise it when the same source and settings give other bytes."""

REST = ""
"""Name of the style of what masks leave out, as workers know it."""


@dataclass(frozen=True)
class OutputTask:
    """One picture to write."""

    style: str
    """Name of the style, as the worker knows it."""
    path: str
    """Absolute, or a URI."""
    made_from: str | None = None
    """Digest of the source that the existing file was made from; None: it is to be made."""
    size: int = 0
    """Size of the existing file, in bytes."""
    is_new: bool = False
    """Whether nothing was there of its name when a run that has not recorded its end began it."""
    is_whole: bool = False
    """Whether such a run has written it: it is there, and appears whole or not at all."""
    is_member: bool = False
    """Whether it goes into a tar shard: its content comes back instead of being written."""


@dataclass(frozen=True)
class ImageTask:
    """One picture to read, and what to make of it."""

    number: int
    """In the job's plan."""
    source: str
    """Absolute, or a URI."""
    outputs: tuple[OutputTask, ...]
    size: int
    """Size of the source, in bytes."""
    version: str
    """Version of the source when it was listed."""
    split: str = ""
    """For the manifest."""
    archive: str = ""
    """The archive that the source is a member of."""
    offset: int = 0
    """Where the source's content begins in the archive, in bytes."""
    mask: str = ""
    """Where the style is seen: absolute, or a URI; empty: everywhere."""

    def read(self) -> bytes:
        """Return the source's content. Raises MediaError."""
        if not self.archive:
            return storage_for(self.source).read(self.source)
        content = storage_for(self.archive).read_part(self.archive, self.offset, self.size)
        if len(content) < self.size:
            raise MediaError(f"{self.source}: cut short, as the archive is")
        return content


@dataclass(frozen=True)
class OutputResult:
    """What became of an output."""

    path: str
    size: int = 0
    """In bytes."""
    reused: bool = False
    """Whether it was made from the same content earlier."""
    error: str | None = None
    sha256: str = ""
    """SHA-256 of the file; empty where it failed."""
    content: bytes | None = field(default=None, repr=False)
    """The file, where it is a member of a shard."""


@dataclass(frozen=True)
class ImageResult:
    """What became of a source."""

    number: int
    digest: str
    """Hash of the source's content; empty where it could not be read."""
    outputs: tuple[OutputResult, ...]
    notes: tuple[str, ...] = ()
    """What a user should know though nothing failed."""
    once: tuple[str, ...] = ()
    """The same, said once for however many pictures it is true of."""
    network_seconds: float = 0.0
    """Its share of the time that the network took."""
    sha256: str = ""
    """SHA-256 of the source's content; empty where it could not be read."""
