"""Annotations of pictures, COCO's and VOC's, carried over to what the pictures have become.

Before the work every file is read, and matched with the pictures by their names; after it each is
written anew, with the names and sizes of the outputs. Between the two only names are in memory.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

from PIL import Image

from nst_core.errors import InputError, MediaError
from nst_core.pictures.decoding import heif_is_possible
from nst_core.wording import listed
from pipeline.datasets import coco, voc
from pipeline.datasets.annotated import Output, Wanted
from pipeline.datasets.manifest import REPORT_NAME, ManifestRow, Splits
from pipeline.storage.files import Storage, below
from pipeline.storage.open import storage_for

_FORMATS = {".json": coco, ".xml": voc}
_THREADS = 16
"""For small files, which may lie behind a URI."""
_MARK_BYTES = 32
_WORDS = re.compile(r"[^A-Za-z0-9]+")

Pairs = Callable[[], Iterable[tuple[str, str]]]
"""Gives the path of each input with the name of each of its outputs, below the output folder."""


@dataclass
class CarriedAnnotations:
    """What was written of a COCO file, or of all VOC files together."""

    output: str
    """The file; of VOC's the folder."""
    images: int = 0
    """Outputs that have annotations."""
    annotations: int = 0
    left_out: int = 0
    """Annotated pictures without an output: failed, not among the sources, of another size."""


@dataclass(frozen=True)
class _File:
    path: str
    place: str
    """Path of the new one below the output folder; of VOC its folder counts, and that only."""

    @property
    def is_voc(self) -> bool:
        return self.path.lower().endswith(".xml")

    def place_for(self, output: str) -> str:
        """Return where the annotations of an output go, whose name this is."""
        if not self.is_voc:
            return self.place
        folder = self.place.rpartition("/")[0]
        name = f"{_stem(output)}.xml"
        return f"{folder}/{name}" if folder else name


class Annotations:
    """The annotation files of a run: found at birth, matched with its pictures, written anew."""

    def __init__(
        self,
        given: str,
        sources: Sequence[str],
        *,
        storage: Storage,
        folder: str,
        are_resized: bool,
    ) -> None:
        """``given`` is a file or a folder, ``sources`` are what pictures come from.

        ``storage`` and ``folder`` are where the outputs go, which may have other sizes than the
        pictures if they ``are_resized``. Raises InputError where there are no annotations.
        """
        self._given = given
        self._source = storage_for(given)
        self._storage, self._folder = storage, folder
        self._are_resized = are_resized
        self._files = self._found(sources)
        self._pictures: list[int] = []
        """How many each file annotates."""
        self._of_source: dict[str, list[tuple[int, Hashable]]] = {}
        """By the path of an input: the numbers of files that annotate it, and its key there."""
        self._taken: dict[str, tuple[int, str]] = {}
        """By places: the number of the file that goes there; of VOC's also for which output."""

    def _found(self, sources: Sequence[str]) -> list[_File]:
        storage, path = self._source, self._source.resolved(self._given)
        if storage.is_folder(path):
            is_source = path in (storage_for(each).resolved(each) for each in sources)
            top = "" if is_source else f"{path.rpartition('/')[2]}/"
            walked = storage.walk(path, without=self._storage.real(self._folder))
            files = [_File(each.path, f"{top}{each.name}") for each in walked if not each.problem]
            files = [each for each in files if each.place.rpartition("/")[2] != REPORT_NAME]
        elif storage.is_file(path):
            files = [_File(path, path.rpartition("/")[2])]
            if files[0].place == REPORT_NAME:
                raise InputError(f"--annotations {self._given}: reports have that name; rename it")
        else:
            raise InputError(f"--annotations {self._given}: no such file or folder")
        files = [each for each in files if _suffix(each.path) in _FORMATS]
        if not files:
            raise InputError(f"--annotations {self._given}: neither COCO's .json nor VOC's .xml")
        return sorted(files, key=lambda each: each.path)

    def match(self, pairs: Pairs, *, overwrite: bool) -> None:
        """Find out which inputs are annotated; to be called before any work.

        Raises MediaError for a file that is damaged, InputError where an input is not to be told
        from another one of its name, where none is annotated, and where a file of the user's
        would be replaced.
        """
        wanted_by = [
            list(_FORMATS[_suffix(file.path)].wanted(self._source.read(file.path), file.path))
            for file in self._files
        ]
        names = {name for each in chain(*wanted_by) for name in each.names}
        sources_of: dict[str, dict[str, None]] = defaultdict(dict)
        for source, _ in pairs():
            for name in names.intersection(_names_of(source)):
                sources_of[name][source] = None
        for number, wanted in enumerate(wanted_by):
            for each in wanted:
                if sources := next(filter(None, map(sources_of.get, each.names)), None):
                    source = self._meant(self._files[number], each, list(sources))
                    self._of_source.setdefault(source, []).append((number, each.key))
        if not self._of_source:
            raise InputError(
                f"--annotations {self._given}: none of its pictures is among the sources"
                + next((f", such as {each.names[-1]}" for each in chain(*wanted_by)), "")
            )
        self._pictures = [len(wanted) for wanted in wanted_by]
        self._check_places(pairs, overwrite=overwrite)

    def write(
        self, rows: Iterable[ManifestRow], warn: Callable[[str, str], None]
    ) -> list[CarriedAnnotations]:
        """Write the annotations of the outputs that are there, each file whole or not at all.

        ``warn`` is told of what is left out: pictures for their size, outputs of earlier runs
        where those of others go. Raises MediaError.
        """
        outputs: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            if row.source in self._of_source:
                outputs[row.source].append(row.output)
        heif_is_possible()  # else those outputs cannot be opened
        made: list[dict[Hashable, list[Output]]] = [{} for _ in self._files]
        of_voc = [number for number, file in enumerate(self._files) if file.is_voc]
        of_coco = [number for number, file in enumerate(self._files) if not file.is_voc]
        with ThreadPoolExecutor(_THREADS) as threads:
            looked_at = threads.map(self._looked_at, outputs.values())
            for source, found in zip(outputs, looked_at, strict=True):
                for number, key in self._of_source[source]:
                    made[number][key] = [
                        each for each in found if self._has_place(number, each.name, warn)
                    ]
            carried = [
                *threads.map(lambda number: self._write_voc(number, made[number]), of_voc),
                *(self._write_coco(number, made[number]) for number in of_coco),  # large
            ]
        sums: dict[str, CarriedAnnotations] = {}
        for one, problems in carried:
            for path, problem in problems:
                warn(path, problem)
            known = sums.setdefault(one.output, CarriedAnnotations(one.output))
            known.images += one.images
            known.annotations += one.annotations
            known.left_out += one.left_out
        return list(sums.values())

    def _meant(self, file: _File, wanted: Wanted, sources: list[str]) -> str:
        """Choose among inputs of one name: by the file's folder, by their split, by ending.

        Raises InputError where that does not tell them apart.
        """
        beside = below(file.path.rpartition("/")[0], "")
        split = _split_of(file.path)
        tests: list[Callable[[str], bool]] = [
            lambda source: source.startswith(beside),
            lambda source: bool(split) and _split_of(source) == split,
            lambda source: source.endswith(f"/{wanted.names[-1]}"),
        ]
        for test in tests:
            if len(sources) > 1:
                sources = [source for source in sources if test(source)] or sources
        if len(sources) == 1:
            return sources[0]
        raise InputError(
            f"{file.path}: {wanted.names[-1]} may be {listed(sources[:2])}; stylize the folders "
            "one by one, each with its annotations"
        )

    def _check_places(self, pairs: Pairs, *, overwrite: bool) -> None:
        """Raise InputError where anything would be replaced that an earlier run has not written."""

        def refuse(output: str, problem: str) -> None:
            raise InputError(f"{below(self._folder, output)}: {problem}")

        for source, output in pairs():
            for number, _ in self._of_source.get(source, ()):
                self._has_place(number, output, refuse)
        places = [below(self._folder, place) for place in self._taken]
        inputs = {self._source.real(file.path) for file in self._files}

        def problem(path: str) -> str | None:
            if self._storage.size(path) is None:
                return None
            if self._storage.real(path) in inputs:
                return "the annotations would replace their own source; choose another -o"
            head = b"" if overwrite else self._storage.read_part(path, 0, _MARK_BYTES)
            if overwrite or head.startswith(_FORMATS[_suffix(path)].MARK):
                return None
            return "exists and was not written by a run of this program; --overwrite replaces it"

        with ThreadPoolExecutor(_THREADS) as threads:
            for path, found in zip(places, threads.map(problem, places), strict=True):
                if found:
                    raise InputError(f"{path}: {found}")

    def _has_place(self, number: int, output: str, refuse: Callable[[str, str], None]) -> bool:
        """Whether the annotations of an output go nowhere where others go; ``refuse`` hears why."""
        file = self._files[number]
        place, mine = file.place_for(output), (number, output if file.is_voc else "")
        other, its_output = self._taken.setdefault(place, mine)
        if (other, its_output) == mine:
            return True
        whose = f"{its_output} by {self._files[other].path}"
        refuse(output, f"{place} has the annotations of {whose}, not those by {file.path}")
        return False

    def _looked_at(self, names: Sequence[str]) -> list[Output]:
        """Return the outputs of a picture that are there, each with a size of its own."""
        outputs = []
        for name in names:
            path = below(self._folder, name)
            with (
                suppress(OSError, MediaError),  # it has gone by now
                self._storage.open(path) as file,
                Image.open(file) as image,
            ):
                shape = image.width, image.height, len(image.getbands())
                outputs.append(Output(name, path, *shape))
        return outputs

    def _write_coco(
        self, number: int, made: dict[Hashable, list[Output]]
    ) -> tuple[CarriedAnnotations, list[tuple[str, str]]]:
        file = self._files[number]
        content = self._source.read(file.path)
        new = coco.Carried(content, file.path, made, are_resized=self._are_resized)
        path = below(self._folder, file.place)
        self._storage.write(path, new.content)
        left_out = self._pictures[number] - new.pictures
        return CarriedAnnotations(path, new.images, new.annotations, left_out), new.problems

    def _write_voc(
        self, number: int, made: dict[Hashable, list[Output]]
    ) -> tuple[CarriedAnnotations, list[tuple[str, str]]]:
        file = self._files[number]
        top = file.place.partition("/")[0] if "/" in file.place else ""
        result = CarriedAnnotations(below(self._folder, top) if top else self._folder)
        content = self._source.read(file.path)
        outputs = made.get("", [])
        for output in outputs:
            try:
                new, count = voc.carried(content, file.path, output, are_resized=self._are_resized)
            except MediaError as error:
                result.left_out = 1
                return result, [(file.path, str(error))]
            self._storage.write(below(self._folder, file.place_for(output.name)), new)
            result.images += 1
            result.annotations += count
        result.left_out = int(not outputs)
        return result, []


def _split_of(path: str) -> str:
    """Return the split that the words of a file's name say, or else its folders: train2017."""
    folder, _, name = path.rpartition("/")
    words = [*folder.split("/"), *_WORDS.split(_stem(name)), name]
    return Splits({}, 0).of("/".join(words).lstrip("/"), path)


def _names_of(path: str) -> Iterator[str]:
    """Yield all names that annotations may have for a picture: see Wanted."""
    for name in (path, f"{os.path.splitext(path)[0]}.*"):  # noqa: PTH122
        parts = name.split("/")
        yield from ("/".join(parts[at:]) for at in range(len(parts)))


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - it may be a URI


def _stem(name: str) -> str:
    return os.path.splitext(name.rpartition("/")[2])[0]  # noqa: PTH122
