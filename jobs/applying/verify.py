"""Verifying outputs of earlier runs: films and folders of pictures, at any time, on any machine."""

from __future__ import annotations

import time

from nst_core.errors import InputError
from pipeline.proof.datasets import prove_dataset
from pipeline.proof.films import prove_films
from pipeline.proof.findings import Findings
from pipeline.storage.open import storage_for
from pipeline.storage.remote_file import path_of
from pipeline.work.progress import OnProgress, ignore_progress


def verify_output(
    output: str, source: str | None = None, on_progress: OnProgress = ignore_progress
) -> Findings:
    """Compare an output with what was recorded when it was made, and with its source.

    ``output`` is a film, or a folder of films, pictures or shards. ``source`` is what it was made
    of, or the folder of that, where it is not where it was. Raises InputError where nothing is
    recorded of the output.
    """
    start = time.monotonic()
    storage = storage_for(output)
    findings = Findings(output)
    path = storage.resolved(output)
    is_folder = storage.is_folder(path)
    has_films = prove_films(path_of(path), path_of(source) if source else None, findings)
    has_pictures = is_folder and prove_dataset(path, source, findings, on_progress)
    if not has_films and not has_pictures:
        raise InputError(
            f"{output}: nothing is recorded of it: a folder of pictures needs its manifest or "
            "progress.jsonl, a film the hidden folder .nst-done beside it"
        )
    findings.seconds = round(time.monotonic() - start, 3)
    return findings
