"""A plan in words: what would be done on stdout, what would be refused on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict

import typer

from jobs.cli import console, reports
from jobs.planning.report import (
    EnlargementsPlan,
    FilmsPlan,
    JobPlan,
    OptimizationForecast,
    PicturesPlan,
    PlannedFilm,
    TrainingForecast,
    gigabytes,
    megabytes,
)
from nst_core.wording import about, columns, counted, listed
from pipeline.work.progress import OnProgress


def show_plan(make: Callable[[OnProgress], JobPlan], *, json: bool) -> None:
    """Make a plan and tell it; exits with another code than 0 where the run would for its inputs.

    Raises typer.Exit.
    """
    with console.shown_progress() as show:
        plan = make(show)
    console.report(asdict(plan), as_json=json)
    for part in plan.parts if isinstance(plan, EnlargementsPlan) else [plan]:
        _tell(part, json=json)
    if plan.nothing_starts:
        raise typer.Exit(console.WRONG_USE)
    if plan.some_fail:
        raise typer.Exit(console.SOME_FAILED)


def _tell(plan: JobPlan, *, json: bool) -> None:
    if isinstance(plan, FilmsPlan):
        _tell_films(plan, json=json)
    elif isinstance(plan, PicturesPlan):
        _tell_pictures(plan, json=json)
    elif isinstance(plan, TrainingForecast) and not json:
        console.say(f"{plan.checkpoint}: {_training(plan)}")
    elif isinstance(plan, OptimizationForecast) and not json:
        console.say(
            f"{plan.output}: {plan.width}x{plan.height} pixels, {_many(plan.steps, 'steps')} of "
            f"{plan.seconds_a_step:.2g} s; {about(plan.seconds)}"
        )
    if not json:
        for line in columns(_rows(plan)):
            console.say(line)


def _tell_films(plan: FilmsPlan, *, json: bool) -> None:
    for film in plan.inputs:
        for warning in film.warnings:
            console.warn(f"{film.input}: {warning}")
        if not film.error and not json:
            console.say(f"{film.input} -> {film.output}: {_film(film)}")
    errors = dict.fromkeys((film.input, film.error) for film in plan.inputs if film.error)
    reports.note_all("error", [(path, error) for path, error in errors if error], "films")


def _tell_pictures(plan: PicturesPlan, *, json: bool) -> None:
    failures = [(each["path"], each["error"]) for each in plan.failures]
    reports.note_all("error", failures, "pictures")
    if json:
        return
    styles = plan.styles_per_image
    parts = [
        f"{_many(plan.to_do, 'pictures')} to do" + (f" in {styles} styles" if styles > 1 else "")
    ]
    if plan.images_measured:
        rate = console.a_second(plan.images_per_second, "pictures")
        parts[0] += f", {plan.pixels / 1e6:,.1f} megapixels"
        parts.append(f"{about(plan.seconds)} ({rate}), {megabytes(plan.size)}")
    if plan.reused:
        parts.append(f"{_many(plan.reused, 'pictures')} of an earlier run {_are(plan.reused)} kept")
    if plan.failed:
        parts.append(f"{_many(plan.failed, 'pictures')} {_are(plan.failed)} refused")
    console.say(f"{plan.output}: {'; '.join(parts)}")


def _training(plan: TrainingForecast) -> str:
    steps = f"{_many(plan.steps, 'steps')} of {plan.seconds_a_step:.2g} s"
    if plan.first_step:
        steps += f", from step {plan.first_step:,} on"
    rate = console.a_second(plan.images_per_second, "crops")
    photos = f", {_many(plan.photos, 'photographs')}" if plan.photos else ""
    end = f", {about(plan.seconds_to_end)} of it after the last step" if plan.seconds_to_end else ""
    return f"{steps} ({rate}){photos}; {about(plan.seconds)}{end}; run in {plan.run_dir}"


def _many(number: int, things: str) -> str:
    return f"{number:,} {counted(number, things).partition(' ')[2]}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _film(film: PlannedFilm) -> str:
    if film.fate == "done":
        return "is done already, and would be left as it is"
    segments = film.segments["total"]
    of_before = {"segments": film.segments["reused"], "frames": film.frames_kept}
    parts = [
        f"{_many(film.frames, 'frames')} of {film.width}x{film.height} "
        f"in {_many(segments, 'segments')}",
    ]
    if film.frames_left:
        rate = console.a_second(film.frames_per_second, "frames")
        parts.append(f"{about(film.seconds)} ({rate}), {megabytes(film.size)}")
    used = [_many(count, things) for things, count in of_before.items() if count]
    if used:
        are = _are(sum(of_before.values()))
        parts.append(f"{listed(used)} of an earlier run {are} used again")
    return "; ".join(parts)


def _rows(plan: JobPlan) -> Iterator[tuple[str, str]]:
    if plan.memory:
        start = f", {about(plan.seconds_to_start)} of it to start"
        yield "time", f"{about(plan.seconds)} in all{start}{_measured(plan)}"
        yield "workers", f"{_workers(plan)}; {plan.engine}"
    if isinstance(plan, FilmsPlan):
        for encoder in dict.fromkeys(film.encoder for film in plan.inputs if film.encoder):
            yield "encoder", encoder
    if plan.memory:
        each = f"{gigabytes(plan.memory.per_worker)} for each, " if plan.workers else ""
        yield (
            "memory",
            f"{each}{gigabytes(plan.memory.total)} in all; {gigabytes(plan.memory.free)} are free",
        )
    for disk in plan.disks:
        yield "disk", f"{megabytes(disk.needed)} in {disk.folder}; {gigabytes(disk.free)} are free"
    for remark in plan.remarks:
        yield "note", remark


def _measured(plan: JobPlan) -> str:
    if isinstance(plan, FilmsPlan):
        return f"; measured just now on {counted(plan.frames_measured, 'frames')}"
    if isinstance(plan, PicturesPlan):
        return f"; measured just now on {counted(plan.images_measured, 'pictures')}"
    if isinstance(plan, TrainingForecast):
        return f"; measured just now on {counted(plan.steps_measured, 'steps')}"
    return ""


def _workers(plan: JobPlan) -> str:
    threads = counted(plan.threads_per_worker, "threads")
    if plan.workers is None:
        return f"as many as the cluster has room for, each of {threads}"
    if not plan.workers:
        return f"none: this process, with {threads}"
    each = "each of " if plan.workers > 1 else "of "
    return f"{plan.workers}, {each}{threads}"
