"""The objective over training, instance against batch normalisation, in both generators.

Ulyanov, Vedaldi and Lempitsky 2017 claim that it falls faster with instance normalisation at the
same recipe. Run: python docs/experiments/norms.py DATA
"""

from __future__ import annotations

from runs import experiment, last_mean, metrics, show, smooth


def main() -> None:
    """Train both on every seed and draw them, a plot for each generator."""
    import matplotlib.pyplot as plt

    run = experiment(__doc__, generators="johnson,texture", seeds="1,2,3")
    rows = []
    for generator in run.asked["generators"].split(","):
        figure, axes = plt.subplots(figsize=(7, 4))
        for number, seed in enumerate(run.listed("seeds")):
            row: dict[str, object] = {"generator": generator, "seed": seed}
            for norm, color in (("instance", "tab:blue"), ("batch", "tab:orange")):
                checkpoint = run.train_style(generator, norm=norm, seed=seed)
                totals = [line["total"] for line in metrics(checkpoint)]
                label = None if number else f"{norm} normalisation"
                axes.plot(smooth(totals), color=color, alpha=0.8, linewidth=1.2, label=label)
                row[norm] = last_mean(totals)
            rows.append(row)
        axes.set(xlabel="step", ylabel="training objective (mean of 25 steps)", yscale="log")
        axes.set(title=generator)
        axes.legend()
        axes.grid(alpha=0.3, which="both")
        run.save_plot(figure, f"experiment-norms-{generator}.png")
    show(rows)


if __name__ == "__main__":
    main()
