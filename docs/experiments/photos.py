"""Instance normalisation learns a style from 16 photographs, in both generators.

Ulyanov, Vedaldi and Lempitsky 2017: 16 training images are enough. The objective is compared on
photographs that neither run has seen. Run: python docs/experiments/photos.py DATA
"""

from __future__ import annotations

from pathlib import Path

from runs import Experiment, experiment, last_mean, metrics, show, smooth


def main() -> None:
    """Train on few and on all, evaluate both on the same unseen photographs."""
    import matplotlib.pyplot as plt

    run = experiment(__doc__, generators="johnson,texture")
    rows = []
    for generator in run.asked["generators"].split(","):
        figure, axes = plt.subplots(figsize=(7, 4))
        for count in (16, None):
            checkpoint = run.train_style(generator, photos=count, norm="instance", seed=1)
            totals = [line["total"] for line in metrics(checkpoint)]
            held_out = held_out_losses(run, checkpoint)
            photographs = len(list(run.photos(count).iterdir()))
            rows.append(
                {
                    "generator": generator,
                    "photographs": photographs,
                    "training, last 50 steps": last_mean(totals),
                    **{f"held out: {n}": held_out[n] for n in ("content", "style", "total")},
                }
            )
            label = f"{photographs} photographs: held out {held_out['total']:.3f}"
            axes.plot(smooth(totals), linewidth=1.2, label=label)
        axes.set(xlabel="step", ylabel="training objective (mean of 25 steps)", yscale="log")
        axes.set(title=generator)
        axes.legend()
        axes.grid(alpha=0.3, which="both")
        run.save_plot(figure, f"experiment-photos-{generator}.png")
    show(rows)


def held_out_losses(run: Experiment, checkpoint: Path) -> dict[str, float]:
    """Content, style and total on the held-out photographs, as `nst evaluate` reports them."""
    options = {
        "--checkpoint": checkpoint,
        "--content": run.held_out(),
        "--style": run.painting("wave"),
        "--against-iterations": 1,
        "--image-size": 256,
        "--max-images": 20,
        "--threads": run.threads,
        "--device": "cpu",
    }
    losses: dict[str, float] = run.report(
        f"held-out-{checkpoint.stem}", "evaluate", options=options
    )["generator"]
    return losses


if __name__ == "__main__":
    main()
