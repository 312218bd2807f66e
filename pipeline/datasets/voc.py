"""Annotations as Pascal VOC has them: an XML file for each picture, boxes in pixels from 1 on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from xml.etree import ElementTree

from nst_core import __version__
from nst_core.errors import MediaError
from pipeline.datasets.annotated import MOST_PIXELS, Output, Wanted, tail_of

MARK = b"<!-- nst "
"""What a file of ours begins with."""
_POINT = re.compile(r"[xy]\d*")


def wanted(content: bytes, path: str) -> Iterator[Wanted]:
    """Yield the picture that a file annotates: readers go by the file's own name.

    Raises MediaError.
    """
    root = _read(content, path)
    _resize(root, 1.0, 1.0, (1, 1), path)
    whole = path.rpartition(".")[0]
    stem = f"{whole.rpartition('/')[2]}.*"
    name, folder = (tail_of((root.findtext(tag) or "").strip()) for tag in ("filename", "folder"))
    yield Wanted("", (f"{whole}.*", f"{folder}/{stem}", stem, f"{folder}/{name}", name or stem))


def carried(content: bytes, path: str, output: Output, *, are_resized: bool) -> tuple[bytes, int]:
    """Return the annotations of an output, and how many objects they have.

    Raises MediaError, also for annotations of another size than the picture.
    """
    root = _read(content, path)
    size = root.find("size")
    if size is None:
        size = ElementTree.SubElement(root, "size")
    before = [_number(size.findtext(name) or "0", path) for name in ("width", "height")]
    factors = output.factors(*before, are_resized=are_resized)
    if factors != (1.0, 1.0):
        _resize(root, *factors, (output.width, output.height), path)
    for name, number in (
        ("width", output.width),
        ("height", output.height),
        ("depth", output.channels),
    ):
        _set(size, name, str(number))
    folder, _, name = output.path.rpartition("/")
    _set(root, "filename", name)
    _set(root, "folder", folder.rpartition("/")[2])
    if root.find("path") is not None:
        _set(root, "path", output.path)
    text = ElementTree.tostring(root, encoding="unicode")
    mark = MARK + f"{__version__} -->\n".encode()
    return mark + text.encode("utf-8", "replace") + b"\n", len(root.findall("object"))


def _read(content: bytes, path: str) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - expat bounds what entities become
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise MediaError(f"{path}: no XML ({error})") from error
    if root.tag != "annotation":
        raise MediaError(f"{path}: no VOC annotations: <{root.tag}>, and <annotation> is needed")
    return root


def _resize(
    root: ElementTree.Element, across: float, down: float, size: tuple[int, int], path: str
) -> None:
    """Move all boxes and points; ``size`` bounds them. Raises MediaError for what is no number."""
    for box in root.iter("bndbox"):
        for axis, factor, most in (("x", across, size[0]), ("y", down, size[1])):
            first, last = (box.find(f"{axis}{end}") for end in ("min", "max"))
            if first is None or last is None:
                raise MediaError(f"{path}: a box without {axis}min or {axis}max")
            # Pixels count from 1, and both are part of the box; some programs count from 0.
            begins, ends = (_number(each.text or "", path) for each in (first, last))
            new = max(min(round((begins - 1) * factor) + 1, most), min(1, round(begins)))
            first.text, last.text = str(new), str(max(min(round(ends * factor), most), new))
    for shape in (*root.iter("point"), *root.iter("polygon")):
        for each in shape:
            if _POINT.fullmatch(each.tag):
                factor = across if each.tag[0] == "x" else down
                each.text = f"{_number(each.text or '', path) * factor:.2f}"


def _number(text: str, path: str) -> float:
    with suppress(ValueError):
        number = float(text)
        if abs(number) <= MOST_PIXELS:  # neither inf nor nan
            return number
    raise MediaError(f"{path}: {text.strip()!r} is not a number of pixels")


def _set(parent: ElementTree.Element, name: str, text: str) -> None:
    found = parent.find(name)
    if found is None:
        found = ElementTree.SubElement(parent, name)
    found.text = text
