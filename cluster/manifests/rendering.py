"""Writing rendered files: all of them or none, each with how it is used at its top."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from cluster.manifests.container import CONSTRAINTS, USER, constraints, dockerfile, dockerignore
from cluster.manifests.spec import ClusterSpec, Manifest
from nst_core.errors import InputError
from nst_core.wording import first_line

OVERLAY = "overlay.yaml"
"""What users change in rendered files, beside them: parts of these by file name."""


def as_yaml(manifest: Mapping[str, Any], *, use: str) -> str:
    """Return a manifest as a file, with the commands of ``use`` in its head."""
    head = "".join(f"# {line}\n" for line in use.splitlines())
    body = yaml.safe_dump(_copied(manifest), sort_keys=False, width=100)
    return (
        "# Rendered by `nst cluster render`. What you change belongs in "
        f"{OVERLAY}, from where\n# rendering again takes it:\n#   <this file's name>: {{the parts "
        f"of it that differ}}\n{head}{body}"
    )


def as_json(manifest: Mapping[str, Any]) -> str:
    """Return a manifest for those who read no YAML."""
    return json.dumps(manifest, indent=2) + "\n"


def overlaid(manifests: Mapping[str, Manifest], folder: Path) -> dict[str, Manifest]:
    """Return manifests with what the overlay in ``folder`` changes, if there is one.

    Mappings are merged, and so are lists whose items have names; null takes a key away; all else
    replaces what was rendered. Raises InputError for an overlay of another form, or of other files.
    """
    path = folder / OVERLAY
    if not path.exists():
        return dict(manifests)
    try:
        changes = yaml.safe_load(path.read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML ({first_line(error)})") from error
    if not isinstance(changes, Mapping) or not changes.keys() <= manifests.keys():
        names = ", ".join(manifests)
        raise InputError(f"{path}: parts of rendered files by their names are allowed ({names})")
    return {name: _merged(each, changes.get(name) or {}) for name, each in manifests.items()}


def _merged(value: Any, changed: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(changed, Mapping):
        merged = {key: _merged(value.get(key), each) for key, each in changed.items()}
        return {key: each for key, each in {**value, **merged}.items() if each is not None}
    if isinstance(value, list) and isinstance(changed, list) and _are_named([*value, *changed]):
        ours, theirs = ({each["name"]: each for each in items} for items in (value, changed))
        return [_merged(ours.get(name), theirs.get(name, ours.get(name))) for name in ours | theirs]
    return changed


def _are_named(items: list[Any]) -> bool:
    return all(isinstance(each, Mapping) and "name" in each for each in items)


def container_files(spec: ClusterSpec) -> dict[str, str]:
    """Return the Dockerfile and what it needs, by file name."""
    return {
        "Dockerfile": dockerfile(spec.image, spec.shared, spec.base_image),
        ".dockerignore": dockerignore(),
        CONSTRAINTS: constraints(),
    }


def write_files(
    folder: Path, files: Mapping[str, str], *, secret: Mapping[str, str], overwrite: bool
) -> None:
    """Write files into ``folder``; those of ``secret`` are for the container's user alone.

    Each of the secret ones gets a line in ``.gitignore`` there.
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
                if name in secret and os.geteuid() == 0:
                    os.chown(part, *container_user())
            _keep_from_git(folder, secret)  # before they are there
            for name in (*files, *secret):
                Path(parts, name).replace(folder / name)
    except OSError as error:
        raise InputError(f"-o {folder}: cannot be written ({error.strerror})") from error


def container_user() -> tuple[int, int]:
    """Return the user and group that containers run as: whoever renders, but not root."""
    return (os.getuid(), os.getgid()) if os.getuid() else (USER, USER)


def _keep_from_git(folder: Path, names: Iterable[str]) -> None:
    path = folder / ".gitignore"
    lines = path.read_text().splitlines() if path.exists() else []
    missing = [name for name in names if name not in lines]
    if missing:
        path.write_text("".join(f"{line}\n" for line in (*lines, *missing)))


def _copied(value: Any) -> Any:
    """Return equal content without shared parts, which YAML would write as anchors."""
    if isinstance(value, Mapping):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value
