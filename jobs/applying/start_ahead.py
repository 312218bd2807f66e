"""Starting Ray beside the imports and the scan of a job that will, by all signs, need it.

The signs may mislead, where an encoder refuses its preset, say: Ray has then been started in vain,
and the error comes those seconds later.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path

from cluster.connection import LOCAL, connecting_ahead
from jobs.applying.small_work import MOST_PICTURES
from jobs.specs.applying import PoolSpec, StylizeImages, StylizeVideo
from nst_core.checkpoints.library import find_for
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import MediaError, NstError
from pipeline.storage.files import is_uri


def ahead_of_videos(job: StylizeVideo) -> AbstractContextManager[None]:
    """Start Ray beside the block, which is to stylize the videos, if they will need it."""
    return connecting_ahead() if videos_need_ray(job) else nullcontext()


def ahead_of_images(job: StylizeImages) -> AbstractContextManager[None]:
    """Start Ray beside the block, which is to stylize the pictures, if they will need it."""
    return connecting_ahead() if images_need_ray(job) else nullcontext()


def videos_need_ray(job: StylizeVideo) -> bool:
    """Whether several segments are to be done on this machine, by all that is seen at once.

    False where it cannot be told without reading more.
    """
    return (
        _starts_ray(job.pool)
        and _is_known(job.style)
        and _can_be_written(job)
        and any(_has_several_segments(path, job.segment_seconds) for path in _films(job))
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
    """Those whose outputs are not there, or are to be replaced."""
    try:
        films = job.planned_films()
    except NstError:
        return []
    return [
        film.path
        for film in films
        if not film.problem and (job.overwrite or not os.path.lexists(film.output))
    ]


def _has_several_segments(path: Path, segment_seconds: float) -> bool:
    import av

    from pipeline.films.settings import LONGEST_ALONE
    from pipeline.source.media_file import main_video_stream, open_source

    try:
        with open_source(path) as container:
            main_video_stream(container, path)
            seconds = (container.duration or 0) / av.time_base
            return seconds > LONGEST_ALONE * segment_seconds
    except MediaError:
        return False


def _more_than(count: int, sources: Iterable[str]) -> bool:
    """Whether folders of this machine hold more than ``count`` files, or so many are named."""
    files = (name for source in sources for name in _files(source))
    return len(list(islice(files, count + 1))) > count


def _files(source: str) -> Iterable[str]:
    if os.path.isfile(source):  # noqa: PTH113
        return [source]
    return (name for _, _, names in os.walk(source) for name in names)
