"""What the experiments share: the data, runs of the program itself, tables, sheets and plots."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image

from nst_core.checkpoints.library import find_style
from nst_core.pictures.reading import sheet
from nst_core.strokes import StrokeChoice
from nst_core.stylizer import Stylizer

Choice = TypeVar("Choice")
Options = Mapping[str, object]
"""Options of a command: names such as --steps, and their values; True: a flag."""

PICTURES = Path(__file__).parents[1] / "images"
HELD_OUT_EVERY = 20
"""Every 20th photograph, in sorted order, is never trained on."""

GENERATORS: Mapping[str, Options] = {
    "johnson": {"--architecture": "johnson", "--width": 16},
    "texture": {"--architecture": "texture", "--learning-rate": 0.01},
}
"""The residual generator in its everyday variant, and g(y, z) of Texture Networks."""
SHORT_RECIPE: Options = {
    "--from": "none",
    "--steps": 300,
    "--batch-size": 4,
    "--image-size": 128,
    "--style-size": 256,
    "--style-weight": 5,
    "--scales": "1",
    "--no-balance": True,
    "--lattice-weight": 0,
    "--no-calibrate": True,
    "--checkpoint-every": 300,
    "--seed": 1,
}
"""Minutes on a CPU: one scale and fixed weights, as in the papers."""
QUICK: Options = {
    "--steps": 2,
    "--batch-size": 2,
    "--image-size": 64,
    "--style-size": 64,
    "--width": 4,
    "--against-iterations": 2,
    "--max-images": 1,
}
"""What --quick puts in the place of options that an experiment gives."""


@dataclass(frozen=True)
class Experiment:
    """Where an experiment reads and writes, and what was asked for."""

    data: Path
    """The folder with photos/, styles/, textures/, sr/ and vgg19/."""
    work: Path
    """Where checkpoints, runs and reports stay: an experiment that is started again goes on with
    what is there."""
    threads: int
    quick: bool
    """A few steps, to see that it runs: the numbers then mean nothing, and no picture is drawn over
    one of the documentation's."""
    asked: Mapping[str, str]
    """Values of the experiment's own options."""

    @property
    def loss_network(self) -> Path:
        """VGG-19."""
        return self.data / "vgg19" / "vgg19-caffe.safetensors"

    def pick(self, whole: Choice, quick: Choice) -> Choice:
        """Return the one or, with --quick, the other."""
        return quick if self.quick else whole

    def listed(self, option: str) -> list[str]:
        """Return the values of an option that takes several; with --quick the first."""
        values = self.asked[option].split(",")
        return values[: self.pick(len(values), 1)]

    def painting(self, style: str) -> Path:
        """Return the picture of a bundled style."""
        return self.data / "styles" / f"{style}.jpg"

    def photos(self, count: int | None = None) -> Path:
        """Make a folder of links to ``count`` (None: all) photographs to train on."""
        chosen = [p for n, p in enumerate(self._photos()) if n % HELD_OUT_EVERY]
        return self._links(f"photos-{count or len(chosen)}", _spread(chosen, count))

    def held_out(self) -> Path:
        """Make a folder of links to the photographs that no run is trained on."""
        return self._links("held-out", self._photos()[::HELD_OUT_EVERY])

    def train(self, name: str, *words: object, options: Options) -> Path:
        """Run `nst train WORDS OPTIONS` once; returns the checkpoint."""
        output = self.work / f"{name}.safetensors"
        if output.exists():
            return output
        going_on = ["--resume"] if (self.work / f"{name}.run" / "settings.json").exists() else []
        where = ("-o", output, "--device", "cpu", "--cpus-per-worker", self.threads)
        self.nst("train", *words, *where, *going_on, options=options)
        return output

    def train_style(
        self, generator: str, painting: str = "wave", photos: int | None = None, **changes: object
    ) -> Path:
        """Train by SHORT_RECIPE; ``changes`` are options of it, such as norm="batch"."""
        more = {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
        parts = [painting, generator, photos or "all", *(f"{k}-{v}" for k, v in changes.items())]
        return self.train(
            "-".join(map(str, parts)),
            *("style", self.painting(painting), "--content", self.photos(photos)),
            options={**SHORT_RECIPE, **GENERATORS[generator], **more},
        )

    def report(self, name: str, *words: object, options: Options) -> dict[str, Any]:
        """Run `nst WORDS OPTIONS --json` once; returns its report."""
        path = self.work / f"{name}.json"
        if not path.exists():
            path.write_text(self.nst(*words, "--json", options=options))
        report: dict[str, Any] = json.loads(path.read_text())
        return report

    def nst(self, *words: object, options: Options) -> str:
        """Run the program; returns its stdout."""
        chosen = {**options, **{name: QUICK[name] for name in options if name in QUICK}}
        pairs = (chosen if self.quick else options).items()
        given = [part for name, value in pairs for part in (name, value) if part is not True]
        arguments = [str(part) for part in (*words, *given)]
        print("nst", *arguments, file=sys.stderr, flush=True)
        root = str(Path(__file__).parents[2])
        environment = os.environ | {
            "PYTHONPATH": os.environ.get("PYTHONPATH", root),
            "NST_LOSS_NETWORK_WEIGHTS": str(self.loss_network),
            "OMP_NUM_THREADS": str(self.threads),
        }
        command = [sys.executable, "-m", "jobs.cli", *arguments]
        return subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=environment
        ).stdout

    def save_sheet(
        self, rows: Sequence[Sequence[Image.Image]], name: str, *, cell_height: int = 200
    ) -> None:
        """Lay pictures out in rows, in a JPEG of the documentation."""
        sheet(rows, cell_height=cell_height).save(self.picture(name), quality=88)

    def save_plot(self, figure: Any, name: str) -> None:
        """Write a Matplotlib figure into the pictures of the documentation."""
        figure.tight_layout()
        figure.savefig(self.picture(name), dpi=110)

    def picture(self, name: str) -> Path:
        """Return where a picture of the documentation goes, and say so."""
        path = (self.work if self.quick else PICTURES) / name
        print(path)
        return path

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


def experiment(description: str | None, **own: str) -> Experiment:
    """Read the command line; ``own`` are further options and their defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", type=Path, help="folder with photos, styles, textures, sr, vgg19")
    parser.add_argument("--work", type=Path, default=Path("build/experiments"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of every run")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    for name, default in own.items():
        parser.add_argument(f"--{name}", default=default, help=f"default {default}")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    work = options.work.absolute() / "quick" if options.quick else options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    asked = {name: getattr(options, name) for name in own}
    return Experiment(options.data.absolute(), work, options.threads, options.quick, asked)


def metrics(checkpoint: Path) -> list[dict[str, Any]]:
    """One dictionary a step of the run that made ``checkpoint``."""
    lines = (checkpoint.with_suffix(".run") / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def stylizer_for(style: str, height: int, width: int, **options: Any) -> Stylizer:
    """Build what `nst stylize images` applies to pictures of that size."""
    found = find_style(style)
    return Stylizer(found.with_stroke(StrokeChoice(found.strokes).of(height, width)), **options)


def show(rows: Sequence[Mapping[str, object]]) -> None:
    """Print a line about this machine, and a table in Markdown."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}\n")
    print(f"| {' | '.join(rows[0])} |\n{'|---' * len(rows[0])}|")
    for row in rows:
        cells = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values())
        print(f"| {' | '.join(cells)} |")
    print()


def smooth(values: list[float], width: int = 25) -> list[float]:
    """Mean of the last ``width`` values at each place."""
    return [last_mean(values[: i + 1], width) for i in range(len(values))]


def last_mean(values: list[float], count: int = 50) -> float:
    """Mean of the last ``count`` values."""
    return sum(values[-count:]) / len(values[-count:])


def _spread(photos: list[Path], count: int | None) -> list[Path]:
    """``count`` of them, evenly from all over the list."""
    if count is None:
        return photos
    return [photos[i * len(photos) // count] for i in range(count)]
