"""Jobs for pictures, and what they leave behind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from PIL import Image

from jobs.specs.applying import PoolSpec, StylizeImages
from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.pictures.report import StylizeImagesReport
from tests.kit.media import moving_picture


def images_job(
    source: Path | str, output: Path | str, *styles: str, **options: object
) -> StylizeImages:
    """A job in this process; the style is ``identity`` if none is named."""
    specs = tuple(StyleSpec(style) for style in styles or ("identity",))
    job = StylizeImages((str(source),), str(output), specs, PoolSpec(workers=0))
    return dataclasses.replace(job, **options)  # type: ignore[arg-type]


def save_pictures(folder: Path, *names: str) -> Path:
    """Write a different picture of 40x30 for each name; returns the folder."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(moving_picture(number, 40, 30)).save(path)
    return folder


def tree(folder: Path) -> set[str]:
    """Names of all files below the folder but records and reports."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.suffix not in (".json", ".jsonl") and path.is_file()
    }


def contents(folder: Path) -> dict[str, bytes]:
    """The same files with what is in them."""
    return {name: (folder / name).read_bytes() for name in sorted(tree(folder))}


def counts(report: StylizeImagesReport) -> tuple[int, int, int, int]:
    """How many there were, and became done, reused and failed."""
    return report.total, report.done, report.reused, report.failed
