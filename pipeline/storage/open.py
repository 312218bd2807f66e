"""The storage that a path or URI lies on."""

from __future__ import annotations

from pipeline.storage.files import Storage, is_uri
from pipeline.storage.local import LOCAL_URI, LocalStorage


def storage_for(path: str) -> Storage:
    """Find the file system that a path or URI lies on.

    Raises InputError for an unknown scheme, EnvironmentProblem for one whose package is missing.
    """
    if not is_uri(path) or path.startswith(LOCAL_URI):
        return LocalStorage()
    from pipeline.storage.remote import RemoteStorage

    return RemoteStorage(path)
