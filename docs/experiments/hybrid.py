"""Generator and optimisation together: what `nst stylize images --refine 25` comes to.

On held-out photographs, the objective that the style was trained with: the generator's picture, 25
iterations of L-BFGS from it (hybrid), and 100 iterations from noise, as the papers do it.
Run: python docs/experiments/hybrid.py DATA
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runs import Experiment, experiment, machine, nst

STYLE = "wave"
NUMBERS = ("002", "009", "011", "012", "014")
"""Photographs of Set14, which no bundled style was trained on."""


def main() -> None:
    """Evaluate from the generator's picture and from noise; print both."""
    run = experiment(__doc__ or "", has_quick=True)
    count, size, (few, many) = (1, 64, (3, 12)) if run.quick else (5, 256, (25, 100))
    photos = _photos(run, count)
    hybrid = _evaluated(run, photos, "generator", few, size)
    noise = _evaluated(run, photos, "noise", many, size)
    table = {
        "photographs": hybrid["images"],
        "generator": hybrid["lbfgs"]["0"],
        f"hybrid, {few} iterations": hybrid["lbfgs"][str(few)],
        f"{many} iterations from noise": noise["lbfgs"][str(many)],
        "seconds of a forward pass": hybrid["seconds_per_forward"],
        f"seconds of hybrid, {few}": hybrid["seconds_per_forward"]
        + few / 100 * hybrid["seconds_per_100_iterations"],
        f"seconds of {many} from noise": many / 100 * noise["seconds_per_100_iterations"],
    }
    print(json.dumps({"machine": machine(), "style": STYLE, **table}, indent=1))


def _photos(run: Experiment, count: int) -> Path:
    folder = run.work / f"hybrid-{count}"
    folder.mkdir(exist_ok=True)
    for number in NUMBERS[:count]:
        link = folder / f"img_{number}.png"
        if not link.exists():
            link.symlink_to(run.data / "sr" / "Set14" / link.name)
    return folder


def _evaluated(
    run: Experiment, photos: Path, init: str, iterations: int, size: int
) -> dict[str, Any]:
    arguments = (
        *("--checkpoint", STYLE, "--content", photos, "--init", init),
        *("--style", run.data / "styles" / f"{STYLE}.jpg", "--image-size", size),
        *("--against-iterations", iterations, "--threads", run.threads),
        *("--device", "cpu", "--json"),
    )
    report: dict[str, Any] = json.loads(nst("evaluate", *arguments, *run.loss_network))
    return report


if __name__ == "__main__":
    main()
