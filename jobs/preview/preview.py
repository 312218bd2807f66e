"""`nst preview`: a few frames and pictures in many styles, to choose from before a long run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from jobs.applying.direction import direction_of
from jobs.applying.workers import find_style_for_job
from jobs.preview.directed import Directed
from jobs.preview.frames import Failure, Shown, shown_of
from jobs.preview.page import PageFrame, render_page
from jobs.preview.sheet import Row, draw_sheet
from jobs.specs.applying import PoolSpec, StylizeVideo
from jobs.specs.preview import Preview
from nst_core.checkpoints.library import IDENTITY, Style, bundled_styles
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.checks import check_new_file
from nst_core.errors import InputError
from nst_core.files import write_whole
from nst_core.strokes import in_proportion
from nst_core.wording import counted, listed
from pipeline.films.span import time_of
from pipeline.looks.direction import Direction
from pipeline.pictures.outputs.saving import save_picture
from pipeline.work.progress import OnProgress, Pace, ignore_progress, stage

_MOST_SHOWN = 100
"""Frames and pictures on one sheet or page."""
_QUALITY = 92
"""Quality of a sheet that is a JPEG."""
_FINER = 0.75
"""Strokes at full size, relative to the picture, below which the difference is told."""


@dataclass(frozen=True)
class PreviewReport:
    """What a preview came to; the fields of the command's JSON."""

    output: str
    frames: list[dict[str, object]]
    """Each with its input, its time in seconds (None: a picture), and its full size."""
    styles: list[str]
    strokes: list[float]
    strengths: list[float]
    failures: list[dict[str, str]]
    """Inputs of which nothing is shown, each with its path and error."""
    notes: list[str]
    """In what the outputs of a long run will differ from the preview."""
    engine: str
    seconds: float


@dataclass(frozen=True)
class _Look:
    """One way to stylize."""

    run: StylizeVideo
    """What films would be given to."""
    direction: Direction
    name: str
    """What the style is called on the sheet."""

    @property
    def style(self) -> Style:
        return self.direction.style

    @property
    def spec(self) -> StyleSpec:
        return self.run.style

    def stroke_for(self, height: int, width: int) -> float:
        return self.spec.strokes_of(self.style).of(height, width)


def preview(job: Preview, on_progress: OnProgress = ignore_progress) -> PreviewReport:
    """Write the sheet or page. Inputs of which nothing can be shown are in the report.

    Raises InputError or EnvironmentProblem where nothing at all can be shown.
    """
    began = time.monotonic()
    times = [at for text in job.at if (at := time_of("--at", text)) is not None]
    check_new_file(
        "-o",
        job.output,
        inputs=map(Path, job.inputs),
        overwrite=job.overwrite,
        example="preview.png",
    )
    looks = _looks(job, on_progress)
    on_progress(stage("looking for frames", "pictures"))
    found = list(shown_of(job, times))
    shown = [each for each in found if isinstance(each, Shown)]
    failures = [each for each in found if isinstance(each, Failure)]
    if not shown:
        raise InputError(failures[0].error)
    if len(shown) > _MOST_SHOWN:
        raise InputError(
            f"{len(shown)} frames and pictures, and {_MOST_SHOWN} at most are shown; name a folder "
            "or a glob in quotes, of which a sample is shown, or fewer --frames"
        )
    pictures, engine = _stylized(shown, looks, on_progress)
    _write(job, shown, looks, pictures)
    return PreviewReport(
        output=str(job.output),
        frames=[
            {
                "input": each.input,
                "seconds": each.seconds,
                "width": each.full_size[0],
                "height": each.full_size[1],
            }
            for each in shown
        ],
        styles=list(dict.fromkeys(look.spec.style for look in looks)),
        strokes=list(job.strokes),
        strengths=list(job.strengths),
        failures=[{"path": each.path, "error": each.error} for each in failures],
        notes=_notes(shown, looks),
        engine=engine,
        seconds=round(time.monotonic() - began, 3),
    )


def _looks(job: Preview, on_progress: OnProgress) -> list[_Look]:
    """Find the styles, each at all strokes and strengths: those of one style behind each other."""
    texts = dict.fromkeys(job.styles or ([IDENTITY] if job.timeline else bundled_styles()))
    looks = []

    def find(spec: StyleSpec) -> Style:
        return find_style_for_job(spec, PoolSpec(workers=0), job.inputs, on_progress)

    for text, stroke, strength in product(texts, job.strokes or (None,), job.strengths or (1.0,)):
        spec = StyleSpec(
            text,
            strength=strength,
            keep_colors=job.keep_colors,
            stroke=stroke,
            engine="torch",  # others compile for longer than a few frames take
            device=job.device,
            fit_steps=job.fit_steps,
            loss_network_weights=job.loss_network_weights,
        )
        run = StylizeVideo(
            (Path("film"),),
            "film.mkv",
            spec,
            max_side=job.max_side,
            mask=job.mask,
            mask_style=job.mask_style,
            timeline=job.timeline,
            tonemap=True,
        )
        direction = direction_of(run, find)
        is_left_out = job.timeline and text == IDENTITY
        looks.append(_Look(run, direction, "timeline" if is_left_out else direction.style.name))
    names = {look.spec.style: look.name for look in looks}
    if len(set(names.values())) < len(names):  # files of one name: what was given tells them apart
        looks = [replace(look, name=look.spec.style) for look in looks]
    return looks


def _stylized(
    shown: Sequence[Shown], looks: Sequence[_Look], on_progress: OnProgress
) -> tuple[list[list[Image.Image]], str]:
    """Return for each frame what every look makes of it, as it is displayed; and what computed."""
    pictures: list[list[Image.Image]] = [[] for _ in shown]
    pace, done, total = Pace(), 0, len(shown) * len(looks)
    began, engines = time.monotonic(), ["none"]
    for look in looks:
        directed = Directed(look.direction, look.run)
        for each, own, pixels in zip(shown, pictures, directed.each(shown), strict=True):
            own.append(each.displayed(Image.fromarray(pixels)))
            done += 1
            pace.add(1, began=began, now=time.monotonic())
            on_progress(pace.progress(done, total, "pictures"))
        engines.append(directed.engine)
    return pictures, next((name for name in reversed(engines) if name != "none"), "none")


def _write(
    job: Preview,
    shown: Sequence[Shown],
    looks: Sequence[_Look],
    pictures: Sequence[Sequence[Image.Image]],
) -> None:
    """Write the output whole. Raises MediaError or OSError."""
    sources = [each.displayed(Image.fromarray(each.rgb)) for each in shown]
    if job.is_page:
        frames = [
            PageFrame(each.label, source, own)
            for each, source, own in zip(shown, sources, pictures, strict=True)
        ]
        page = render_page(frames, [_words(job, look) for look in looks])
        write_whole(job.output, page)
        return
    rows = [
        row
        for each, source, own in zip(shown, sources, pictures, strict=True)
        for row in _rows(job, each, source, list(zip(looks, own, strict=True)))
    ]
    sheet = draw_sheet(rows, longest_side=job.max_side)
    save_picture(str(job.output), np.asarray(sheet), quality=_QUALITY)


def _words(job: Preview, look: _Look) -> dict[str, str]:
    """Name a look: its style, and of stroke and strength what was asked for."""
    words = {"style": look.name}
    if job.strokes:
        words["stroke"] = f"{look.spec.stroke:g}"
    if job.strengths:
        words["strength"] = f"{look.spec.strength:g}"
    return words


def _rows(
    job: Preview, shown: Shown, source: Image.Image, stylized: Sequence[tuple[_Look, Image.Image]]
) -> Iterator[Row]:
    """Yield a row for each stroke and strength of a frame."""
    by_row: dict[str, list[tuple[str, Image.Image]]] = {}
    for look, picture in stylized:
        words = _words(job, look)
        style = words.pop("style")
        caption = ", ".join([shown.label, *(f"{kind} {value}" for kind, value in words.items())])
        by_row.setdefault(caption, [("source", source)]).append((style, picture))
    for caption, pictures in by_row.items():
        yield Row(caption, pictures)


def _notes(shown: Sequence[Shown], looks: Sequence[_Look]) -> list[str]:
    """Say what a run at full size will show otherwise."""
    notes = []
    finer = sorted({look.name for each in shown for look in looks if _is_finer(each, look)})
    if finer:
        width, height = max((each.full_size for each in shown), key=min)
        notes.append(
            f"at full size ({width}x{height}) the strokes of {_few(finer)} will be finer, beside "
            "the picture, than here; --max-side gives a run the size of this preview"
        )
    sizes = {each.rgb.shape[:2] for each in shown}
    limits = (look.spec.strokes_of(look.style).limit(*size) for look in looks for size in sizes)
    notes += dict.fromkeys(limit for limit in limits if limit)
    if any(each.is_hdr for each in shown):
        notes.append("high dynamic range is shown as with --tonemap")
    return notes


def _is_finer(shown: Shown, look: _Look) -> bool:
    """Whether strokes at full size are finer, as parts of the picture, than in the preview."""
    if look.style.path is None:
        return False
    width, height = shown.full_size
    here = look.stroke_for(*shown.rgb.shape[:2]) / in_proportion(*shown.rgb.shape[:2])
    return look.stroke_for(height, width) / in_proportion(height, width) < _FINER * here


def _few(names: Sequence[str]) -> str:
    return listed(names) if len(names) <= 3 else counted(len(names), "styles")
