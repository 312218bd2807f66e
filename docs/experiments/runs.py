"""What the experiments share: the data, training runs through the program itself, and plots."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

PICTURES = Path(__file__).parents[1] / "images"
HELD_OUT_EVERY = 20
"""Of the photographs in sorted order, every 20th is never trained on."""


@dataclass(frozen=True)
class Experiment:
    """Where an experiment reads and writes."""

    data: Path
    """The folder with photos/, styles/, textures/, sr/ and vgg19/."""
    work: Path
    """Where trained checkpoints and their runs stay: an experiment that is started again goes on
    with what is there."""
    threads: int
    quick: bool
    """Two minutes, to see that it runs: the numbers then mean nothing, and no picture is drawn over
    one of the documentation's."""

    @property
    def loss_network(self) -> list[str]:
        """Options that name the loss network."""
        return ["--loss-network-weights", str(self.data / "vgg19" / "vgg19-caffe.safetensors")]

    def photos(self, count: int | None = None) -> Path:
        """Make a folder of links to ``count`` (None: all) photographs to train on."""
        chosen = [p for n, p in enumerate(self._photos()) if n % HELD_OUT_EVERY]
        return self._links(f"photos-{count or len(chosen)}", _spread(chosen, count))

    def held_out(self) -> Path:
        """Make a folder of links to the photographs that no run is trained on."""
        return self._links("held-out", self._photos()[::HELD_OUT_EVERY])

    def train(self, name: str, *arguments: object) -> Path:
        """Run `nst train ARGUMENTS` once; returns the checkpoint."""
        output = self.work / f"{name}.safetensors"
        if output.exists():
            return output
        run = self.work / f"{name}.run"
        options = ["-o", output, "--device", "cpu", "--cpus-per-worker", self.threads]
        going_on = ["--resume"] if (run / "settings.json").exists() else []
        nst("train", *arguments, *self.loss_network, *options, *going_on)
        return output

    def metrics(self, checkpoint: Path) -> list[dict[str, Any]]:
        """One dictionary a step of the run that made ``checkpoint``."""
        lines = (checkpoint.with_suffix(".run") / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def _photos(self) -> list[Path]:
        return sorted((self.data / "photos").glob("*.jpg"))

    def _links(self, name: str, photos: list[Path]) -> Path:
        folder = self.work / name
        folder.mkdir(parents=True, exist_ok=True)
        for photo in photos:
            link = folder / photo.name
            if not link.exists():
                link.symlink_to(photo.resolve())
        return folder


def experiment(description: str, *, has_quick: bool = False) -> Experiment:
    """Read the command line of an experiment; ``has_quick`` says that it knows --quick."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", type=Path, help="folder with photos, styles, textures, sr, vgg19")
    parser.add_argument("--work", type=Path, default=Path("build/experiments"))
    parser.add_argument("--threads", type=int, default=1, help="CPUs of a training run")
    if has_quick:
        parser.add_argument("--quick", action="store_true", help="two minutes, to see that it runs")
    parser.set_defaults(quick=False)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    work = options.work.absolute() / "quick" if options.quick else options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    return Experiment(options.data.absolute(), work, options.threads, options.quick)


def nst(*arguments: object) -> str:
    """Run the program; returns its stdout."""
    command = [sys.executable, "-m", "jobs.cli", *map(str, arguments)]
    print("nst", *command[3:], file=sys.stderr, flush=True)
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": os.environ.get("PYTHONPATH", root)}
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return run.stdout


def machine() -> str:
    """One line about where this ran."""
    return f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"


def smooth(values: list[float], width: int = 25) -> list[float]:
    """Mean of the last ``width`` values at each place."""
    return [
        sum(values[max(0, i + 1 - width) : i + 1]) / len(values[max(0, i + 1 - width) : i + 1])
        for i in range(len(values))
    ]


def last_mean(values: list[float], count: int = 50) -> float:
    """Mean of the last ``count`` values."""
    return sum(values[-count:]) / count


def save_plot(figure: Any, name: str) -> Path:
    """Write a Matplotlib figure into the pictures of the documentation."""
    path = PICTURES / name
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    return path


def _spread(photos: list[Path], count: int | None) -> list[Path]:
    """``count`` of them, evenly from all over the list."""
    if count is None:
        return photos
    return [photos[i * len(photos) // count] for i in range(count)]
