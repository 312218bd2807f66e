"""Fetching of the loss network's weights: once, and only what is needed of them is kept."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nst_core.caches import loss_networks
from nst_core.errors import LossNetworkError
from nst_core.files import lock
from nst_core.objectives.layers import KEPT_LAYER, convolution_keys
from nst_core.objectives.settings import LossNetworkName
from nst_core.objectives.weights.download import Download, DownloadError, OnDownload, download
from nst_core.objectives.weights.kept import (
    ORIGINALS,
    WEIGHTS_VARIABLE,
    hub_file,
    keep,
    kept_for,
)

if TYPE_CHECKING:
    from nst_core.objectives.weights.reading import LossNetworkWeights

_log = logging.getLogger(__name__)

MIRROR_VARIABLE = "NST_WEIGHTS_URL"
"""Environment variable with the address of a folder that has torchvision's files."""
_TORCHVISION = "https://download.pytorch.org/models"


def ignore_download(state: Download) -> None:
    """The OnDownload of those who do not look."""


def kept_or_fetched(
    name: LossNetworkName, layers: Iterable[str], on_download: OnDownload = ignore_download
) -> LossNetworkWeights:
    """Read the weights that are kept, else those in torch.hub's cache, else download them.

    Raises LossNetworkError.
    """
    from nst_core.objectives.weights.reading import read_weights  # torch

    layers = tuple(layers)
    path = kept_for(name, layers)
    if path is None and hub_file(name).is_file():
        return _original(name, hub_file(name))
    return read_weights(path or fetch(name, layers, on_download), name)


def fetch(
    name: LossNetworkName, layers: Iterable[str], on_download: OnDownload = ignore_download
) -> Path:
    """Return the file in which what ``layers`` need is kept; where there is none, make it.

    It is made of torchvision's file, from torch.hub's cache or by a download. Processes that do so
    at the same time wait for the first. Raises LossNetworkError.
    """
    layers = (*layers, KEPT_LAYER[name])
    is_deeper = convolution_keys(name, layers) > convolution_keys(name, [KEPT_LAYER[name]])
    try:
        with one_at_a_time():
            if path := kept_for(name, layers):
                return path
            downloaded = loss_networks() / ORIGINALS[name].file
            original = hub_file(name)
            if not original.is_file():
                original = downloaded
            if not original.is_file():
                mirror = (os.environ.get(MIRROR_VARIABLE) or _TORCHVISION).rstrip("/")
                url = f"{mirror}/{downloaded.name}"
                download(url, original, sha256=ORIGINALS[name].sha256, on_download=on_download)
            path = keep(_original(name, original), all_layers=is_deeper)
            downloaded.unlink(missing_ok=True)
            return path
    except (OSError, DownloadError) as error:
        raise LossNetworkError(
            f"no weights for the loss network {name}: {error}; connect to the internet and run it "
            "again, or bring a file from another machine: `nst weights add FILE`, "
            f"--loss-network-weights FILE or {WEIGHTS_VARIABLE}"
        ) from error


def _original(name: LossNetworkName, path: Path) -> LossNetworkWeights:
    from nst_core.objectives.weights.reading import read_weights  # torch, behind the download

    return replace(read_weights(path, name), source=ORIGINALS[name].source)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other process changes what is kept; the folder itself is what they lock."""
    folder = loss_networks()
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not lock(descriptor):
            _log.info("waits for another process, which fetches the loss network's weights")
            lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)
