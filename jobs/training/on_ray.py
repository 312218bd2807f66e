"""Ray in trainings: its workers started, and again, and stopped; photographs by Ray Data.

The only module of ``jobs`` that imports Ray, but for the benchmark of its start.
"""

from __future__ import annotations

import json
import logging
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from cluster.nodes.overview import Amounts
from cluster.workers.memory_kills import lacked_memory, memory_used
from jobs.specs.training import TrainGenerator
from jobs.training.loop import Rank, train_as
from jobs.training.plan import TrainingPlan
from jobs.training.states import State, adopt_newest_state, read_state, write_state
from nst_core.engines.choice import choose_device
from nst_core.errors import EnvironmentProblem, TrainingFailed
from nst_core.libraries import configure
from nst_core.training.photos import Batch, Sample, StepSampler
from nst_core.wording import counted, last_line_without_class

if TYPE_CHECKING:
    from ray.train import Result
    from ray.train.torch import TorchTrainer

_log = logging.getLogger(__name__)

_CHECKPOINTS_KEPT = 2
_TRIES = 5
"""Starts of the workers that come to no checkpoint."""
_TRIES_TO_PLACE = 10
"""How often workers are tried to place, 20 seconds at most each, while machines are missing."""
_SECONDS_BETWEEN_RESIZES = 30.0
"""Or more: taking in another node costs a start, and the steps since the last checkpoint."""
_WORKER_ENVIRONMENT = {
    "PYTHONSAFEPATH": "1",  # processes that load photographs do not import from the current folder
    "MALLOC_ARENA_MAX": "1",  # else threads do not get what others have freed
}

_SECONDS_FOR_LAST_STEP = 60.0
"""From Ctrl-C or SIGTERM to the end of a step and its checkpoint."""

_BATCHES_PER_TASK = 4
"""A task of Ray Data costs some 30 ms, whatever it does."""


def train_to_the_end(plan: TrainingPlan, resources: Amounts, first_step: int) -> State:
    """Train from ``first_step`` on, through all failures that still let it come further.

    To be called while connected to Ray; returns the trainer's last state. Raises TrainingFailed.
    """
    reached = first_step
    while True:
        error = _fit(plan, resources)
        state = adopt_newest_state(plan.run_folder)
        steps_done = state["steps_done"] if state else 0
        if state is not None and steps_done == plan.settings.steps:
            return state
        if steps_done <= reached:
            words = _words(error) if error else "Ray Train ended early"
            raise TrainingFailed(
                _stopped(f"no start of the workers came beyond step {reached}; the last: {words}")
            ) from error
        reached = steps_done


def resources_of_each_worker(job: TrainGenerator, nodes: Sequence[Amounts]) -> Amounts:
    """Return what Ray gives to each worker: as many CPUs as let them all find a place.

    ``nodes`` is what each machine has. Raises EnvironmentProblem where the least number of
    workers finds none.
    """
    least, most = job.workers
    if job.loader == "ray-data":
        nodes = _without_one_cpu(nodes)
    gpus, cpus = (int(sum(node.get(name, 0) for node in nodes)) for name in ("GPU", "CPU"))
    if job.device in ("cuda", "rocm") and gpus < least:
        raise EnvironmentProblem(
            f"--device {job.device}: {counted(least, 'workers')} need as many GPUs, "
            f"there are {gpus}"
        )
    if job.device in ("mps", "xpu") and most > 1:
        raise EnvironmentProblem(
            f"--device {job.device}: Ray does not hand out such GPUs, so one worker trains; "
            "use --workers 1"
        )
    use_gpu = job.device not in ("cpu", "mps", "xpu") and gpus >= least

    def places(threads: int) -> int:
        free = ((int(node.get("CPU", 0) // threads), int(node.get("GPU", 0))) for node in nodes)
        return sum(min(by_cpu, by_gpu) if use_gpu else by_cpu for by_cpu, by_gpu in free)

    wanted = min(most, max(least, places(1)))
    shares = range(cpus // wanted, 0, -1)
    threads = job.cpus_per_worker or next((n for n in shares if places(n) >= wanted), 1)
    if places(threads) < least:
        beside = " beside one for --loader ray-data" if job.loader == "ray-data" else ""
        raise EnvironmentProblem(
            f"{counted(least, 'workers')} of {threads} CPUs need {least * threads}, there are "
            f"{cpus} on {len(nodes)} machines{beside}; lower --workers or --cpus-per-worker"
        )
    return {"CPU": threads, **({"GPU": 1} if use_gpu else {})}


def _without_one_cpu(nodes: Sequence[Amounts]) -> list[Amounts]:
    """Leave a CPU to the tasks of Ray Data: without one they wait for ever, and so do all."""
    largest = max(nodes, key=lambda node: node.get("CPU", 0))
    return [node | {"CPU": node.get("CPU", 0) - 1} if node is largest else node for node in nodes]


def machines() -> list[Amounts]:
    """What each machine has that Ray is on, or will be: with an autoscaler, all that may come."""
    from cluster.workers.room import nodes_now, nodes_to_come

    return nodes_to_come() or nodes_now()


def _fit(plan: TrainingPlan, resources: Amounts) -> Exception | None:
    """Run Ray Train; returns the error that it gave up at. Raises TrainingFailed for our own."""
    from ray.exceptions import RayError
    from ray.train import TrainingFailedError

    fitted = _in_background(_trainer(plan, resources).fit)
    try:
        result = fitted.result()
    except (TrainingFailedError, RayError) as error:
        given_up: Exception = error
        return given_up
    except KeyboardInterrupt:
        _let_workers_finish(plan, fitted)
        raise
    if result.return_value is not None:
        raise TrainingFailed(_stopped(result.return_value))
    return None


def _trainer(plan: TrainingPlan, resources: Amounts) -> TorchTrainer:
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    least, most = plan.job.workers
    return TorchTrainer(
        training_loop,
        train_loop_config={"plan": replace(plan, threads=int(resources["CPU"]))},
        scaling_config=ScalingConfig(
            num_workers=plan.job.workers if least < most else most,
            use_gpu="GPU" in resources,
            resources_per_worker=resources,
            elastic_resize_monitor_interval_s=_SECONDS_BETWEEN_RESIZES,
        ),
        run_config=RunConfig(
            # A new name: what is left of a command that was killed may still write under its own.
            name=secrets.token_hex(4),
            storage_path=str(plan.run_folder.ray),
            checkpoint_config=CheckpointConfig(num_to_keep=_CHECKPOINTS_KEPT),
            failure_config=FailureConfig(
                max_failures=_TRIES - 1, controller_failure_limit=_TRIES_TO_PLACE - 1
            ),
            worker_runtime_env={"env_vars": _WORKER_ENVIRONMENT},
        ),
    )


def training_loop(config: dict[str, Any]) -> str | None:
    """Entry point for Ray Train, in each worker; ``config["plan"]`` is the TrainingPlan."""
    import ray.train
    import ray.train.torch

    configure()
    plan: TrainingPlan = config["plan"]
    context = ray.train.get_context()
    device = device_of_worker(plan.job, ray.train.torch.get_device())
    if device.type == "cpu" and plan.threads is not None:
        torch.set_num_threads(plan.threads)
    return train_as(_RayRank(context.get_world_rank(), context.get_world_size(), device), plan)


def device_of_worker(job: TrainGenerator, given: torch.device) -> torch.device:
    """Return what a worker computes on; Ray has ``given`` it a device, of those that it counts.

    Raises EnvironmentProblem.
    """
    if job.device in ("mps", "xpu"):
        return torch.device(choose_device(job.device))
    return given


class _RayRank(Rank):
    """A worker of Ray Train."""

    def batches(self, plan: TrainingPlan, sampler: StepSampler) -> Iterator[list[Batch]]:
        if plan.job.loader == "ray-data" and plan.photos:
            return _ray_batches_of_steps(plan.targets(), sampler)
        return super().batches(plan, sampler)

    def last_state(self, plan: TrainingPlan) -> State | None:
        import ray.train

        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            return super().last_state(plan)
        with checkpoint.as_directory() as folder:
            state = read_state(Path(folder))
        if state is None:
            raise RuntimeError(f"{checkpoint.path}: no whole state")
        return state

    def data_parallel(self, model: nn.Module) -> nn.Module:
        import ray.train.torch

        prepared: nn.Module = ray.train.torch.prepare_model(model)
        return prepared

    def report(self, state: State) -> None:
        import ray.train

        metrics = {"steps_done": state["steps_done"]}
        if self.number != 0:
            ray.train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            write_state(Path(folder), state)
            ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def _ray_batches_of_steps(pictures: Dataset[Sample], sampler: StepSampler) -> Iterator[list[Batch]]:
    """Yield the batches of each step, read and cut by Ray Data tasks anywhere in the cluster.

    For GPU machines with few CPUs beside many that have them, and for photographs behind a URI.
    The samples are those of the local loader, in its order: what is trained is the same.
    """
    import ray.data

    numbers = list(sampler)
    if not numbers:
        return

    def read(row: dict[str, Any]) -> dict[str, Any]:
        """Read the samples of one batch, in a task."""
        configure()
        batch = Batch.of([pictures[number] for number in numbers[row["id"]]])
        # Crops are cut from 8-bit pictures: a quarter of the bytes travels, and nothing is lost.
        pixels = (batch.pictures * 255).round().to(torch.uint8)
        return {
            "samples": np.array(batch.samples),
            "pixels": pixels.numpy(),
            "unreadable": json.dumps(batch.unreadable),
        }

    # Ray Data would order rows by what is done first.
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    blocks = -(-len(numbers) // _BATCHES_PER_TASK)
    rows = ray.data.range(len(numbers), override_num_blocks=blocks).map(read)
    batches = map(_batch_of, rows.iter_rows())
    for _ in sampler.steps:
        yield [next(batches) for _ in range(sampler.batches_per_step)]


def _batch_of(row: dict[str, Any]) -> Batch:
    pixels = torch.from_numpy(np.array(row["pixels"]))
    samples = tuple(int(number) for number in row["samples"])
    return Batch(samples, pixels.float() / 255, json.loads(row["unreadable"]))


def _in_background(function: Callable[[], Result]) -> Future[Result]:
    """Call it in a thread: in the main one Ray Train would take Ctrl-C, and end the workers."""
    future: Future[Result] = Future()

    def call() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=call, name="ray-train", daemon=True).start()
    return future


def _let_workers_finish(plan: TrainingPlan, fitted: Future[Result]) -> None:
    """Wait for the workers' present step, and for its checkpoint."""
    _log.warning("finishing the present step, to keep it")
    with suppress(Exception):  # the command ends, however the training has
        plan.run_folder.ask_to_stop()
        fitted.result(timeout=_SECONDS_FOR_LAST_STEP)


def _stopped(cause: str) -> str:
    return f"training stopped: {cause}; what was reached is kept, --resume goes on with it"


def _words(error: Exception) -> str:
    """What happened to the workers, in one line."""
    from ray.train import ControllerError, WorkerGroupError

    failures = list(error.worker_failures.values()) if isinstance(error, WorkerGroupError) else []
    for each in (*failures, error):
        if lacked_memory(each):
            return f"Ray has ended a worker, as the memory was full{memory_used(each)}: {_LESS}"
    # When one worker dies, the others complain of its silence: that is no news.
    if any(map(_is_death, (*failures, error))):
        return f"a worker died without a word, such as for want of memory: {_LESS}"
    if isinstance(error, ControllerError):
        return f"the workers find no place or do not start ({last_line_without_class(error)})"
    return last_line_without_class(error)


_LESS = "try a lower --batch-size, or end other work"


def _is_death(failure: Exception) -> bool:
    from ray.exceptions import RayActorError, WorkerCrashedError

    # Ray Train wraps it in an error that is not public.
    cause = getattr(failure, "health_check_failure", failure)
    return isinstance(cause, RayActorError | WorkerCrashedError)
