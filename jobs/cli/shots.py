"""`nst stylize video --shots`: the shots of films, in words or as JSON."""

from __future__ import annotations

from typing import Any

import typer

from jobs.applying.list_shots import FilmShots, list_shots
from jobs.cli import console
from jobs.specs.applying import StylizeVideo
from nst_core.errors import InputError
from nst_core.wording import columns, counted
from pipeline.films.shots import Shot
from pipeline.films.span import timecode


def show_shots(job: StylizeVideo, *, json: bool) -> None:
    """List the shots of a job's films. Raises typer.Exit where some cannot be read."""
    if job.span:
        raise InputError(
            "--shots with --start, --end or --duration: it lists those of whole films; leave the "
            "part out"
        )
    with console.shown_progress() as show:
        films = list_shots(job.inputs, show, fps=job.fps)
    console.report({"inputs": [_fields(film) for film in films]}, as_json=json)
    for film in films:
        if film.error:
            console.note(f"error: {film.error}")
        elif not json:
            console.say(f"{film.input}: {counted(len(film.shots), 'shots')}")
            for line in columns([_cells(shot) for shot in film.shots]):
                console.say(f"  {line}")
    failed = sum(film.error is not None for film in films)
    if failed:
        raise typer.Exit(console.WRONG_USE if failed == len(films) else console.SOME_FAILED)


def _cells(shot: Shot) -> tuple[str, ...]:
    return (
        str(shot.number),
        f"{timecode(shot.start)} to {timecode(shot.end)}",
        counted(shot.frames, "frames"),
        f"{float(shot.end - shot.start):.3f} s",
    )


def _fields(film: FilmShots) -> dict[str, Any]:
    shots = [
        {
            "number": shot.number,
            "start": round(float(shot.start), 6),
            "end": round(float(shot.end), 6),
            "first_frame": shot.first_frame,
            "frames": shot.frames,
            "seconds": round(float(shot.end - shot.start), 6),
        }
        for shot in film.shots
    ]
    return {"input": film.input, "error": film.error, "shots": shots}
