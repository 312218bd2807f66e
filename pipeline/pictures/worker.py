"""What a worker does with pictures. An ordinary class; no Ray here.

Several calls may run at once: while one has the network, another reads and a third writes.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
from PIL import Image

from nst_core.checkpoints.info import digest_of
from nst_core.color.codes import Pixels
from nst_core.errors import MediaError, NstError
from nst_core.kept_stylizers import KeptStylizers
from nst_core.pictures.decoding import pixels_of
from nst_core.pictures.encoding import Picture, decode_picture, encode_picture, holds_deep, lost_in
from nst_core.strokes import StrokeChoice
from nst_core.stylizer import Stylizer
from pipeline.pictures.inputs.masks import Mask, blended, read_mask
from pipeline.pictures.settings import PictureSettings
from pipeline.pictures.task import REST, ImageResult, ImageTask, OutputResult, OutputTask
from pipeline.storage.open import storage_for

Answer = TypeVar("Answer")

_BATCH_PICTURES = 16
_BATCH_PIXELS = 4_000_000
_BATCH_PIXELS_ON_GPU = 2**24
_LARGE_PIXELS = 8_000_000
"""From here on pictures are decoded, computed and written one after the other: for the memory."""
_LARGE_PIXELS_ON_GPU = 32_000_000
"""The same where a GPU computes, and its memory holds them: sixteen of them take 2 GB here."""


class _Threads(Protocol):
    def submit(self, function: Callable[..., Answer], /, *arguments: Any) -> Future[Answer]: ...


class _ThisThread:
    """Does at once what an executor would do in a thread."""

    def submit(self, function: Callable[..., Answer], /, *arguments: Any) -> Future[Answer]:
        future: Future[Answer] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


class ImageWorker:
    """Reads, stylizes and writes pictures: those of one size in one batch."""

    def __init__(
        self,
        stylizer_for: Callable[[str, float], Stylizer],
        settings: PictureSettings,
        *,
        strokes: Mapping[str, StrokeChoice] | None = None,
        threads: int = 1,
    ) -> None:
        """``stylizer_for`` builds the Stylizer of a style and a stroke.

        ``strokes`` says for styles of several strokes which of them a picture gets.
        ``threads`` read and write pictures beside the network; 1: there is no thread but the
        caller's own.
        """
        Image.init()  # every format's code now, and not while the first picture is awaited
        self._stylizer_for = stylizer_for
        self._settings = settings
        self._strokes = strokes or {}
        self._stylizers: dict[str, KeptStylizers[float]] = {}
        self._pixels_on_gpu = 0  # known once there is a network
        self._network = threading.Lock()
        self._files: _Threads = ThreadPoolExecutor(threads) if threads > 1 else _ThisThread()

    @property
    def engine(self) -> str:
        """What computes, for the report."""
        names = {stylizer.engine for stylizer in self._stylizers.values()}
        return next(iter(sorted(names - {"none"})), "none")

    def process(self, tasks: Sequence[ImageTask]) -> list[ImageResult]:
        """Do a few pictures; each has its result, whatever becomes of the others."""
        results = [_Result(task) for task in tasks]
        reading = [self._files.submit(self._open, result) for result in results]
        decoded: list[_Opened] = []
        for result, future in zip(results, reading, strict=True):
            try:
                opened = future.result()
            except Exception as error:
                result.fail_all(error)
                continue
            if opened.picture is not None:
                decoded.append(opened)
            elif result.to_do:
                self._do_large(opened)
        pixels = max(_BATCH_PIXELS, min(_BATCH_PIXELS_ON_GPU, self._pixels_on_gpu))
        for style, batch in _batches(decoded, pixels):
            self._do_batch(style, batch)
        return [result.ended() for result in results]

    def _open(self, result: _Result) -> _Opened:
        source, mask = result.source, result.task.mask
        content = result.task.read()
        masking = storage_for(mask).read(mask) if mask else b""
        result.reuse(content, masking)
        opened = _Opened(result, content, None, masking)
        large = max(_LARGE_PIXELS, min(_LARGE_PIXELS_ON_GPU, self._pixels_on_gpu))
        if not result.to_do or pixels_of(content, name=source) > large:
            return opened
        return _Opened(result, b"", self._decode(opened), masking)

    def _decode(self, opened: _Opened) -> Picture:
        settings = self._settings
        return decode_picture(
            opened.content,
            name=opened.result.source,
            max_side=settings.max_side,
            max_pixels=settings.max_pixels,
            deep=opened.result.keeps_bits,
        )

    def _do_large(self, opened: _Opened) -> None:
        """Hold a single large picture in memory at a time."""
        result = opened.result
        with self._network:
            try:
                picture = self._decode(opened)
            except Exception as error:
                result.fail_all(error)
                return
            result.note(picture)
            for output in result.to_do:
                result.note_once(self._choice(output.style).limit(*picture.rgb.shape[:2]))
                try:
                    pixels, seconds = self._masked(output.style, [opened], [picture])
                    result.network_seconds += seconds
                    result.done(self._write(output, pixels[0], picture))
                except Exception as error:
                    result.fail(output, error)

    def _do_batch(self, style: str, batch: Sequence[_Opened]) -> None:
        pictures = [_decoded(opened) for opened in batch]
        try:
            with self._network:
                pixels, seconds = self._masked(style, batch, pictures)
        except Exception as error:
            if len(batch) > 1:  # one of them may be to blame
                for opened in batch:
                    self._do_batch(style, [opened])
            else:
                batch[0].result.fail(batch[0].result.output_of(style), error)
            return
        for opened, picture, rgb in zip(batch, pictures, pixels, strict=True):
            result = opened.result
            output = result.output_of(style)
            result.note(picture)
            result.note_once(self._choice(style).limit(*picture.rgb.shape[:2]))
            result.network_seconds += seconds / len(batch)
            result.writing[output] = self._files.submit(self._write, output, rgb, picture)

    def _masked(
        self, style: str, batch: Sequence[_Opened], pictures: Sequence[Picture]
    ) -> tuple[Sequence[Pixels], float]:
        """Do what ``_stylized`` does; what masks leave out is of the style for that."""
        sources = [picture.rgb for picture in pictures]
        stylized, seconds = self._stylized(style, sources)
        if self._settings.mask is None:
            return stylized, seconds
        rest, more = self._stylized(REST, sources)
        masked = [
            blended(inside, outside, self._mask(opened, inside))
            for inside, outside, opened in zip(stylized, rest, batch, strict=True)
        ]
        return masked, seconds + more

    def _mask(self, opened: _Opened, picture: Pixels) -> Mask:
        height, width, _ = picture.shape
        return read_mask(
            opened.mask,
            name=opened.result.task.mask,
            size=(width, height),
            max_pixels=self._settings.max_pixels,
        )

    def _stylized(self, style: str, pictures: Sequence[Pixels]) -> tuple[Sequence[Pixels], float]:
        """Return pictures of one size stylized, and how long the network took."""
        if style not in self._stylizers:
            self._stylizers[style] = KeptStylizers(partial(self._stylizer_for, style))
        stroke = self._choice(style).of(*pictures[0].shape[:2])
        stylizer = self._stylizers[style].at(stroke)
        if not stylizer.computes:
            return pictures, 0.0
        self._pixels_on_gpu = stylizer.pixels_on_gpu
        start = time.perf_counter()
        if len(pictures) == 1:
            stylized = stylizer.stylize(pictures[0])[None]
        else:
            stylized = stylizer.stylize(np.stack(pictures))
        return list(stylized), time.perf_counter() - start

    def _choice(self, style: str) -> StrokeChoice:
        return self._strokes.get(style, StrokeChoice())

    def _write(self, output: OutputTask, rgb: Pixels, picture: Picture) -> OutputResult:
        suffix = _suffix(output)
        try:
            content = encode_picture(rgb, picture, suffix=suffix, quality=self._settings.quality)
        except MediaError as error:
            raise MediaError(f"{output.path}: {error}") from error
        digest = digest_of(content)
        if output.is_member:
            return OutputResult(output.path, len(content), sha256=digest, content=content)
        storage_for(output.path).write(output.path, content)
        return OutputResult(output.path, len(content), sha256=digest)


class _Result:
    """What is known so far of a source."""

    def __init__(self, task: ImageTask) -> None:
        self.task = task
        self._ended: dict[str, OutputResult] = {}
        self._digest = self._sha256 = ""
        self.notes: tuple[str, ...] = ()
        self._once: dict[str, None] = {}
        self.network_seconds = 0.0
        self.writing: dict[OutputTask, Future[OutputResult]] = {}

    @property
    def source(self) -> str:
        return self.task.source

    @property
    def to_do(self) -> list[OutputTask]:
        return [output for output in self.task.outputs if output.path not in self._ended]

    def output_of(self, style: str) -> OutputTask:
        return next(output for output in self.task.outputs if output.style == style)

    @property
    def keeps_bits(self) -> bool:
        """Whether an output is of a format with 16 bits."""
        return any(holds_deep(_suffix(output)) for output in self.task.outputs)

    def note(self, picture: Picture) -> None:
        """Note what reading changed, and what the formats of the outputs cannot hold."""
        suffixes = {_suffix(output) for output in self.task.outputs}
        lost = {what for suffix in suffixes for what in lost_in(picture, suffix)}
        words = tuple(f"the output's format cannot hold {what}" for what in sorted(lost))
        self.notes = (*picture.notes, *words)

    def note_once(self, words: str | None) -> None:
        """Note what is said once for all pictures; None: nothing."""
        if words is not None:
            self._once[words] = None

    def reuse(self, content: bytes, mask: bytes) -> None:
        """Keep the outputs that were made from this very content, with this mask."""
        hashed = hashlib.blake2b(content, digest_size=16)
        hashed.update(mask)
        self._digest = hashed.hexdigest()
        self._sha256 = digest_of(content)
        for output in self.task.outputs:
            is_same = output.made_from == self._digest
            if not is_same and not output.is_whole:
                continue
            written = b""
            with suppress(MediaError):  # it was there when the run began
                written = storage_for(output.path).read(output.path)
            if is_same or written:
                size, digest = output.size if is_same else len(written), digest_of(written)
                self.done(OutputResult(output.path, size, reused=True, sha256=digest))

    def done(self, output: OutputResult) -> None:
        self._ended[output.path] = output

    def fail(self, output: OutputTask, error: Exception) -> None:
        self._ended[output.path] = OutputResult(output.path, error=_words(error, self.source))

    def fail_all(self, error: Exception) -> None:
        for output in self.to_do:
            self.fail(output, error)

    def ended(self) -> ImageResult:
        """Wait until all is written."""
        for output, written in self.writing.items():
            try:
                self.done(written.result())
            except Exception as error:
                self.fail(output, error)
        outputs = tuple(self._ended[output.path] for output in self.task.outputs)
        return ImageResult(
            number=self.task.number,
            digest=self._digest,
            sha256=self._sha256,
            outputs=outputs,
            notes=self.notes,
            once=tuple(self._once),
            network_seconds=self.network_seconds,
        )


@dataclass(frozen=True)
class _Opened:
    """A source that has been read."""

    result: _Result
    content: bytes
    """Empty once it is decoded."""
    picture: Picture | None
    """None for a large one, as long as it is not decoded, and for one that need not be."""
    mask: bytes
    """The file of its mask; empty: it has none."""


def _batches(decoded: Sequence[_Opened], pixels: int) -> Iterator[tuple[str, list[_Opened]]]:
    """Put together what has one style, size and depth, in batches of ``pixels`` at most."""
    groups: dict[tuple[str, tuple[int, ...], int], list[_Opened]] = {}
    for opened in decoded:
        rgb = _decoded(opened).rgb
        for output in opened.result.to_do:
            key = output.style, rgb.shape, rgb.itemsize
            groups.setdefault(key, []).append(opened)
    for (style, (height, width, _), _), group in groups.items():
        most = max(1, min(_BATCH_PICTURES, pixels // (height * width)))
        for start in range(0, len(group), most):
            yield style, group[start : start + most]


def _decoded(opened: _Opened) -> Picture:
    assert opened.picture is not None
    return opened.picture


def _suffix(output: OutputTask) -> str:
    return "." + output.path.rpartition(".")[2]


def _words(error: Exception, source: str) -> str:
    """Errors of ours say what to do; others are told with their kind and the picture's name."""
    if isinstance(error, MediaError):
        return str(error)
    if isinstance(error, NstError):
        return f"{source}: {error}"
    return f"{source}: {type(error).__name__}: {error}"
