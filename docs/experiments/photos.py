"""Experiment (b): instance normalisation learns a style from 16 photographs.

Ulyanov, Vedaldi and Lempitsky 2017: 16 training images are enough. The objective is compared on
photographs that neither run has seen. Run: python docs/experiments/photos.py DATA
"""

from __future__ import annotations

import json
from pathlib import Path

from runs import Experiment, experiment, last_mean, machine, nst, save_plot, smooth

COUNTS = (16, 380)
RECIPE = (
    *("--width", 16, "--steps", 300, "--batch-size", 4, "--image-size", 128, "--seed", 1),
    *("--style-weight", 5, "--style-size", 256, "--checkpoint-every", 300),
)


def train(run: Experiment, count: int, *options: object) -> Path:
    """One training run on ``count`` photographs."""
    style = run.data / "styles" / "wave.jpg"
    name = "-".join(["photos", str(count), *(str(o).strip("-") for o in options)])
    content = run.photos(None if count == max(COUNTS) else count)
    return run.train(name, "style", style, "--content", content, *RECIPE, *options)


def held_out_objective(run: Experiment, checkpoint: Path) -> dict[str, float]:
    """Content, style and total on the held-out photographs, as `nst evaluate` reports them."""
    arguments = (
        *("--checkpoint", checkpoint, "--content", run.held_out()),
        *("--style", run.data / "styles" / "wave.jpg", "--against-iterations", 1),
        *("--threads", run.threads, "--device", "cpu", "--json"),
    )
    report = json.loads(nst("evaluate", *arguments, *run.loss_network))
    return {name: round(value, 4) for name, value in report["generator"].items()}


def main() -> None:
    """Train on few and on many, evaluate both on the same unseen photographs."""
    import matplotlib.pyplot as plt

    run = experiment(__doc__ or "")
    figure, axes = plt.subplots(figsize=(7, 4))
    rows = []
    for count in COUNTS:
        checkpoint = train(run, count)
        totals = [line["total"] for line in run.metrics(checkpoint)]
        held_out = held_out_objective(run, checkpoint)
        rows.append(
            {"photographs": count, "training": round(last_mean(totals), 4), "held out": held_out}
        )
        label = f"{count} photographs: held out {held_out['total']:.3f}"
        axes.plot(smooth(totals), linewidth=1.2, label=label)
    axes.set(xlabel="step", ylabel="training objective (mean of 25 steps)", yscale="log")
    axes.legend()
    axes.grid(alpha=0.3, which="both")
    print(json.dumps({"machine": machine(), "rows": rows}, indent=1))
    print(save_plot(figure, "experiment-photos.png"))


if __name__ == "__main__":
    main()
