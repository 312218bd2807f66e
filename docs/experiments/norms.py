"""Experiment (a): the objective over training, instance against batch normalisation.

Ulyanov, Vedaldi and Lempitsky 2017 claim that it falls faster with instance normalisation at the
same recipe. Run: python docs/experiments/norms.py DATA
"""

from __future__ import annotations

import json
from pathlib import Path

from runs import Experiment, experiment, last_mean, machine, save_plot, smooth

SEEDS = (1, 2, 3)
RECIPE = (
    *("--width", 16, "--steps", 300, "--batch-size", 4, "--image-size", 128),
    *("--style-weight", 5, "--style-size", 256, "--checkpoint-every", 300),
)


def train(run: Experiment, norm: str, seed: int) -> Path:
    """One training run."""
    style = run.data / "styles" / "wave.jpg"
    return run.train(
        f"norm-{norm}-{seed}",
        *("style", style, "--content", run.photos(), "--norm", norm, "--seed", seed),
        *RECIPE,
    )


def main() -> None:
    """Train both on every seed and draw them."""
    import matplotlib.pyplot as plt

    run = experiment(__doc__ or "")
    figure, axes = plt.subplots(figsize=(7, 4))
    rows = []
    for seed in SEEDS:
        row: dict[str, object] = {"seed": seed}
        for norm, color in (("instance", "tab:blue"), ("batch", "tab:orange")):
            totals = [line["total"] for line in run.metrics(train(run, norm, seed))]
            label = f"{norm} normalisation" if seed == SEEDS[0] else None
            axes.plot(smooth(totals), color=color, alpha=0.8, linewidth=1.2, label=label)
            row[norm] = round(last_mean(totals), 4)
        rows.append(row)
    axes.set(xlabel="step", ylabel="training objective (mean of 25 steps)", yscale="log")
    axes.legend()
    axes.grid(alpha=0.3, which="both")
    print(json.dumps({"machine": machine(), "objective of the last 50 steps": rows}, indent=1))
    print(save_plot(figure, "experiment-norms.png"))


if __name__ == "__main__":
    main()
