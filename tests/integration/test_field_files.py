"""Films as people brought them: each ends as the table says, however many work.

With ``identity`` in this process for every row, by Ray's workers for all rows whose output keeps
its usual ending, and with a bundled style. Sound is compared with the source's by a reader that
shares no code with the program.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from tests.kit.field_files import FIELD_FILES, FieldFile
from tests.kit.sequential_decode import read_sequentially
from tests.kit.sound_reading import read_sound

_CPUS_PER_WORKER = 0.5
"""Three workers fit on two CPUs."""
_SEGMENT_SECONDS = 0.4
"""Short: every film is cut."""
_TOLERANCE = Fraction(2, 1000)
"""Seconds: two ticks of Matroska."""
_DEFAULTS = tuple(file for file in FIELD_FILES if file.is_default)


@pytest.mark.parametrize("file", FIELD_FILES, ids=lambda file: f"{file.name}{file.becomes}")
def test_a_film_ends_as_the_table_says(file: FieldFile, data: Path, tmp_path: Path) -> None:
    source, output = data / "field" / file.name, tmp_path / file.output
    (part,) = _stylized([source], output, "identity", workers=0)
    complaints = list(_complaints(file, source, output, part))
    if complaints:
        pytest.fail("\n".join(map(str, complaints)), pytrace=False)


@pytest.mark.parametrize(
    ("style", "workers"),
    [
        ("identity", 1),
        pytest.param("identity", 3, marks=pytest.mark.slow),
        pytest.param("wave", 1, marks=pytest.mark.slow),
        pytest.param("wave", 3, marks=pytest.mark.slow),
    ],
)
def test_a_folder_of_films_ends_as_the_table_says(
    style: str, workers: int, data: Path, tmp_path: Path, ray_here: None
) -> None:
    sources = [data / "field" / file.name for file in _DEFAULTS]
    parts = _stylized(sources, tmp_path, style, workers=workers)
    complaints = [
        f"{file.name}: {complaint}"
        for file, source, part in zip(_DEFAULTS, sources, parts, strict=True)
        for complaint in _complaints(file, source, Path(part["output"]), part)
    ]
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


def _stylized(
    sources: list[Path], output: Path, style: str, *, workers: int
) -> list[dict[str, Any]]:
    pool = PoolSpec(workers=workers, cpus_per_worker=_CPUS_PER_WORKER if workers else None)
    job = StylizeVideo(
        tuple(sources), output, StyleSpec(style), pool, segment_seconds=_SEGMENT_SECONDS
    )
    return [dataclasses.asdict(part) for part in stylize_videos(job).inputs]


def _complaints(
    file: FieldFile, source: Path, output: Path, part: dict[str, Any]
) -> Iterator[object]:
    if file.outcome == "refused":
        error = str(part["error"])
        if part["status"] != "failed" or file.says not in error or "\n" in error:
            yield part["status"], error
        if part["segments"]["done"] or output.exists():
            yield "refused after work", part["segments"]
        return
    if (part["status"], part["error"]) != (file.outcome, None):
        yield part["status"], part["error"], part["warnings"]
        return
    if file.says and not any(file.says in warning for warning in part["warnings"]):
        yield f"nothing about {file.says!r} in {part['warnings']}"
    shown = read_sequentially(output)
    assert shown is not None
    if (part["frames_out"], len(shown.times)) != (file.frames, file.frames):
        yield f"{len(shown.times)} frames, told {part['frames_out']}, not {file.frames}"
    others = [stream.codec for stream in shown.copied if stream.kind != "audio"]
    if others != file.others.split():
        yield f"other streams {others}, not {file.others}"
    yield from _about_sound(file, source, output, part["warnings"])


def _about_sound(
    file: FieldFile, source: Path, output: Path, warnings: list[str]
) -> Iterator[object]:
    before, after = read_sound(source), read_sound(output)
    if len(before) != len(after):
        yield f"sound {[s.codec for s in after]}, not {[s.codec for s in before]}"
        return
    copied = [a.payload == b.payload for a, b in zip(before, after, strict=True)]
    if (sum(copied), len(copied) - sum(copied)) != (file.copied, file.converted):
        yield f"{sum(copied)} streams of sound are copied"
    told = sum("is converted" in warning for warning in warnings)
    if told != file.converted:
        yield f"told of {told} conversions in {warnings}"
    for a, b, is_copy in zip(before, after, copied, strict=True):
        if not is_copy and not np.array_equal(a.samples, b.samples):
            yield f"other samples in its {a.codec}"
        first, second = (a.begins, b.begins) if is_copy else (a.is_heard, b.is_heard)
        if first is None or second is None or abs(first - second) > _TOLERANCE:
            yield f"its {a.codec} at {second} s, not {first}"
