"""Annotations as COCO has them: a JSON file for many pictures, of whatever kind they are."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from typing import Any

from nst_core import __version__
from nst_core.errors import MediaError
from nst_core.wording import counted
from pipeline.datasets.annotated import Output, Wanted, tail_of
from pipeline.datasets.run_lengths import resized

MARK = b'{"info": {"nst": '
"""What a file of ours begins with."""
_MALFORMED = (
    *(TypeError, ValueError, LookupError, AttributeError),
    *(OverflowError, RecursionError),  # an integer that no float holds; segments within segments
)
_DIGITS = 2
"""After the point, of numbers that were resized."""


def wanted(content: bytes, path: str) -> Iterator[Wanted]:
    """Yield the pictures that a file annotates. Raises MediaError for one that is malformed."""
    found = _read(content, path)
    known = set()
    for number, image in enumerate(found["images"]):
        if not (
            isinstance(image, dict)
            and isinstance(image.get("file_name"), str)
            and isinstance(image.get("id"), int | str)
        ):
            raise MediaError(f"{path}: images[{number}] lacks its id or its file_name")
        if image["id"] in known:
            raise MediaError(f"{path}: images[{number}] has the id of another, {image['id']}")
        known.add(image["id"])
        yield Wanted(image["id"], (tail_of(image["file_name"]),))
    for number, annotation in enumerate(found.get("annotations") or ()):
        try:
            hash(annotation["image_id"])
            _resized(annotation, 1.0, 1.0)
        except _MALFORMED as error:
            raise MediaError(f"{path}: annotations[{number}] is malformed ({error!r})") from error


class Carried:
    """A file's annotations of those pictures that have become something."""

    def __init__(
        self,
        content: bytes,
        path: str,
        made: Mapping[Hashable, Sequence[Output]],
        *,
        are_resized: bool,
    ) -> None:
        """``made`` are the outputs of pictures by their ids. Raises MediaError."""
        found = _read(content, path)
        self._are_resized = are_resized
        self._have_new_ids = any(len(outputs) > 1 for outputs in made.values())
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self.problems: list[tuple[str, str]] = []
        """Pictures that are left out for their size, or a mask's, and why."""
        self.pictures = 0
        """Annotated pictures that have become something."""
        of_image: dict[Hashable, list[dict[str, Any]]] = defaultdict(list)
        for annotation in found.get("annotations") or ():
            of_image[annotation["image_id"]].append(annotation)
        for image in found["images"]:
            outputs, annotations = made.get(image["id"], ()), of_image.pop(image["id"], [])
            try:
                for output in outputs:
                    self._add(image, output, annotations)
                self.pictures += bool(outputs)
            except (MediaError, ValueError) as error:
                self.problems.append((image["file_name"], str(error)))
        if of_image:
            ids = ", ".join(map(repr, islice(of_image, 3)))
            number = counted(sum(map(len, of_image.values())), "annotations")
            self.problems.append((path, f"{number} of no image in it (image_id {ids}): left out"))
        info = found.get("info")
        new: dict[str, Any] = {
            "info": {"nst": __version__, **(info if isinstance(info, dict) else {})},
            **{key: value for key, value in found.items() if key != "info"},
            "images": self._images,
        }
        if "annotations" in found:
            new["annotations"] = self._annotations
        self.content = json.dumps(new).encode() + b"\n"

    @property
    def images(self) -> int:
        """How many outputs are annotated."""
        return len(self._images)

    @property
    def annotations(self) -> int:
        """How many annotations they have."""
        return len(self._annotations)

    def _add(
        self, image: dict[str, Any], output: Output, annotations: Sequence[dict[str, Any]]
    ) -> None:
        size = image.get("width"), image.get("height")
        factors = output.factors(*size, are_resized=self._are_resized)
        if factors != (1.0, 1.0):
            annotations = [_resized(annotation, *factors) for annotation in annotations]
        new_id = len(self._images) + 1 if self._have_new_ids else image["id"]
        named = {"file_name": output.named_as(tail_of(image["file_name"]))}
        self._images.append(
            {**image, "id": new_id, **named, "width": output.width, "height": output.height}
        )
        for annotation in annotations:
            new = {**annotation, "image_id": new_id}
            if self._have_new_ids and "id" in new:
                new["id"] = len(self._annotations) + 1
            self._annotations.append(new)


def _read(content: bytes, path: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MediaError(f"{path}: no JSON ({error})") from error
    if not isinstance(found, dict) or not isinstance(found.get("images"), list):
        raise MediaError(f"{path}: no COCO annotations, which have a list of images")
    if not isinstance(found.get("annotations"), list | None):
        raise MediaError(f"{path}: no COCO annotations: they are no list")
    return found


def _resized(annotation: Mapping[str, Any], across: float, down: float) -> dict[str, Any]:
    """Return an annotation of the picture as it is now: lengths, areas, points and masks."""
    new = dict(annotation)
    if new.get("bbox") is not None:
        new["bbox"] = _scaled(new["bbox"], (across, down))
    if new.get("area") is not None:
        new["area"] = round(new["area"] * across * down, _DIGITS)
    if new.get("keypoints") is not None:
        new["keypoints"] = _scaled(new["keypoints"], (across, down, None))
    match new.get("segmentation"):
        case {"counts": counts, "size": [height, width]}:
            size = round(height * down), round(width * across)
            counts = resized(counts, (height, width), size)
            new["segmentation"] = {**new["segmentation"], "counts": counts, "size": [*size]}
        case [*polygons]:
            new["segmentation"] = [_scaled(polygon, (across, down)) for polygon in polygons]
        case None:
            pass
        case other:
            raise ValueError(f"segmentation {str(other)[:40]}")
    if new.get("segments_info") is not None:
        new["segments_info"] = [_resized(each, across, down) for each in new["segments_info"]]
    return new


def _scaled(numbers: Sequence[float], factors: Sequence[float | None]) -> list[float]:
    """Multiply numbers by factors that come again and again; None: it stays."""
    if len(numbers) % len(factors):
        raise ValueError(f"{len(numbers)} numbers")
    pairs = zip(numbers, cycle(factors), strict=False)
    return [number if by is None else round(number * by, _DIGITS) for number, by in pairs]
