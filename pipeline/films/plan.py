"""What scanning a film comes to: its segments, its output, and how all else gets across."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import av

from nst_core import __version__
from nst_core.caches import cache_folder
from nst_core.errors import InputError, MediaError
from pipeline.assembly.copied_streams import plan_copies
from pipeline.assembly.passages import CopyPlan
from pipeline.encoding.encoders import NUMBERED, choose_encoder, container_for
from pipeline.encoding.output_frame import OutputFrame, differences, plan_output
from pipeline.films.settings import DecoderKind, FilmSettings
from pipeline.looks.direction import Direction
from pipeline.looks.film_looks import FilmLooks
from pipeline.numbered.names import Numbering, find_pictures, numbering_of
from pipeline.numbered.probing import DEFAULT_FPS, probe_film
from pipeline.segments.card_decoder import CardError
from pipeline.segments.decoder import begun_by_card
from pipeline.segments.encoder import check_encoder
from pipeline.segments.packet_reader import EncodedPacket, PacketReader
from pipeline.segments.plan import Segment, plan_segments, warm_up_frames
from pipeline.segments.task import SegmentTask
from pipeline.segments.work_folder import HIDDEN_PARENT, identity_of, short_name
from pipeline.source.source_video import SourceVideo
from pipeline.source.trimming import trimmed
from pipeline.storage.remote_file import RemoteFile

_MOST_SEGMENT_BYTES = 64 << 20
"""Bytes of numbered pictures in a segment: driver and workers hold them in memory."""


@dataclass(frozen=True)
class FilmPlan:
    """What is to be done with a film."""

    source: SourceVideo
    output: OutputFrame
    copies: CopyPlan
    segments: list[Segment]
    looks: FilmLooks
    """Which styles its frames have."""
    coherence: float
    """How much each frame follows the one before it; 0 to 1."""
    decoder: DecoderKind
    input_state: list[object]
    """State of the file when it was read; it must not change until the end."""
    identity: dict[str, object]
    """All that decides the segments' content, beside what their looks say of each."""

    def task(self, segment: Segment, packets: tuple[EncodedPacket, ...]) -> SegmentTask:
        """Return what a worker needs for a segment. Raises MediaError: see FilmLooks.of."""
        return SegmentTask(
            segment,
            self.source.info,
            self.output,
            packets,
            coherence=self.coherence,
            decoder=self.decoder,
            **self.looks.of(segment),
        )


def plan_film(
    path: Path,
    output: Path,
    settings: FilmSettings,
    direction: Direction,
    *,
    is_encoded_here: bool,
    makes_folder: bool = False,
    warnings: list[str],
) -> FilmPlan:
    """Probe a film and plan its output. Raises InputError and MediaError.

    ``makes_folder`` says that the output's folder will be made. What the output will not have is
    added to ``warnings``, also where planning fails later.
    """
    container_for(output)  # before anything is read
    if not (makes_folder or output.parent.is_dir()):
        raise InputError(f"{output.parent}: no such folder to write into")
    state = input_state(path)
    span = settings.span
    source = probe_film(path, seconds=span.end if span else None, fps=settings.fps)
    warnings += _words_for_fps(source, output, settings)
    if span:
        source = trimmed(source, span)
    encoder = choose_encoder(output, source.info, settings, stylized=direction.is_full)
    frame = plan_output(source.info, encoder, settings, scale=direction.style.scale)
    if settings.encoder == "software" or is_encoded_here:
        check_encoder(source.info, frame)  # elsewhere, only the workers can tell
    warnings += differences(source.info, frame)
    looks = FilmLooks(direction, source, frame.taken_size, settings.fps)
    warnings += looks.warnings
    segments = plan_segments(
        source.packets,
        time_base=source.info.time_base,
        seconds=_segment_seconds(source, settings, looks),
        warm_up=warm_up_frames(settings.coherence),
    )
    if not segments:
        raise MediaError(f"{path}: no frame in it is meant to be shown")
    copies = plan_copies(source, output, allow_left_out=settings.allow_left_out)
    identity = {
        "input": state,
        "output": identity_of(frame),
        "encoder": identity_of(encoder),
        **_identity_of_asked(settings, looks),
    }
    if source.pictures:
        identity["fps"] = str(source.info.rate)
    if settings.decoder == "nvdec" and is_encoded_here:
        _check_card(source, segments[0], frame)
    return FilmPlan(
        *(source, frame, copies, segments, looks, settings.coherence, settings.decoder),
        *(state, identity),
    )


def _check_card(source: SourceVideo, segment: Segment, output: OutputFrame) -> None:
    """See that a card decodes the first frame. Raises InputError."""
    with PacketReader(source) as reader:
        packets = reader.read(segment)
    try:
        begun_by_card(SegmentTask(segment, source.info, output, packets))
    except CardError as error:
        raise error.as_demanded() from error


def _words_for_fps(source: SourceVideo, output: Path, settings: FilmSettings) -> list[str]:
    if settings.fps and not source.pictures:
        return [f"--fps {settings.fps} is for numbered pictures: a file has its own times"]
    if source.pictures and not settings.fps and container_for(output).format != NUMBERED:
        return [f"no --fps is given: {DEFAULT_FPS} pictures are shown in a second"]
    return []


def _segment_seconds(source: SourceVideo, settings: FilmSettings, looks: FilmLooks) -> float:
    """Length of a segment; of numbered pictures, which may be large, as many as go to a worker."""
    a_frame = source.bytes_of_a_picture + looks.mask_bytes_a_second / float(source.info.rate)
    if not a_frame:
        return settings.segment_seconds
    most = max(1, int(_MOST_SEGMENT_BYTES / a_frame))
    return min(settings.segment_seconds, float(most / source.info.rate))


def _identity_of_asked(settings: FilmSettings, looks: FilmLooks) -> dict[str, object]:
    """Return what decides the segments' content beside the file and its output.

    What is new is there only where it was asked for: else pieces of before are used again.
    """
    identity: dict[str, object] = {
        "style": looks.identity_of_all(),
        "segment_seconds": settings.segment_seconds,
        "version": [__version__, av.__version__],
    }
    if settings.coherence:
        identity["coherence"] = settings.coherence
    if span := settings.span:
        identity["span"] = [str(span.start), str(span.end)]
    return identity


def input_state(path: Path) -> list[object]:
    """Return what tells whether a film has changed: a file, or numbered pictures."""
    if numbering := numbering_of(path):
        return _state_of_pictures(numbering)
    try:
        status = path.stat()
    except OSError:
        return []  # probing will say why, in better words
    return [str(path.absolute()), status.st_size, status.st_mtime_ns]


def _state_of_pictures(numbering: Numbering) -> list[object]:
    try:
        pictures = find_pictures(numbering)
    except MediaError:
        return []  # as above
    state = json.dumps([pictures.numbers, pictures.state])
    return [str(numbering.pattern.absolute()), hashlib.sha256(state.encode()).hexdigest()]


def work_folder(output: Path, settings: FilmSettings) -> Path:
    """Return where the finished segments of an output wait: on this machine in any case."""
    beside = cache_folder() if isinstance(output, RemoteFile) else output.parent
    base = settings.work_dir or beside / HIDDEN_PARENT
    # The hash tells outputs of one name apart when several runs share a --work-dir.
    place = hashlib.sha256(os.fsencode(output.absolute())).hexdigest()[:8]
    return base / f"{short_name(output)}-{place}.work"
