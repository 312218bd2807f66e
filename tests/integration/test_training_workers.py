"""Workers that train together: their gradients, their places, and what becomes of lost ones."""

from __future__ import annotations

import dataclasses
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

import jobs.training.on_ray
from jobs.specs.training import TrainStyle, TrainTexture
from jobs.training.kinds import make_plan
from jobs.training.on_ray import device_of_worker, resources_of_each_worker, training_loop
from jobs.training.plan import TrainingPlan, build_trainer
from jobs.training.run_folder import RunFolder
from jobs.training.train import train
from nst_core.errors import EnvironmentProblem, InputError, TrainingFailed
from nst_core.objectives.settings import ObjectiveSettings
from nst_core.training.divergence import DivergenceWatch
from nst_core.training.photos import StepSampler, batches_of_steps
from tests.kit.media import moving_picture
from tests.kit.training_runs import STEPS, Disturbed, tiny_job

_Job = TypeVar("_Job", bound=TrainStyle | TrainTexture)


@pytest.fixture
def job(photos: Path, vgg19_file: Path, tmp_path: Path) -> TrainStyle:
    return tiny_job(tmp_path, photos, vgg19_file)


def _changed(job: _Job, *, workers: tuple[int, int] = (1, 1), **training: Any) -> _Job:
    settings = dataclasses.replace(job.training, **training)
    return dataclasses.replace(job, training=settings, workers=workers)


# Gradients

_BOLD = ObjectiveSettings(
    style_layers=("relu1_1@1", "relu2_1@0.5"),
    content_layers=("relu2_2@0.5",),
    balanced=True,
    lattice_weight=0.5,
)


def _gradients(plan: TrainingPlan, rank: int = 0, world_size: int = 1) -> list[Tensor]:
    """Return this worker's gradients of the first step, and behind them factors and losses."""
    trainer = build_trainer(plan, torch.device("cpu"), world_size=world_size)
    if world_size > 1:
        trainer.data_parallel(DistributedDataParallel)
    sampler = StepSampler(
        first_step=0,
        last_step=1,
        samples_per_step=plan.samples_per_step,
        batch_size=plan.settings.batch_size,
        rank=rank,
        world_size=world_size,
    )
    (batches,) = batches_of_steps(plan.targets(), sampler)
    losses = trainer.step(batches)
    gradients = [parameter.grad for parameter in trainer.parameters]
    factors = list(trainer.state_dict()["balance"].values())
    found = [gradient for gradient in gradients if gradient is not None]
    return [*found, *factors, torch.tensor(list(losses.values()))]


def _gradients_of_worker(rank: int, plans: dict[str, TrainingPlan], folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=120),
    )
    found = {name: _gradients(plan, rank, 2) for name, plan in plans.items()}
    torch.save(found, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_workers_have_the_gradients_of_one_with_all_their_samples(
    job: TrainStyle, tmp_path: Path
) -> None:
    second_style = tmp_path / "second.png"
    Image.fromarray(moving_picture(40)).save(second_style)
    many = dataclasses.replace(job, style_images=(*job.style_images, second_style))
    texture = TrainTexture(
        texture_image=second_style,
        output=job.output,
        training=dataclasses.replace(job.training, stability_weight=0.0),
        levels=3,
        loss_network_weights=job.loss_network_weights,
    )
    both = (2, 2)
    cases: dict[str, TrainStyle | TrainTexture] = {
        "plain": _changed(job, workers=both, stability_weight=0.0),
        "stable": _changed(job, workers=both),
        "accumulated": _changed(job, workers=both, accumulate=2),
        # Three samples, in batches of one: the first worker has one of them, the other two.
        "uneven": _changed(job, workers=(1, 3), batch_size=1),
        "clipped": _changed(job, workers=both, clip_norm=0.01),
        "styles": _changed(many, workers=both),
        "bold": _changed(
            dataclasses.replace(many, strokes=(1.0, 2.0), objective=_BOLD),
            workers=both,
            image_size=64,
            stability_weight=0.0,
        ),
        "texture": _changed(texture, workers=both),
    }
    plans = {name: make_plan(two) for name, two in cases.items()}
    spawn(_gradients_of_worker, (plans, tmp_path), nprocs=2)  # type: ignore[no-untyped-call]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    for name, two in cases.items():
        samples = plans[name].samples_per_step
        alone = _gradients(make_plan(_changed(two, accumulate=1, batch_size=samples)))
        largest = max(gradient.abs().max() for gradient in alone[:-1])
        assert len(alone) == len(first[name])
        for a, b, c in zip(alone, first[name], second[name], strict=True):
            assert torch.equal(b, c), name
            # Relative to the largest: those of a bias before a normalisation are but rounding.
            assert (a - b).abs().max() <= 1e-5 * max(largest, a.abs().max()), name


# Places


@pytest.mark.parametrize(
    ("workers", "nodes", "threads"),
    [
        ((1, 1), [{"CPU": 8}], 8),
        ((3, 3), [{"CPU": 8}], 2),
        ((3, 3), [{"CPU": 3}, {"CPU": 3}], 1),  # a third of six, 2, leaves no place for a third
        ((1, 2), [{"CPU": 4}, {"CPU": 4}], 4),  # fits on the one that is left, too
        ((1, 2), [{"CPU": 4}], 2),
        ((1, 4), [{"CPU": 2}], 1),
        ((2, 2), [{"CPU": 0}, {"CPU": 6}, {"CPU": 2}], 3),
        ((2, 2), [{"CPU": 8, "GPU": 1}, {"CPU": 2, "GPU": 1}], 2),
        ((1, 8), [{"CPU": 8, "GPU": 2}], 4),
    ],
)
def test_every_worker_finds_a_place(
    workers: tuple[int, int], nodes: list[dict[str, float]], threads: int, job: TrainStyle
) -> None:
    job = dataclasses.replace(job, workers=workers, cpus_per_worker=None, device="auto")
    gpus = {"GPU": 1} if any("GPU" in node for node in nodes) else {}
    assert resources_of_each_worker(job, nodes) == {"CPU": threads, **gpus}


def test_workers_that_find_no_place_are_refused(job: TrainStyle) -> None:
    two_cores: list[dict[str, float]] = [{"CPU": 2}]
    for workers, cpus in (((3, 3), None), ((1, 1), 4), ((2, 4), 2)):
        with pytest.raises(EnvironmentProblem, match=r"lower --workers or --cpus-per-worker"):
            resources_of_each_worker(
                dataclasses.replace(job, workers=workers, cpus_per_worker=cpus), two_cores
            )
    with pytest.raises(EnvironmentProblem, match="GPUs"):
        resources_of_each_worker(dataclasses.replace(job, device="cuda"), two_cores)
    with pytest.raises(EnvironmentProblem, match="--device mps: Ray does not hand out such GPUs"):
        resources_of_each_worker(
            dataclasses.replace(job, device="mps", workers=(2, 2)), [{"CPU": 4}]
        )


def test_one_worker_trains_on_a_gpu_that_ray_does_not_see(
    job: TrainStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    job = dataclasses.replace(job, device="mps", workers=(1, 1), cpus_per_worker=None)
    assert resources_of_each_worker(job, [{"CPU": 8, "GPU": 1}]) == {"CPU": 8}
    given = torch.device("cpu")
    assert device_of_worker(job, given) == torch.device("mps")
    assert device_of_worker(dataclasses.replace(job, device="auto"), given) == given


def test_tasks_of_ray_data_keep_a_cpu_for_themselves(job: TrainStyle) -> None:
    job = dataclasses.replace(job, loader="ray-data", workers=(2, 2), cpus_per_worker=None)
    assert resources_of_each_worker(job, [{"CPU": 4}, {"CPU": 3}]) == {"CPU": 3}
    with pytest.raises(EnvironmentProblem, match="beside one for --loader ray-data"):
        resources_of_each_worker(job, [{"CPU": 2}])
    with pytest.raises(InputError, match="use --workers 2"):
        dataclasses.replace(job, workers=(1, 2))


# Failures


class _OnceAlarmed(DivergenceWatch):
    """Takes the sixteenth step for a divergence, when it comes for the first time."""

    seen = 0

    def accept_loss(self, loss: float, gradient_norm: float) -> bool:
        type(self).seen += 1
        return super().accept_loss(loss, gradient_norm) and self.seen != 16


class _OnceDoubtful(_OnceAlarmed):
    """Is in doubt, too, when the checkpoint at step 10 is made."""

    @property
    def is_in_doubt(self) -> bool:
        return 8 <= self.seen < 16


def _alarmed_loop(config: dict[str, Any]) -> str | None:
    with patch("nst_core.training.trainer.DivergenceWatch", _OnceAlarmed):
        return training_loop(config)


def _doubtful_loop(config: dict[str, Any]) -> str | None:
    with patch("nst_core.training.trainer.DivergenceWatch", _OnceDoubtful):
        return training_loop(config)


@pytest.mark.slow
@pytest.mark.parametrize(("loop", "back_to"), [(_alarmed_loop, 10), (_doubtful_loop, 0)])
def test_a_run_that_diverges_goes_back_with_a_lower_rate_and_tells_so(
    loop: Callable[[dict[str, Any]], str | None],
    back_to: int,
    job: TrainStyle,
    ray_here: None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs.training.on_ray, "training_loop", loop)
    with caplog.at_level(logging.WARNING):
        report = train(_changed(job, schedule="constant", warmup_steps=0, learning_rate=0.004))
    folder = RunFolder(Path(report.run_dir))
    assert report.rollbacks == 1
    assert [event["event"] for event in folder.read_events()] == ["start", "rollback"]
    assert [record.message for record in caplog.records if "at step 15" in record.message] == [
        "{why}: back to step {step}, with the learning rate 0.002".format(**folder.read_events()[1])
    ]
    metrics = folder.read_metrics()
    assert [line["step"] for line in metrics] == list(range(STEPS))
    assert folder.read_events()[1]["step"] == back_to
    assert [line["learning_rate"] for line in metrics[:back_to]] == [0.004] * back_to
    assert {line["learning_rate"] for line in metrics[back_to:]} == {0.002}


@pytest.mark.slow
def test_a_divergence_that_no_rate_can_help_stops_the_run_at_once_with_advice(
    job: TrainStyle, ray_here: None
) -> None:
    job = dataclasses.replace(job, objective=dataclasses.replace(job.objective, style_weight=3e38))
    with pytest.raises(TrainingFailed, match="lower learning rate did not help: try") as caught:
        train(job)
    assert "\n" not in str(caught.value)
    assert not job.output.exists()
    events = [event["event"] for event in RunFolder(job.run_folder).read_events()]
    assert events == ["start"] + 5 * ["rollback"]  # and no other workers


@pytest.mark.slow
def test_an_error_of_one_worker_alone_ends_the_run_for_all_of_them(
    job: TrainStyle, photos: Path, ray_here: None, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    job = dataclasses.replace(job, content=(str(photos), str(bad)))
    # Where the second worker would note which photos it could not read.
    (job.run_folder / "unreadable-1.jsonl").mkdir(parents=True)
    with pytest.raises(TrainingFailed, match=r"unreadable-1.jsonl: Is a directory"):
        train(_changed(job, workers=(2, 2)))
    assert len([e for e in RunFolder(job.run_folder).read_events() if e["event"] == "start"]) == 1


# Lost nodes

_QUICK_TO_RESIZE = """
import jobs.training.on_ray
from jobs.cli.main import run
jobs.training.on_ray._SECONDS_BETWEEN_RESIZES = 3.0
run()
"""


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A Ray cluster whose head has no CPUs; this process is not connected to it."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    checks = {
        "health_check_initial_delay_ms": 0,
        "health_check_period_ms": 1000,
        "health_check_timeout_ms": 3000,
        "health_check_failure_threshold": 5,
    }
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]  # the usual one may be that of this process's own Ray
    head: dict[str, Any] = {"num_cpus": 0, "include_dashboard": True, "dashboard_port": port}
    head["_system_config"] = checks
    nodes = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    try:
        yield nodes
    finally:
        nodes.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_lost_node_costs_its_worker_and_one_that_comes_is_taken_in(
    cluster: Any, job: TrainStyle
) -> None:
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    run = Disturbed(_changed(job, workers=(1, 2), steps=500))
    _, _, _, *options = run.command("--address", cluster.address)
    with subprocess.Popen(
        [sys.executable, "-c", _QUICK_TO_RESIZE, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            _wait_for_workers(run, 2, process)
            cluster.remove_node(nodes[1], allow_graceful=False)
            _wait_for_workers(run, 1, process)
            cluster.add_node(num_cpus=1)
            _wait_for_workers(run, 2, process)
            stdout, stderr = process.communicate(timeout=600)
        finally:
            process.terminate()
    assert process.returncode == 0, stderr
    assert "workers: 1" in stderr
    assert json.loads(stdout)["steps"] == 500
    metrics = run.folder.read_metrics()
    assert [line["step"] for line in metrics] == list(range(500))
    assert {line["images"] for line in metrics} == {4}
    assert {line["workers"] for line in metrics} == {1, 2}


def _wait_for_workers(run: Disturbed, count: int, process: subprocess.Popen[str]) -> None:
    """Until so many have done some twenty steps, two checkpoints, together."""
    end = time.monotonic() + 200
    while sum(line["workers"] == count for line in run.folder.read_metrics()[-25:]) < 22:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, run.folder.read_events()
        time.sleep(0.1)
