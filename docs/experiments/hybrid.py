"""Generator and optimisation together: what `nst stylize images --refine 25` comes to.

On held-out photographs, the objective that the style was trained with: the generator's picture, 25
iterations of L-BFGS from it (hybrid), and 100 iterations from noise, as the papers do it.
Run: python docs/experiments/hybrid.py DATA
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runs import Experiment, experiment, show

STYLE = "wave"
NUMBERS = ("002", "009", "011", "012", "014")
"""Photographs of Set14, which no bundled style was trained on."""


def main() -> None:
    """Evaluate from the generator's picture and from noise; print both."""
    run = experiment(__doc__)
    found = {start: _evaluated(run, start, n) for start, n in (("generator", 25), ("noise", 100))}
    forward = found["generator"]["seconds_per_forward"]
    rows: list[dict[str, object]] = [
        {"": "generator", "objective": found["generator"]["lbfgs"]["0"], "seconds": forward}
    ]
    for start, report in found.items():
        count, total = list(report["lbfgs"].items())[-1]
        seconds = int(count) / 100 * report["seconds_per_100_iterations"]
        name = f"{count} iterations from {'its picture' if start == 'generator' else 'noise'}"
        rows.append(
            {"": name, "objective": total, "seconds": seconds + forward * (start == "generator")}
        )
    show(rows)


def _evaluated(run: Experiment, start: str, iterations: int) -> dict[str, Any]:
    options = {
        "--checkpoint": STYLE,
        "--content": _photos(run),
        "--style": run.painting(STYLE),
        "--init": start,
        "--image-size": 256,
        "--against-iterations": iterations,
        "--max-images": len(NUMBERS),
        "--threads": run.threads,
        "--device": "cpu",
    }
    return run.report(f"hybrid-{start}", "evaluate", options=options)


def _photos(run: Experiment) -> Path:
    folder = run.work / "hybrid-photos"
    folder.mkdir(exist_ok=True)
    for number in NUMBERS:
        link = folder / f"img_{number}.png"
        if not link.exists():
            link.symlink_to(run.data / "sr" / "Set14" / link.name)
    return folder


if __name__ == "__main__":
    main()
