"""A tiny training as a user starts it, for tests that disturb it, and what it should come to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil
import torch
from PIL import Image
from torch import Tensor

from jobs.specs.training import TrainStyle
from jobs.training.plan import TrainingPlan, build_trainer
from jobs.training.run_folder import RunFolder
from nst_core.training.photos import StepSampler, batches_of_steps
from nst_core.training.settings import TrainingSettings
from tests.kit.media import moving_picture
from tests.kit.processes import command_of

STEPS = 40


@dataclass(frozen=True)
class Disturbed:
    """A command that trains, in a process that a test may kill."""

    job: TrainStyle

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.job.run_folder)

    def command(self, *more: str) -> list[str]:
        """Return what a user types for the job; ``more`` options behind it."""
        job, training = self.job, self.job.training
        least, most = job.workers
        return [
            *(sys.executable, "-m", "jobs.cli", "train", "style", *map(str, job.style_images)),
            *("--content", *job.content, "-o", str(job.output), "--json", "--device", "cpu"),
            *("--loss-network-weights", str(job.loss_network_weights)),
            *("--precision", "float32", "--width", str(job.width)),
            *("--image-size", str(training.image_size), "--style-size", str(job.style_size)),
            *("--batch-size", str(training.batch_size), "--steps", str(training.steps)),
            *("--accumulate", str(training.accumulate), "--seed", str(training.seed)),
            *("--learning-rate", str(training.learning_rate), "--schedule", training.schedule),
            *("--decay-every", str(training.decay_every), "--average", str(training.average)),
            *("--stability-weight", str(training.stability_weight)),
            *("--checkpoint-every", str(job.checkpoint_every)),
            *("--workers", f"{least}:{most}", "--cpus-per-worker", "1"),
            *more,
        ]

    def start(self, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self, *more: str) -> dict[str, Any]:
        """Let the command run to its end; returns its report."""
        process = self.start(*more)
        try:
            stdout, stderr = process.communicate(timeout=600)
        except BaseException:
            process.terminate()  # in order: Ray's processes end with it
            raise
        assert process.returncode == 0, stderr
        return cast("dict[str, Any]", json.loads(stdout))

    def wait_for_step(self, step: int, process: subprocess.Popen[str]) -> None:
        """Return when the line of ``step`` or a later one is the last."""
        while (self.folder.last_metrics() or {"step": -1})["step"] < step:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)

    def steps_recorded(self) -> list[int]:
        return [line["step"] for line in self.folder.read_metrics()]


def workers_of(process: subprocess.Popen[str] | None = None) -> list[psutil.Process]:
    """Ray Train's workers below a process, or below this one."""
    family = psutil.Process(process.pid if process else os.getpid()).children(recursive=True)
    return [child for child in family if "RayTrainWorker" in command_of(child)]


def tiny_job(folder: Path, photos: Path, weights: Path, **training: Any) -> TrainStyle:
    """A training of seconds with everything on that has a state: average, stability, schedule."""
    painting = folder / "painting.png"
    Image.fromarray(moving_picture(0)).save(painting)
    settings: dict[str, Any] = {
        "steps": STEPS,
        "batch_size": 2,
        "image_size": 32,
        "schedule": "step",
        "decay_every": 7,
        "average": 0.9,
        "stability_weight": 1.0,
        "precision": "float32",
        "seed": 3,
    }
    return TrainStyle(
        style_images=(painting,),
        content=(str(photos),),
        output=folder / "painting.safetensors",
        training=TrainingSettings(**settings | training),
        width=4,
        style_size=32,
        loss_network_weights=weights,
        device="cpu",
        cpus_per_worker=1,
        checkpoint_every=10,
    )


def undisturbed(plan: TrainingPlan) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """Train here, in one go and without Ray: the weights, and the losses of each step."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the worker: sums in another order differ in the last digits
    try:
        trainer = build_trainer(plan, torch.device("cpu"))
        sampler = StepSampler(
            first_step=0,
            last_step=plan.settings.steps,
            samples_per_step=plan.samples_per_step,
            batch_size=plan.settings.batch_size,
        )
        losses = [trainer.step(b) for b in batches_of_steps(plan.targets(), sampler)]
    finally:
        torch.set_num_threads(threads)
    return trainer.state_dict()["trained"], losses
