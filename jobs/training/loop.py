"""What every worker of a training runs: read pictures, step, record, keep checkpoints."""

from __future__ import annotations

import copy
import ctypes
import errno
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import nn

from jobs.training.plan import TrainingPlan, build_trainer
from jobs.training.records import TrainingRecords
from jobs.training.states import State, read_state, save_so_far
from nst_core.engines.halving_batches import is_out_of_memory
from nst_core.errors import EnvironmentProblem, NstError, TrainingDiverged, TrainingFailed
from nst_core.processors import usable_processors
from nst_core.training.photos import Batch, StepSampler, batches_of_steps
from nst_core.training.trainer import GeneratorTrainer
from nst_core.wording import first_line

_ROLLBACKS_ALLOWED = 5
_RATE_AFTER_ROLLBACK = 0.5
_LASTING = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EISDIR, errno.ENOTDIR, errno.ENOENT),
}
"""System errors that another try would meet again."""

_MOST_LOADER_PROCESSES = 16
"""Each has torch in its memory."""
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # parameters of mallopt, by glibc's malloc.h
_NEVER = 2**31 - 1


@dataclass(frozen=True)
class Rank:
    """One of the processes that train together; as it is here, the only one, without Ray."""

    number: int
    """0 writes the records."""
    world_size: int
    device: torch.device

    def batches(self, plan: TrainingPlan, sampler: StepSampler) -> Iterator[list[Batch]]:
        """Yield the batches of each step."""
        processes = _loader_processes(self.device, plan.threads) if plan.photos else 0
        return batches_of_steps(plan.targets(), sampler, processes=processes)

    def last_state(self, plan: TrainingPlan) -> State | None:
        """Return the last state that this command kept, or the one it began with."""
        return read_state(plan.run_folder.checkpoint)

    def data_parallel(self, model: nn.Module) -> nn.Module:
        """Return what computes ``model``'s gradients together with the others."""
        return model

    def report(self, state: State) -> None:
        """Tell that a checkpoint is reached, for all to wait for; rank 0 has it kept."""


def train_as(rank: Rank, plan: TrainingPlan) -> str | None:
    """Train to the end, as one of those that do.

    All begin anew whenever one of them is lost or raises. What would only fail again ends the
    training instead: rank 0 returns why. Where it is another's alone, rank 0 may wait for it in
    vain: that one writes it down, and raises.
    """
    with ExitStack() as held:
        failure = _failure_before(plan, rank, held)
        if failure is not None:
            return failure
        try:
            _train(plan, rank)
        except Exception as error:
            lasting = _lasting(error)
            if lasting is None:
                raise
            if rank.world_size > 1 and not isinstance(error, TrainingFailed):
                plan.run_folder.note_failure(lasting)
                raise
            return lasting  # all workers come to it together
    return None


def _failure_before(plan: TrainingPlan, rank: Rank, held: ExitStack) -> str | None:
    """Find out, for all workers together, whether there is a reason not to begin."""
    failure: str | None = None
    try:
        if plan.files is not None:
            plan.files.check()
        if rank.number == 0:
            held.enter_context(plan.run_folder.writing())
            failure = plan.run_folder.failure()
    except EnvironmentProblem as error:
        failure = str(error)
    except OSError as error:
        failure = f"{error.filename or plan.run_folder.path}: {error.strerror or error}"
    if rank.world_size == 1:
        return failure
    failures: list[str | None] = [None] * rank.world_size
    if rank.device.type == "cuda":
        torch.cuda.set_device(rank.device)  # what is gathered goes through its memory
    torch.distributed.all_gather_object(failures, failure)
    return next((each for each in failures if each is not None), None)


def _lasting(error: Exception) -> str | None:
    """In words, what trying again would not mend; None for the rest."""
    if isinstance(error, NstError):
        return str(error)
    if is_out_of_memory(error) or "can't allocate memory" in str(error):
        return (
            f"out of memory ({first_line(error)}); try half the --batch-size with "
            "--accumulate 2, or a smaller --image-size"
        )
    if isinstance(error, OSError) and error.errno in _LASTING:
        return f"{error.filename or 'a worker'}: {error.strerror or error}"
    return None


def _train(plan: TrainingPlan, rank: Rank) -> None:
    trainer = build_trainer(plan, rank.device, world_size=rank.world_size)
    state = rank.last_state(plan)
    if state is not None:
        trainer.load_state_dict(state)
    if rank.world_size > 1:
        trainer.data_parallel(rank.data_parallel)
    keep_freed_memory()
    with ExitStack() as held:
        records = TrainingRecords(plan, rank.world_size) if rank.number == 0 else None
        if records:
            held.callback(records.close)
            records.begin(trainer.steps_done)
        _train_through_divergences(plan, rank, trainer, records)


def _train_through_divergences(
    plan: TrainingPlan,
    rank: Rank,
    trainer: GeneratorTrainer,
    records: TrainingRecords | None,
) -> None:
    """Train to the end, or until the command is interrupted. Raises TrainingFailed."""
    good = copy.deepcopy(trainer.state_dict())
    rollbacks = 0
    while trainer.steps_done < plan.settings.steps:
        before = good["steps_done"]
        try:
            for state in _steps_to_checkpoints(plan, trainer, records, rank):
                if not trainer.is_in_doubt:
                    good = copy.deepcopy(state)
                if is_asked_to_stop(plan, rank):
                    return
        except TrainingDiverged as error:
            rollbacks = 1 if good["steps_done"] > before else rollbacks + 1
            if rollbacks > _ROLLBACKS_ALLOWED:
                raise TrainingFailed(
                    f"{error}; {_ROLLBACKS_ALLOWED} times a lower learning rate did not help: "
                    "try --clip-norm 1, a lower --style-weight or another --learning-rate"
                ) from error
            good["rate_factor"] = trainer.rate_factor * _RATE_AFTER_ROLLBACK
            trainer.load_state_dict(copy.deepcopy(good))
            if records:
                records.rolled_back(str(error), trainer)


def _steps_to_checkpoints(
    plan: TrainingPlan, trainer: GeneratorTrainer, records: TrainingRecords | None, rank: Rank
) -> Iterator[State]:
    """Train to the end; yield the trainer's state with each checkpoint."""
    sampler = StepSampler(
        first_step=trainer.steps_done,
        last_step=plan.settings.steps,
        samples_per_step=plan.samples_per_step,
        batch_size=plan.settings.batch_size,
        rank=rank.number,
        world_size=rank.world_size,
    )
    unreadable: dict[str, str] = {}
    for batches in rank.batches(plan, sampler):
        rate = trainer.learning_rate
        losses = trainer.step(batches)
        for batch in batches:
            new = {p: error for p, error in batch.unreadable.items() if p not in unreadable}
            unreadable |= new
            plan.run_folder.note_unreadable(rank.number, new)
        if records:
            records.step(trainer.steps_done - 1, losses, rate)
        done = trainer.steps_done
        is_last = done == plan.settings.steps or is_asked_to_stop(plan, rank)
        is_due = is_last or done % plan.job.checkpoint_every == 0
        shows = records is not None and (is_due or records.preview_is_due)
        state = trainer.state_dict() if is_due or shows else {}
        if records and shows:
            records.preview(done, trainer.trained)
            if not trainer.is_in_doubt:
                save_so_far(plan, state, losses)
        if is_due:
            rank.report(state)
            yield state


def is_asked_to_stop(plan: TrainingPlan, rank: Rank) -> bool:
    """Say whether the command was interrupted; all workers hear the same from worker 0."""
    asked = rank.number == 0 and plan.run_folder.is_to_stop()
    if rank.world_size == 1:
        return asked
    told = torch.tensor([int(asked)], device=rank.device)
    torch.distributed.broadcast(told, src=0)
    return bool(told.item())


def _loader_processes(device: torch.device, cpus: int | None) -> int:
    """A GPU waits for crops unless others cut them; on a CPU they would fight for its cores.

    ``cpus`` are the worker's own, where Ray has given it some.
    """
    if device.type == "cpu":
        return 0
    return min(_MOST_LOADER_PROCESSES, cpus or usable_processors(), usable_processors())


def keep_freed_memory() -> None:
    """Let the C library keep what is freed from now on for the next blocks; glibc only.

    By itself glibc gives large blocks back at once, and each page that it gets again costs a
    fault: a tenth of the time of a training on CPUs, whose steps need the same blocks again and
    again. What was freed before is given back here: blocks of other sizes leave holes that later
    ones do not fit into.
    """
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    library.malloc_trim(0)
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
