"""Whether an output that is there already is the one that is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nst_core.wording import listed
from pipeline.datasets.manifest import Splits
from pipeline.pictures.outputs.existing import Existing
from pipeline.storage.files import Storage, below

TO_JUDGE = """
SELECT outputs.rowid, outputs.style, outputs.name, inputs.path, inputs.version,
       known.source, known.version, known.identity, known.digest, known.size, known.done,
       known.is_new, known.sha256
FROM outputs
JOIN inputs ON inputs.number = outputs.input LEFT JOIN known ON known.name = outputs.name
WHERE outputs.problem IS NULL ORDER BY outputs.name
"""
"""Outputs, each beside what is known of it."""


@dataclass(frozen=True)
class OutputFolder:
    """Where the outputs go, and what is to be made of what lies there."""

    storage: Storage
    path: str
    identities: dict[str, str]
    """For every style: all that decides an output beside its source."""
    resume: bool
    overwrite: bool
    splits: Splits | None = None
    """Splits of the manifest, for which hashes of all outputs are needed; None: there is none."""


def verdict_on(
    row: tuple[Any, ...],
    folder: OutputFolder,
    exists: Existing,
    made_with: Mapping[str, Mapping[str, Any]],
) -> tuple[str, bytes | None]:
    """Return what becomes of an output, a row of ``TO_JUDGE``, and why it is refused.

    The words are those of ``ImagePlan.judge``.
    """
    (
        style,
        raw,
        source,
        version,
        known_source,
        known_version,
        identity,
        digest,
        size,
        done,
        is_new,
        sha256,
    ) = row[1:]
    path = below(folder.path, os.fsdecode(raw))
    if exists.leaves(path):
        return "refused", os.fsencode(f"{path}: a link leads out of the output folder")
    existing = exists.size(path)
    if existing is None:
        return "new", None
    asked = folder.identities[os.fsdecode(style)]
    ours = known_source == source and identity == asked
    if ours and is_new and existing and known_version == version and folder.resume:
        return "whole", None
    if ours and digest and existing == size and folder.resume:
        is_sure = done and known_version == version and (sha256 or not folder.splits)
        return ("reused" if is_sure else "unsure"), None
    begun = ours and (not done or existing in (0, size))
    if begun or folder.overwrite:
        return "missing", None
    if ours:
        how = "was changed since it was made"
    elif identity == asked:
        how = "was made from another file"
    else:
        how = f"was made {_otherwise(made_with.get(identity), made_with.get(asked))}"
    return "refused", os.fsencode(f"{path} exists and {how}; --overwrite replaces it")


def _otherwise(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str:
    """Say with which other options; ``otherwise`` where that is not known."""
    if before is None or now is None:
        return "otherwise"
    changed = [name for name, value in now.items() if before.get(name) != value]
    return f"with another {listed(changed)}" if changed else "otherwise"
