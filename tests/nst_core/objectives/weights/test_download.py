"""A download that is cut goes on, and what is written is the file that is known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nst_core.objectives.weights import download as module
from nst_core.objectives.weights.download import Download, DownloadError, download
from tests.kit.file_server import FileServer, serve

CONTENT = np.random.default_rng(0).bytes(2_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()[:8]
HALF = len(CONTENT) // 2


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(module, "_SECONDS_BEFORE_TRYING", 0.001)
    with serve({"weights.pth": CONTENT}) as served:
        yield served


def _download(server: FileServer, folder: Path, sha256: str = SHA256) -> list[Download]:
    states: list[Download] = []
    download(
        f"{server.url}/weights.pth",
        folder / "weights.pth",
        sha256=sha256,
        on_download=states.append,
    )
    assert [path.name for path in folder.iterdir()] == ["weights.pth"]
    assert (folder / "weights.pth").read_bytes() == CONTENT
    return states


def test_the_size_is_told_before_anything_has_come(server: FileServer, tmp_path: Path) -> None:
    first, *_, last = _download(server, tmp_path)
    assert (first.name, first.host) == ("weights.pth", "127.0.0.1")
    assert (first.done, first.total, first.seconds_left) == (0, len(CONTENT), None)
    assert last.done == last.total
    assert last.seconds_left == 0


def test_a_connection_that_is_cut_is_made_again_from_there(
    server: FileServer, tmp_path: Path
) -> None:
    server.cuts_after = [HALF, 1000]
    _download(server, tmp_path)
    assert server.asked == [
        "weights.pth",
        f"weights.pth bytes={HALF}-",
        f"weights.pth bytes={HALF + 1000}-",
    ]


def test_an_interrupted_download_goes_on_where_it_stopped(
    server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "weights.pth.part").write_bytes(CONTENT[:HALF])
    states = _download(server, tmp_path)
    assert states[0].done == HALF
    assert server.asked == [f"weights.pth bytes={HALF}-"]


def test_a_server_that_knows_no_ranges_is_asked_for_all(server: FileServer, tmp_path: Path) -> None:
    server.knows_ranges = False
    (tmp_path / "weights.pth.part").write_bytes(CONTENT[:HALF])
    _download(server, tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize("size", [HALF, len(CONTENT), len(CONTENT) + 1])
def test_the_beginning_of_another_file_is_not_gone_on_with(
    size: int, server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "weights.pth.part").write_bytes(bytes(size))
    _download(server, tmp_path)
    assert server.asked[-1] == "weights.pth"


def test_what_was_all_there_is_not_asked_for_again(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.part").write_bytes(CONTENT)
    _download(server, tmp_path)
    assert server.asked == [f"weights.pth bytes={len(CONTENT)}-"]


def test_another_file_than_the_known_one_is_refused_and_removed(
    server: FileServer, tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match=r"weights\.pth: another file .* 00000000"):
        _download(server, tmp_path, sha256="00000000")
    assert list(tmp_path.iterdir()) == []
    assert len(server.asked) == 1


def test_a_file_that_is_not_there_is_asked_for_once(server: FileServer, tmp_path: Path) -> None:
    server.files.clear()
    with pytest.raises(DownloadError, match="404"):
        _download(server, tmp_path)
    assert len(server.asked) == 1


def test_a_connection_that_brings_no_more_is_given_up_and_what_came_is_kept(
    server: FileServer, tmp_path: Path
) -> None:
    server.cuts_after = [HALF, *[0] * 20]
    with pytest.raises(DownloadError, match="cut"):
        _download(server, tmp_path)
    assert (tmp_path / "weights.pth.part").stat().st_size == HALF
    server.cuts_after = []
    _download(server, tmp_path)


def test_without_a_network_it_fails_at_once(tmp_path: Path) -> None:
    nowhere = FileServer({}, url="http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="refused") as caught:
        _download(nowhere, tmp_path)
    assert "\n" not in str(caught.value)


def test_an_address_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="https://"):
        _download(FileServer({}, url=tmp_path.as_uri()), tmp_path)


def test_a_full_disk_is_told_before_anything_is_downloaded(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        free = 10**6

    monkeypatch.setattr("shutil.disk_usage", lambda folder: Full)
    with pytest.raises(DownloadError, match=r"2 MB are needed .* NST_CACHE_DIR"):
        _download(server, tmp_path)
    assert list(tmp_path.iterdir()) == []
