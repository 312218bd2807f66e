"""Probing of films: a file, or numbered pictures, each of which is a keyframe at its number's time.

A number that lacks leaves a gap in the times, as long as it would be shown.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from nst_core.errors import MediaError
from nst_core.wording import counted
from pipeline.numbered.exr import words_for_lost
from pipeline.numbered.names import NumberedPictures, find_pictures, numbering_of
from pipeline.source.first_frame import first_frame
from pipeline.source.media_file import MOST_TRIED, main_video_stream, open_source
from pipeline.source.packet_index import PacketIndex
from pipeline.source.source_video import (
    SourceVideo,
    VideoStreamInfo,
    describe,
    probe,
    with_first_frame,
)

DEFAULT_FPS = Fraction(24)
_MOST_GAPS_TOLD = 5


def probe_film(
    path: Path, *, seconds: Fraction | None = None, fps: Fraction | None = None
) -> SourceVideo:
    """Describe and index a film; ``fps`` are the pictures of a second: see source_video.probe.

    Raises MediaError.
    """
    numbering = numbering_of(path)
    if numbering is None:
        return probe(path, seconds=seconds)
    pictures = find_pictures(numbering)
    rate = fps or DEFAULT_FPS
    info = _described(pictures)
    # Decoders of TIFF do not say that grey has all codes.
    color = replace(info.color, range=2)
    info = replace(info, rate=rate, time_base=1 / rate, color=color, numbered=True)
    lost = words_for_lost(pictures.read(0)) if info.codec == "exr" else []
    numbers = np.array(pictures.numbers, dtype=np.int64)
    ticks, all_of_them = numbers - numbers[0], np.ones(len(numbers), dtype=np.bool_)
    return SourceVideo(
        path=path,
        stream_index=0,
        info=info,
        packets=PacketIndex(
            pts=ticks,
            duration=np.ones_like(ticks),
            is_keyframe=all_of_them,
            is_shown=all_of_them,
            dts=ticks,
            size=sum(size for size, _ in pictures.state),
        ),
        display_matrix=None,
        warnings=(*_words_for_gaps(pictures), *lost),
        is_whole=not pictures.gaps,
        pictures=pictures,
    )


def _described(pictures: NumberedPictures) -> VideoStreamInfo:
    """Describe the first picture that can be decoded. Raises MediaError: that of the first."""
    failure: MediaError | None = None
    for place in range(min(len(pictures.numbers), MOST_TRIED)):
        path = pictures.path(place)
        try:
            with open_source(path) as container:
                stream = main_video_stream(container, path)
                frame = first_frame(container, stream)
                if frame is not None:
                    return with_first_frame(describe(stream, path), frame)
            raise MediaError(f"{path}: cannot be decoded; the file is damaged")
        except MediaError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _words_for_gaps(pictures: NumberedPictures) -> list[str]:
    gaps = pictures.gaps
    if not gaps:
        return []
    ranges = [f"{one}" if one == last else f"{one}-{last}" for one, last in gaps]
    more = f" and {counted(len(ranges) - _MOST_GAPS_TOLD, 'more gaps')}"
    told = ", ".join(ranges[:_MOST_GAPS_TOLD]) + (more if len(ranges) > _MOST_GAPS_TOLD else "")
    empty = " (files of 0 bytes among them)" if pictures.empty else ""
    first, last = pictures.numbers[0], pictures.numbers[-1]
    lacking = sum(last - one + 1 for one, last in gaps)
    return [
        f"{counted(lacking, 'pictures')} of numbers {first}-{last} missing: {told}{empty}; "
        "the others keep their numbers and times"
    ]
