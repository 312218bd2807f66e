"""All files of the folder ``hostile`` as one job: each ends as the table says, however many work.

The folder goes through one pool four times: with ``identity`` and with a bundled style, by one
worker and by three. What was written is compared with a sequential decode of the source, never
with what the program says of itself.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.applying.stylize_video import stylize_videos
from jobs.specs.applying import PoolSpec, StylizeVideo
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.films.finished_films import HIDDEN_FOLDER
from tests.kit.hostile_files import HOSTILE_FILES, HostileFile
from tests.kit.sequential_decode import CopiedStream, Reading, read_sequentially

_CPUS_PER_WORKER = 0.5
"""Three workers fit on two CPUs."""
_SEGMENT_SECONDS = 1.0
"""Short: nearly every file is cut, most within a GOP or before leading pictures."""
_LIKE_ITS_SOURCE = 10.0
"""Mean difference of thumbnails, in levels of 255: encoders at their default quality."""
_DISPOSITIONS = 0x1 | 0x2 | 0x40 | 0x80
"""Default, dub, forced, hearing impaired: what every container of ours can say."""


@dataclass(frozen=True)
class Batch:
    """One job over all files, finished."""

    folder: Path
    inputs: dict[str, dict[str, Any]]
    """Parts of the report, by the name of the input."""
    stderr: str = ""
    exit_code: int | None = None
    """None where no command was run."""


@dataclass(frozen=True)
class Batches:
    """The same job by one worker and by three."""

    style: str
    one: Batch
    three: Batch


def _inputs(data: Path) -> tuple[Path, ...]:
    return tuple(data / "hostile" / file.name for file in HOSTILE_FILES)


def _in_this_process(data: Path, folder: Path, style: str, workers: int) -> Batch:
    pool = PoolSpec(workers=workers, cpus_per_worker=_CPUS_PER_WORKER)
    report = stylize_videos(
        StylizeVideo(
            _inputs(data), folder, StyleSpec(style), pool, segment_seconds=_SEGMENT_SECONDS
        )
    )
    assert report.workers == workers
    inputs = [dataclasses.asdict(part) for part in report.inputs]
    return Batch(folder, {Path(part["input"]).name: part for part in inputs})


def _by_command(data: Path, folder: Path, style: str, workers: int) -> Batch:
    command = [
        *(sys.executable, "-m", "jobs.cli", "stylize", "video", *map(str, _inputs(data))),
        *("-o", str(folder), "--style", style, "--segment-seconds", str(_SEGMENT_SECONDS)),
        *("--workers", str(workers), "--cpus-per-worker", str(_CPUS_PER_WORKER), "--json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    inputs = json.loads(done.stdout)["inputs"]
    by_name = {Path(part["input"]).name: part for part in inputs}
    return Batch(folder, by_name, done.stderr, done.returncode)


@pytest.fixture(
    scope="module",
    params=["identity", pytest.param("wave", marks=[pytest.mark.slow, pytest.mark.timeout(1800)])],
)
def batches(
    request: pytest.FixtureRequest,
    data: Path,
    ray_here: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Batches:
    style = request.param
    one, three = (tmp_path_factory.mktemp(f"{style}-{workers}") for workers in (1, 3))
    # `identity` by one worker goes through the command line, as users start it.
    first = _by_command if style == "identity" else _in_this_process
    return Batches(style, first(data, one, style, 1), _in_this_process(data, three, style, 3))


@pytest.fixture(scope="module")
def sources(data: Path) -> dict[str, Reading]:
    """Sequential decodes of the files that have something to show."""
    readings = {
        file.name: read_sequentially(data / "hostile" / file.name, rate=file.rate)
        for file in HOSTILE_FILES
    }
    return {name: reading for name, reading in readings.items() if reading and reading.times}


@pytest.fixture(scope="module")
def outputs(batches: Batches) -> dict[str, Reading]:
    """Sequential decodes of what was written."""
    readings = {
        file.name: read_sequentially(batches.one.folder / file.output)
        for file in HOSTILE_FILES
        if (batches.one.folder / file.output).exists()
    }
    return {name: reading for name, reading in readings.items() if reading}


def _check_each(
    check: Callable[[HostileFile], Iterator[object]], *, of: tuple[str, ...] = ("done", "damaged")
) -> None:
    """Fail with the complaints about every file: the first does not hide the others."""
    complaints = [
        f"{file.name}: {complaint}"
        for file in HOSTILE_FILES
        if file.outcome in of
        for complaint in check(file)
    ]
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


def test_the_table_has_every_file_of_the_folder(data: Path) -> None:
    names = [file.name for file in HOSTILE_FILES]
    assert len(names) == len(set(names)) == 61
    assert sorted(names) == sorted(path.name for path in (data / "hostile").iterdir())


def test_the_table_says_what_a_sequential_decode_finds(sources: dict[str, Reading]) -> None:
    def check(file: HostileFile) -> Iterator[object]:
        found = sources[file.name]
        assert file.frames, "a refused file that can be decoded"
        if len(found.times) != file.frames or len(found.missing) != file.missing:
            yield f"{len(found.times)} frames, {len(found.missing)} missing"
        if " ".join(stream.codec for stream in found.copied) != file.copied:
            yield [stream.codec for stream in found.copied]
        if set(found.features) != set(file.keeps.split()):
            yield sorted(found.features)
        if file.outcome == "done" and (found.errors or found.corrupt):
            yield "not done: the decoder complains"

    assert sources.keys() == {file.name for file in HOSTILE_FILES if file.outcome != "refused"}
    _check_each(check)


def test_every_file_ends_as_the_table_says(batches: Batches, sources: dict[str, Reading]) -> None:
    def check(file: HostileFile) -> Iterator[object]:
        for workers, batch in ((1, batches.one), (3, batches.three)):
            part = batch.inputs[file.name]
            for complaint in _about_report(part, file, sources[file.name]):
                yield f"{workers} workers: {complaint}"
            if not (batch.folder / file.output).is_file():
                yield f"{workers} workers: no {file.output}"

    _check_each(check)


def _about_report(part: dict[str, Any], file: HostileFile, source: Reading) -> Iterator[object]:
    if (part["status"], part["error"]) != (file.outcome, None):
        yield part["status"], part["error"], part["warnings"]
        return
    if (part["frames_in"], part["frames_out"]) != (file.frames + file.missing, file.frames):
        yield f"{part['frames_in']} frames in, {part['frames_out']} out"
    missing = [round(float(time), 3) for time in source.missing]
    if [round(time, 3) for time in part["missing_pts_seconds"]] != missing:
        yield f"missing {part['missing_pts_seconds']}, not {missing}"
    if file.says and not any(file.says in warning for warning in part["warnings"]):
        yield f"nothing about {file.says!r} in {part['warnings']}"
    if part["segments"]["done"] != part["segments"]["total"]:
        yield part["segments"]
    if not all(part["verified"][proof] for proof in ("frame_count", "pts", "copied_streams")):
        yield part["verified"]


def test_what_cannot_be_decoded_is_refused_in_one_line(batches: Batches) -> None:
    def check(file: HostileFile) -> Iterator[object]:
        for batch in (batches.one, batches.three):
            part = batch.inputs[file.name]
            error = str(part["error"])
            if part["status"] != "failed" or file.says not in error or file.name not in error:
                yield part["status"], error
            if "\n" in error or list(batch.folder.glob(f"{Path(file.name).stem}*")):
                yield "more than one line, or an output"

    _check_each(check, of=("refused",))


def test_nothing_but_whole_outputs_is_left(batches: Batches) -> None:
    expected = {file.output for file in HOSTILE_FILES if file.outcome != "refused"}
    for batch in (batches.one, batches.three):
        assert {path.name for path in batch.folder.iterdir()} == {*expected, HIDDEN_FOLDER}


def test_the_bytes_do_not_depend_on_the_number_of_workers(batches: Batches) -> None:
    def check(file: HostileFile) -> Iterator[object]:
        one, three = (batch.folder / file.output for batch in (batches.one, batches.three))
        if not one.exists() or not three.exists() or one.read_bytes() != three.read_bytes():
            yield "other bytes"

    _check_each(check)


def test_every_frame_is_shown_at_its_time(
    sources: dict[str, Reading], outputs: dict[str, Reading]
) -> None:
    def check(file: HostileFile) -> Iterator[object]:
        if file.name not in outputs:
            yield "not there, or not to be decoded"
            return
        source, output = sources[file.name], outputs[file.name]
        if output.errors or output.corrupt or output.missing:
            yield f"{output.errors} errors, {output.corrupt} corrupt, missing {output.missing}"
        if len(output.times) != len(source.times):
            yield f"{len(output.times)} frames, not {len(source.times)}"
        elif _farthest(source.times, output.times, _shift(source, output)) > output.tick:
            yield f"frames at {_seconds(output.times)}, not {_seconds(source.times)}"

    _check_each(check)


def test_frames_look_like_their_sources_by_identity_and_by_a_style_none_does(
    batches: Batches, sources: dict[str, Reading], outputs: dict[str, Reading]
) -> None:
    def check(file: HostileFile) -> Iterator[object]:
        if file.name not in outputs:
            return
        pairs = zip(sources[file.name].thumbnails, outputs[file.name].thumbnails, strict=True)
        differences = np.array([np.abs(a.astype(float) - b).mean() for a, b in pairs])
        wrong = np.flatnonzero((differences < _LIKE_ITS_SOURCE) != (batches.style == "identity"))
        if len(wrong):
            yield f"frames {wrong[:5]} differ by {differences[wrong[:5]]} levels"

    _check_each(check)


def test_copied_streams_arrive_byte_by_byte_at_their_times(
    sources: dict[str, Reading], outputs: dict[str, Reading]
) -> None:
    def check(file: HostileFile) -> Iterator[object]:
        if file.name not in outputs:
            return
        source, output = sources[file.name], outputs[file.name]
        same_container = Path(file.name).suffix == Path(file.output).suffix
        if len(source.copied) != len(output.copied):
            yield f"{[stream.codec for stream in output.copied]}, not {file.copied}"
        for before, after in zip(source.copied, output.copied, strict=False):
            shift = _shift(source, output)
            yield from _about_copy(before, after, shift, output.tick, same_container=same_container)

    _check_each(check)


def _about_copy(
    before: CopiedStream,
    after: CopiedStream,
    shift: Fraction,
    tick: Fraction,
    *,
    same_container: bool,
) -> Iterator[object]:
    if (before.codec, before.packets) != (after.codec, after.packets):
        yield f"{after.packets} packets of {after.codec}, not {before.packets} of {before.codec}"
    elif before.payload.digest() != after.payload.digest():
        yield f"other bytes in its {before.codec}"
    elif _farthest(before.times, after.times, shift) > tick:
        yield f"{before.codec} at {_seconds(after.times)}, not {_seconds(before.times)}"
    if before.language not in (None, "und", after.language):
        yield f"{before.codec} in {after.language}, not {before.language}"
    if same_container and (before.disposition ^ after.disposition) & _DISPOSITIONS:
        yield f"{before.codec} with disposition {after.disposition}, not {before.disposition}"


def test_what_belongs_to_the_film_is_kept(
    sources: dict[str, Reading], outputs: dict[str, Reading]
) -> None:
    def check(file: HostileFile) -> Iterator[object]:
        if file.name not in outputs:
            return
        source, output = sources[file.name], outputs[file.name]
        for name in file.keeps.split():
            if output.features.get(name) != source.features[name]:
                yield f"{name} {output.features.get(name)}, not {source.features[name]}"
        if output.size != source.size:
            yield f"{output.size} pixels, not {source.size}"

    _check_each(check)


def test_the_command_tells_what_failed_and_exits_with_1(batches: Batches) -> None:
    batch = batches.one
    if batch.exit_code is None:
        pytest.skip("this batch did not go through the command line")
    assert batch.exit_code == 1
    assert "Traceback" not in batch.stderr
    lines = batch.stderr.splitlines()
    for file in HOSTILE_FILES:
        errors = [line for line in lines if line.startswith("error: ") and file.name in line]
        assert len(errors) == (file.outcome == "refused"), (file.name, errors)


def _shift(source: Reading, output: Reading) -> Fraction:
    """Matroska has no times before zero: there everything may start later by one span."""
    earliest = source.earliest
    return -earliest if earliest < 0 <= output.earliest else Fraction(0)


def _farthest(
    before: list[Fraction] | list[Fraction | None],
    after: list[Fraction] | list[Fraction | None],
    shift: Fraction,
) -> Fraction:
    pairs = zip(before, after, strict=True)
    return max(
        (abs(b - a - shift) for a, b in pairs if a is not None and b is not None),
        default=Fraction(0),
    )


def _seconds(times: list[Fraction] | list[Fraction | None]) -> str:
    """The ends of a list of times, for messages."""
    shown = [f"{float(time):.4f}" for time in times if time is not None]
    return f"{', '.join(shown[:3])} ... {shown[-1]} s" if len(shown) > 3 else f"{shown} s"
