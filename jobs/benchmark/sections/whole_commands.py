"""Whole commands against a plain script: start-up, decoding, colours, encoding and all."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs.benchmark.commands import WORKERS, CommandRun, run_nst, run_script, where_it_runs
from jobs.benchmark.material.films import film
from jobs.benchmark.material.generators import BUNDLED
from jobs.benchmark.material.pictures import photo_folder
from jobs.benchmark.section import Cell, Section, verdict
from jobs.benchmark.settings import BenchSettings
from jobs.benchmark.subjects import naive_script
from jobs.benchmark.turns import median_ratio, take_turns

_FASTER_BAR = 3.0
"""Times as fast as the script, for a minute of film and more."""
_BAR_SECONDS = 60
_REAL_TIME_BAR = 24.0
"""Frames a second, start-up aside."""
_REAL_TIME_SIZE = (480, 270)
_PHOTOS, _QUICK_PHOTOS = 400, 40


@dataclass(frozen=True)
class _Film:
    width: int
    height: int
    seconds: int

    @property
    def name(self) -> str:
        return f"{self.seconds} s of film, {self.width}x{self.height}"


_FILMS = (_Film(1280, 720, 60), _Film(640, 360, 60))
_QUICK_FILMS = (_Film(640, 360, 10),)


def whole_commands(settings: BenchSettings) -> Section:
    """Films and photographs by `nst stylize` and by the plain script, and the real-time bar."""
    _warm_up(settings)
    rows = [_film_row(settings, each) for each in (_QUICK_FILMS if settings.quick else _FILMS)]
    rows += [_photo_row(settings), _real_time_row(settings)]
    return Section(
        key="whole_commands",
        title="Whole commands",
        columns=(
            *("what", "nst, s", "plain script, s", "times as fast"),
            *("nst, a second", "plain script, a second", "bar", "kept"),
        ),
        rows=rows,
        notes=(
            f"`nst stylize` with the style {BUNDLED} in a process of its own, from its start to "
            f"its end, Ray's start-up included; {WORKERS} workers where there is no GPU. The plain "
            "script has the same generator: decode, Pillow, one eager float32 call a frame, "
            "libx264 as it comes. `nst` also reads its output again; that is in its time.",
            f"`a second` counts frames or photographs. Films of {_BAR_SECONDS} s are measured "
            f"once, others in {settings.long_rounds} rounds by turns (medians). Starting weighs "
            "less the longer the film is; a bar is only for the length that it names.",
            "`real time` counts from the first segment's start to the last one's end; "
            "it is for playing along, once everything runs.",
        ),
    )


def _warm_up(settings: BenchSettings) -> None:
    """Let files and the compiled style be in their caches, as on any run but the first."""
    settings.tell("whole commands: warming up")
    one = film(settings, width=64, height=64, seconds=1)
    run_nst(*_stylize_film(settings, one))


def _stylize_film(settings: BenchSettings, source: Path) -> list[object]:
    output = settings.folder / "nst.mp4"
    options: list[object] = ["--style", BUNDLED, "--overwrite", "--no-resume", *where_it_runs()]
    return ["stylize", "video", source, "-o", output, *options]


def _film_row(settings: BenchSettings, wanted: _Film) -> tuple[Cell, ...]:
    source = film(settings, width=wanted.width, height=wanted.height, seconds=wanted.seconds)
    minute = wanted.seconds >= _BAR_SECONDS
    return _compare(
        settings,
        wanted.name,
        nst=lambda: run_nst(*_stylize_film(settings, source)),
        script=lambda: run_script(
            naive_script, "video", BUNDLED, source, settings.folder / "script.mp4"
        ),
        rounds=1 if minute else settings.long_rounds,
        bar=_FASTER_BAR if minute else None,
    )


def _photo_row(settings: BenchSettings) -> tuple[Cell, ...]:
    photos = photo_folder(settings, _QUICK_PHOTOS if settings.quick else _PHOTOS)
    ours, theirs = settings.folder / "nst-photos", settings.folder / "script-photos"
    options = ["--style", BUNDLED, "--overwrite", "--no-resume", *where_it_runs()]
    return _compare(
        settings,
        f"{len(list(photos.iterdir()))} photographs",
        nst=lambda: run_nst("stylize", "images", photos, "-o", ours, *options),
        script=lambda: run_script(naive_script, "images", BUNDLED, photos, theirs),
        rounds=settings.long_rounds,
    )


def _compare(
    settings: BenchSettings,
    name: str,
    *,
    nst: Callable[[], CommandRun],
    script: Callable[[], CommandRun],
    rounds: int,
    bar: float | None = None,
) -> tuple[Cell, ...]:
    settings.tell(f"whole commands: {name}")
    done = 0

    def run_script_once() -> float:
        nonlocal done
        run = script()
        done = run.report["done"]
        return run.seconds

    cases = {"nst": lambda: nst().seconds, "script": run_script_once}
    seconds = take_turns(cases, rounds=rounds, warm_up=False)
    ours, theirs = statistics.median(seconds["nst"]), statistics.median(seconds["script"])
    ratio = median_ratio(seconds["script"], seconds["nst"])
    told, kept = (None, None) if bar is None else (f"{bar:g} times as fast", verdict(ratio, bar))
    return (name, ours, theirs, ratio, done / ours, done / theirs, told, kept)


def _real_time_row(settings: BenchSettings) -> tuple[Cell, ...]:
    width, height = _REAL_TIME_SIZE
    seconds = 10 if settings.quick else 30
    source = film(settings, width=width, height=height, seconds=seconds)
    settings.tell("whole commands: real time")
    reports = [
        run_nst(*_stylize_film(settings, source)).report["inputs"][0]
        for _ in range(settings.long_rounds)
    ]
    stylizing = statistics.median(report["seconds"]["stylize"] for report in reports)
    rate = reports[0]["frames_out"] / stylizing
    name = f"real time: {seconds} s of film, {width}x{height}, start-up aside"
    bar = f"{_REAL_TIME_BAR:g} frames/s"
    return (name, stylizing, None, None, rate, None, bar, verdict(rate, _REAL_TIME_BAR))
