"""From a pool specification to a pool of stylizing workers.

Torch is imported where they are made: a driver never needs it, and it takes as long as Ray does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.connection import LOCAL, ray_session
from jobs.applying.encoders import Encoders, encoders_of_each_worker
from jobs.specs.applying import PoolSpec
from jobs.specs.fitting import FitStyle
from nst_core.checkpoints.fitted import find_fitted
from nst_core.checkpoints.library import IDENTITY, Style, find_for
from nst_core.checkpoints.style_spec import FIT_STEPS, StyleSpec
from nst_core.engines.names import DeviceChoice, torch_for_noise
from nst_core.errors import StyleNotFitted
from nst_core.libraries import first_import
from nst_core.processors import usable_processors
from nst_core.wording import counted
from pipeline.pictures.settings import PictureSettings
from pipeline.storage.shared_files import SharedFiles
from pipeline.work.in_process_pool import InProcessPool
from pipeline.work.pool import Deadline, Worker, WorkerPool
from pipeline.work.progress import OnProgress, ignore_progress

if TYPE_CHECKING:
    from cluster.nodes.overview import Amounts
    from cluster.workers.room import Resources
    from nst_core.objectives.refinement import Refinement
    from nst_core.stylizer import Stylizer
    from pipeline.looks.look import Look
    from pipeline.pictures.worker import ImageWorker
    from pipeline.segments.many_segments import ManySegments
    from pipeline.segments.worker import SegmentWorker

_log = logging.getLogger(__name__)

_MANY_FILES_AT_ONCE = 8
"""Behind a URI a worker waits for most of the time."""


_MOST_SEGMENTS_AT_ONCE = 16
"""At a worker, each with frames in memory."""


@contextmanager
def stylizing_pool(
    make_worker: Callable[..., Worker],
    style: StyleSpec,
    pool: PoolSpec,
    *,
    depth: int = 2,
    concurrency: int | None = 1,
    concurrency_on_gpu: int | None = None,
    encoders: Encoders = 0,
    deadline: Deadline | None = None,
    on_start: Callable[[], None] = lambda: None,
) -> Iterator[WorkerPool]:
    """Open a pool whose workers are made by ``make_worker(threads=N)``; it closes with the block.

    ``style`` says what they compute on. ``depth`` units are at each worker at a time, each of them
    no longer than ``deadline``, ``concurrency`` in work (None on a GPU: as many; None at all: one
    for each of a worker's processors, which ``make_worker`` is told as ``at_once``, in this process
    on a GPU only, and one more for each of its ``encoders`` on other nodes). The rest means nothing
    to a pool in this process, nor does ``on_start``, which is called when workers are about to
    start: on a cluster once it has been found to have room.
    """
    if pool.workers == 0:
        yield _pool_in_this_process(make_worker, style, concurrency)
        return
    if pool.address == LOCAL:
        on_start()  # Ray itself takes the longest
    with ray_session(pool.address):
        from cluster.workers.actor_pool import ActorPool

        resources = _resources(style, pool)
        threads = max(1, int(resources.cpus))
        most_at_once = 0
        if concurrency is None:
            concurrency = min(threads, _MOST_SEGMENTS_AT_ONCE)
            make_worker = partial(make_worker, at_once=concurrency)
            if most := encoders_of_each_worker(encoders, resources, pool.workers):
                make_worker = partial(make_worker, encoders=most, by_rates=encoders == "auto")
                most_at_once = concurrency + most
        actors = ActorPool(
            partial(_with_share_of_gpu, make_worker, resources.gpus, threads=threads),
            resources,
            workers=pool.workers,
            depth=depth,
            concurrency=(concurrency_on_gpu or concurrency) if resources.gpus else concurrency,
            most_at_once=most_at_once,
            deadline=deadline,
            is_shared=pool.address != LOCAL,
        )
        _log.info(
            "%s of Ray (%s), CPUs for each: %g, GPUs: %g",
            *(counted(actors.workers, "workers"), pool.address),
            *(resources.cpus, resources.gpus),
        )
        if pool.address != LOCAL:
            on_start()
        try:
            yield actors
        finally:
            actors.close()


def _pool_in_this_process(
    make_worker: Callable[..., Worker], style: StyleSpec, concurrency: int | None
) -> InProcessPool:
    threads, at_once = usable_processors(), 1
    _log.info("in this process, with %s", counted(threads, "threads"))
    if concurrency is None and _is_on_gpu(style):
        at_once = min(threads, _MOST_SEGMENTS_AT_ONCE)
        make_worker = partial(make_worker, at_once=at_once)
    return InProcessPool(partial(make_worker, threads=threads), at_once=at_once)


def _is_on_gpu(style: StyleSpec) -> bool:
    """Whether frames are computed by a GPU of this machine."""
    with first_import("torch"):
        from nst_core.engines.choice import choose_engine

    return style.style != IDENTITY and choose_engine(style.engine, style.device)[1] != "cpu"


def _with_share_of_gpu(make_worker: Callable[..., Worker], gpus: float, *, threads: int) -> Worker:
    """Make a worker, where it will live, that takes no more of a GPU's memory than its share."""
    if 0 < gpus < 1:
        import torch

        if torch.cuda.is_available():
            torch.cuda.set_per_process_memory_fraction(gpus)
    return make_worker(threads=threads)


def find_style_for_job(
    spec: StyleSpec,
    pool: PoolSpec | None = None,
    sources: Sequence[str] = (),
    on_progress: OnProgress = ignore_progress,
    *,
    of_films: bool = False,
) -> Style:
    """Find the checkpoint and see that it goes with the rest of ``spec``, before any work.

    A style that is a picture is fitted now, unless it has been before: here, on what is to be
    stylized, the ``sources``, and calibrated where that pays, for films. The style's content comes
    with it, for workers on machines that do not have the file. Where all of the ``pool`` is on this
    machine, a device that is asked for must be here.

    Raises InputError, EnvironmentProblem, and what find_for and fit_style raise.
    """
    is_here = pool is not None and (pool.address == LOCAL or pool.workers == 0)
    device: DeviceChoice = spec.device if is_here else "auto"  # elsewhere are others
    if device not in ("auto", "cpu"):
        from nst_core.engines.choice import choose_engine

        if choose_engine(spec.engine, device)[0] != "torch":
            device = "auto"  # what computes pictures there fits no style
    style = _found(spec, sources, on_progress, device=device, calibrate=of_films)
    if style.draws_noise:
        torch_for_noise(spec.engine)
    style.with_stroke(spec.stroke or 1.0)  # says where it has one size only
    if spec.noise is not None:
        style.check_noise(spec.noise)
    return style.with_content()


def rest_of(spec: StyleSpec, style: str | None) -> StyleSpec:
    """Return how ``spec`` would apply the style of what a mask leaves out; None: the source."""
    if style in (None, IDENTITY):
        return StyleSpec(IDENTITY, engine=spec.engine, device=spec.device)
    return replace(spec, style=str(style))


def _found(
    spec: StyleSpec,
    sources: Sequence[str],
    on_progress: OnProgress,
    *,
    device: DeviceChoice,
    calibrate: bool,
) -> Style:
    """Find the style; a picture's is fitted first, or again where other steps are asked for."""
    if style := find_ready(spec):
        return style
    from jobs.fitting.fit import fit_style

    fit_style(
        FitStyle(
            painting=Path(spec.style),
            content=tuple(sources),
            fit_steps=spec.fit_steps or FIT_STEPS,
            loss_network_weights=spec.loss_network_weights,
            device=device,
            calibrate=calibrate,
        ),
        on_progress,
    )
    return find_for(spec.command, spec.style)


def find_ready(spec: StyleSpec) -> Style | None:
    """Find the style; None for a picture that is to be fitted first, or again in other steps."""
    try:
        style = find_for(spec.command, spec.style)
    except StyleNotFitted:
        if spec.command != "stylize":
            raise
        return None
    fitted = find_fitted(spec.style)
    is_as_asked_for = not fitted or fitted.is_named or spec.fit_steps in (None, fitted.steps)
    return style if is_as_asked_for else None


def make_segment_worker(
    styles: Mapping[StyleSpec, Style],
    first: Look,
    *,
    threads: int,
    at_once: int = 1,
    encoders: int = 0,
    by_rates: bool = False,
) -> SegmentWorker | ManySegments:
    """Build a worker for videos in any of ``styles``, where it will live, ready for one look.

    It works on ``at_once`` segments at once, in as many threads of its caller's, and on one more
    for each of the ``encoders`` that it starts on other nodes: all of them at once, or ``by_rates``
    as many as what frames cost calls for.
    """
    with first_import("torch"):
        from nst_core.kept_stylizers import KeptStylizers
        from pipeline.segments.many_segments import ManySegments
        from pipeline.segments.worker import SegmentWorker

    def build(look: Look) -> Stylizer:
        style = styles[look.spec]
        return make_stylizer(style, look.spec, look.stroke, threads=threads, tile="off")

    kept = KeptStylizers(build)
    if encoders:
        from cluster.workers.encoders import hire_encoder
        from pipeline.encoding.encoder_elsewhere import HiredEncoders

        hired = HiredEncoders(hire_encoder, encoders, wanted=0 if by_rates else encoders)
        return ManySegments(kept.at, first, at_once=at_once, encoders=hired)
    if at_once > 1:
        return ManySegments(kept.at, first, at_once=at_once)
    return SegmentWorker(kept.at(first), kept.at)


def make_image_worker(
    styles: Mapping[str, tuple[Style, StyleSpec]],
    settings: PictureSettings,
    refinements: Mapping[str, Refinement],
    *,
    remote: bool,
    files: SharedFiles | None = None,
    threads: int,
) -> ImageWorker:
    """Build a worker for pictures in any of ``styles``, where it will live.

    ``refinements`` are those of the styles that have any.
    ``remote`` says that it reads or writes behind a URI. ``files`` are those that it must see.
    Raises EnvironmentProblem where it does not.
    """
    from pipeline.pictures.worker import ImageWorker

    if files is not None:
        files.check()

    def stylizer_for(name: str, stroke: float) -> Stylizer:
        style, spec = styles[name]
        return make_stylizer(
            style,
            spec,
            stroke,
            threads=threads,
            tile=settings.tile,
            seed=settings.seed,
            refinement=refinements.get(name),
        )

    strokes = {name: spec.strokes_of(style) for name, (style, spec) in styles.items()}
    files_at_once = max(threads, _MANY_FILES_AT_ONCE) if remote else threads
    return ImageWorker(stylizer_for, settings, strokes=strokes, threads=files_at_once)


def make_stylizer(style: Style, spec: StyleSpec, stroke: float, **how: Any) -> Stylizer:
    """Build what applies a style at a stroke as ``spec`` says; ``how`` says the rest."""
    with first_import("torch"):
        from nst_core.stylizer import Stylizer

    return Stylizer(
        style.with_stroke(stroke),
        strength=spec.strength_of(style),
        keep_colors=spec.keep_colors,
        match_histogram=spec.match_histogram,
        noise=spec.noise,
        engine=spec.engine,
        device=spec.device,
        precision=spec.precision,
        **how,
    )


def _resources(style: StyleSpec, pool: PoolSpec) -> Resources:
    from cluster.workers.room import nodes_now, nodes_to_come

    return resources_of_each_worker(style, pool, [*nodes_now(), *(nodes_to_come() or [])])


def resources_of_each_worker(
    style: StyleSpec, pool: PoolSpec, nodes: Sequence[Amounts]
) -> Resources:
    """Return what a worker asks for, where it is not told: ``nodes`` is what each machine has."""
    from cluster.workers.room import Resources

    def total(name: str) -> float:
        return sum(node.get(name, 0) for node in nodes)

    gpus = pool.gpus_per_worker
    if gpus is None:
        may_have = style.device == "xpu" or (style.device == "auto" and style.engine != "openvino")
        wants_gpu = style.device in ("cuda", "rocm") or (may_have and total("GPU") >= 1)
        gpus = 1.0 if wants_gpu else 0.0
    cpus = pool.cpus_per_worker
    if cpus is None and style.device in ("mps", "xpu") and not gpus:
        # Ray counts no such GPUs: one worker has a machine and the GPU in it.
        cpus = max(1.0, min((node.get("CPU", 0) for node in nodes), default=1.0))
    if cpus is None:
        # A GPU's share of the machine that it is in.
        shares = [
            node.get("CPU", 0) // (node["GPU"] / gpus) for node in nodes if gpus and node.get("GPU")
        ]
        cpus = max(1.0, min(shares, default=1.0))
    return Resources(cpus=cpus, gpus=gpus)
