"""What `nst plan` estimates, beside what the run then takes: by turns, whole commands.

python -m tests.benchmarks.plans [--rounds N] [--data DIR] [--only film|clip|folder|training]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobs.benchmark.commands import run_nst
from jobs.benchmark.material.repeated_film import repeat

_DATA = Path(__file__).parents[3] / "shared" / "data"
_TIMES = 6
"""How often the clip is repeated for the film."""
_STEPS = 60
_BAR = 0.3
"""Part of the run by which an estimate may be off."""


@dataclass(frozen=True)
class _Pair:
    """One plan, and the run behind it."""

    told: float
    """Seconds that the plan told."""
    took: float
    """Seconds of the whole command."""
    planning: float
    """Seconds of the plan itself."""

    @property
    def ratio(self) -> float:
        return self.told / self.took


def _commands(data: Path, folder: Path) -> dict[str, list[object]]:
    """Return the commands by name; each writes below ``folder``, and replaces what is there."""
    bunny = data / "video" / "bunny.mp4"
    film = folder / "film.mp4"
    repeat(bunny, film, _TIMES)
    wave = ("--style", "wave")
    training = (
        *("train", "style", data / "styles" / "metzinger.jpg", "--content", data / "photos"),
        *("-o", folder / "style.safetensors", "--steps", _STEPS),
        *("--loss-network-weights", next((data / "vgg19").glob("*.safetensors"))),
    )
    return {
        "film": ["stylize", "video", film, "-o", folder / "out.mp4", *wave],
        "clip": ["stylize", "video", bunny, "-o", folder / "clip.mp4", *wave],
        "folder": [
            "stylize",
            "images",
            data / "photos",
            "-o",
            folder / "out",
            *wave,
            "--no-resume",
        ],
        "training": [*training],
    }


def _pairs(command: list[object], rounds: int) -> Iterator[_Pair]:
    for _ in range(rounds):
        planned = run_nst("plan", *command, "--overwrite")
        run = run_nst(*command, "--overwrite")
        yield _Pair(planned.report["seconds"], run.seconds, planned.seconds)


def main() -> None:
    """Measure, and print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=_DATA)
    parser.add_argument("--only", choices=("film", "clip", "folder", "training"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for what, command in _commands(asked.data, Path(name)).items():
            if asked.only in (None, what):
                pairs = list(_pairs(command, asked.rounds))
                ratios = ", ".join(f"{pair.ratio:.2f}" for pair in pairs)
                told, took, planning = (
                    statistics.median(values)
                    for values in zip(*((p.told, p.took, p.planning) for p in pairs), strict=True)
                )
                within = sum(abs(pair.ratio - 1) <= _BAR for pair in pairs)
                print(
                    f"{what}: told {told:.1f} s, took {took:.1f} s, planned in {planning:.1f} s "
                    f"(medians); told / took {ratios}; {within} of {len(pairs)} within "
                    f"{_BAR:.0%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
