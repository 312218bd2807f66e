"""Writing rendered files: all of them or none, each with how it is used at its top."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cluster.manifests.container import CONSTRAINTS, constraints, dockerfile
from nst_core.errors import InputError


def as_yaml(manifest: Mapping[str, Any], *, use: str) -> str:
    """Return a manifest as a file, with the commands of ``use`` in its head."""
    head = "".join(f"# {line}\n" for line in use.splitlines())
    body = yaml.safe_dump(_copied(manifest), sort_keys=False, width=100)
    return f"# Rendered by `nst cluster render`; to change it, render again.\n{head}{body}"


def container_files(image: str) -> dict[str, str]:
    """Return the Dockerfile and what it needs, by file name."""
    return {"Dockerfile": dockerfile(image), CONSTRAINTS: constraints()}


def write_files(
    folder: Path, files: Mapping[str, str], *, secret: Mapping[str, str], overwrite: bool
) -> None:
    """Write files into ``folder``; those of ``secret`` are readable by their owner alone.

    Raises InputError where one exists and may not be replaced, before any is written.
    """
    existing = [name for name in (*files, *secret) if (folder / name).exists()]
    if existing and not overwrite:
        raise InputError(f"{folder / existing[0]} exists; --overwrite replaces it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".nst-render-") as parts:
            for name, text in {**files, **secret}.items():
                part = Path(parts, name)
                part.touch(mode=0o600 if name in secret else 0o644)
                part.write_text(text)
            for name in (*files, *secret):
                Path(parts, name).replace(folder / name)
    except OSError as error:
        raise InputError(f"-o {folder}: cannot be written ({error.strerror})") from error


def _copied(value: Any) -> Any:
    """Return equal content without shared parts, which YAML would write as anchors."""
    if isinstance(value, Mapping):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value
