"""Which jobs need Ray: it is started beside their imports and scan; small work does without.

Small work is done in this process before Ray would have started. Where the signs mislead, because
an encoder refuses its preset, say, Ray is started for nothing, and the error comes later by that.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path

from cluster.connection import LOCAL, connecting_ahead
from jobs.specs.applying import PoolSpec, StylizeImages, StylizeVideo
from nst_core.checkpoints.library import find_for
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import MediaError, NstError
from pipeline.storage.files import is_uri

MOST_PICTURES = 32
MOST_BYTES = 2 << 20
"""Largest sum of all files: about 5 megapixels of JPEG, which take less time than starting Ray."""


def ray_ahead(*, needed: bool) -> AbstractContextManager[None]:
    """Start Ray beside the block, which will need it."""
    return connecting_ahead() if needed else nullcontext()


def videos_need_ray(job: StylizeVideo) -> bool:
    """Whether several segments are to be done on this machine, by all that is seen at once.

    False where it cannot be told without reading more.
    """
    return (
        _starts_ray(job.pool)
        and _is_known(job.style)
        and _can_be_written(job)
        and any(_has_several_segments(path, job) for path in _films(job))
    )


def images_need_ray(job: StylizeImages) -> bool:
    """Whether more than a few pictures are to be done on this machine: see videos_need_ray."""
    return (
        _starts_ray(job.pool)
        and all(_is_known(style) for style in job.styles)
        and not is_uri(job.output)
        and not Path(job.output).exists()  # what is in it may be used again
        and _more_than(MOST_PICTURES, job.sources)
    )


def _starts_ray(pool: PoolSpec) -> bool:
    return pool.address == LOCAL and pool.workers != 0


def _is_known(style: StyleSpec) -> bool:
    try:
        find_for(style.command, style.style)
    except NstError:
        return False
    return True


def _can_be_written(job: StylizeVideo) -> bool:
    """Whether nothing is there yet that would be kept, or gone on with."""
    output = Path(job.output)
    folder = output if output.is_dir() else output.parent
    if not folder.is_dir() or (output.is_file() and not job.overwrite):
        return False
    return not (job.resume and ((job.work_dir or folder / ".nst-work").exists()))


def _films(job: StylizeVideo) -> list[Path]:
    """Those whose outputs are not there, or are to be replaced; not what would be read twice."""
    from pipeline.numbered.output_files import is_there
    from pipeline.storage.remote_file import RemoteFile

    try:
        films = job.planned_films()
    except NstError:
        return []
    return [
        film.path
        for film in films
        if not (film.problem or isinstance(film.path, RemoteFile))
        and (job.overwrite or not is_there(film.output))
    ]


def _has_several_segments(path: Path, job: StylizeVideo) -> bool:
    import av

    from pipeline.films.settings import LONGEST_ALONE
    from pipeline.numbered.names import numbering_of
    from pipeline.numbered.probing import DEFAULT_FPS
    from pipeline.source.media_file import main_video_stream, open_source

    try:
        if numbering := numbering_of(path):
            seconds = len(numbering.listed()) / float(job.fps or DEFAULT_FPS)
            return seconds > LONGEST_ALONE * job.segment_seconds
        with open_source(path) as container:
            main_video_stream(container, path)
            seconds = (container.duration or 0) / av.time_base
            if span := job.span:
                seconds = min(seconds, float(span.end or seconds)) - float(span.start)
            return seconds > LONGEST_ALONE * job.segment_seconds
    except (MediaError, OSError):
        return False


def _more_than(count: int, sources: Iterable[str]) -> bool:
    """Whether folders of this machine hold more than ``count`` files, or so many are named."""
    files = (name for source in sources for name in _files(source))
    return len(list(islice(files, count + 1))) > count


def _files(source: str) -> Iterable[str]:
    if os.path.isfile(source):  # noqa: PTH113
        return [source]
    return (name for _, _, names in os.walk(source) for name in names)


def pool_for_pictures(pool: PoolSpec, file_bytes: Sequence[int], *, styles: int = 1) -> PoolSpec:
    """Return the pool for pictures of these sizes: this very process where that is faster.

    That is a single output, which only one worker could do, and a few small pictures in as many
    ``styles``. Where the pool is anything but the default, it is as it was asked for.
    """
    outputs = len(file_bytes) * styles
    few_and_small = outputs <= MOST_PICTURES and sum(file_bytes) * styles <= MOST_BYTES
    return _here(pool) if outputs == 1 or few_and_small else pool


def pool_for_segments(pool: PoolSpec, segments: int) -> PoolSpec:
    """Return the pool for so many segments of video: this very process for a single one.

    A worker would have one of this machine's CPUs for it, this process has them all.
    """
    return _here(pool) if segments == 1 else pool


def _here(pool: PoolSpec) -> PoolSpec:
    return replace(pool, workers=0) if pool == PoolSpec(address=LOCAL) else pool
