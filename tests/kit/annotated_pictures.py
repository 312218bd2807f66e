"""Annotations of pictures of 40x30, as `save_pictures` makes them, and runs that carry them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jobs.applying.stylize_images import stylize_images
from pipeline.pictures.report import StylizeImagesReport
from tests.kit.image_jobs import images_job

_SHAPES: dict[str, Any] = {
    "bbox": [10, 6, 20, 12],
    "area": 240,
    "segmentation": [[10, 6, 30, 6, 30, 18]],
    "keypoints": [10, 6, 2, 0, 0, 0],
}


def coco_image(number: int, name: str) -> dict[str, Any]:
    """A picture as COCO has it."""
    return {"id": number, "file_name": name, "width": 40, "height": 30, "license": 2}


def coco_of(*names: str) -> dict[str, Any]:
    """Two annotations of each picture, the second a crowd; ids from 50 on."""
    annotations: list[dict[str, Any]] = []
    for number in range(len(names)):
        crowd = {"iscrowd": 1, "segmentation": {"counts": [0, 600, 600], "size": [30, 40]}}
        for shapes in ({**_SHAPES, "iscrowd": 0}, crowd):
            annotation = {"id": 500 + len(annotations), "image_id": 50 + number, "category_id": 3}
            annotations.append(annotation | shapes)
    return {
        "info": {"year": 2017},
        "licenses": [{"id": 2, "name": "CC"}],
        "images": [coco_image(50 + number, name) for number, name in enumerate(names)],
        "annotations": annotations,
        "categories": [{"id": 3, "name": "boat"}],
    }


def write_text(path: Path, what: object) -> Path:
    """Write a text, or anything else as JSON; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(what if isinstance(what, str) else json.dumps(what))
    return path


def read_json(path: Path) -> dict[str, Any]:
    """What is in a file of JSON."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def stylize_annotated(
    source: Path, output: Path, given: Path, *styles: str, **how: Any
) -> StylizeImagesReport:
    """Stylize pictures and carry their annotations."""
    return stylize_images(images_job(source, output, *styles, annotations=str(given), **how))


def voc_of(
    name: str, width: int = 40, height: int = 30, box: str = "11 7 30 18", more: str = ""
) -> str:
    """The annotations of a picture with one box; ``more`` is what else its object has."""
    numbers = dict(zip(("xmin", "ymin", "xmax", "ymax"), box.split(), strict=True))
    inside = "".join(f"<{tag}>{number}</{tag}>" for tag, number in numbers.items())
    return (
        f"<annotation><folder>in</folder><filename>{name}</filename><path>/x/{name}</path>"
        f"<size><width>{width}</width><height>{height}</height><depth>1</depth></size>"
        f"<object><name>boat</name><pose>Left</pose><bndbox>{inside}</bndbox>{more}</object>"
        "</annotation>"
    )
