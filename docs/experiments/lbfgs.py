"""How many iterations of L-BFGS one forward pass of a generator is worth, on its own objective.

Johnson et al. 2016, section 4.1: on unseen pictures 50 to 100, at several sizes. All bundled
styles, from the photograph and from noise. Run: python docs/experiments/lbfgs.py DATA
"""

from __future__ import annotations

from typing import Any

from runs import Experiment, experiment, show

from nst_core.checkpoints.library import bundled_styles, find_style

ITERATIONS = 100


def main() -> None:
    """Evaluate the styles on photographs they have not seen; print and draw the curves."""
    import matplotlib.pyplot as plt

    every = ",".join(bundled_styles())
    run = experiment(__doc__, sizes="256,512", init="content,noise", styles=every)
    sizes, starts = run.listed("sizes"), run.listed("init")
    figure, panels = plt.subplots(
        len(sizes), len(starts), figsize=(7 * len(starts), 4 * len(sizes)), squeeze=False
    )
    rows = []
    for size, across in zip(sizes, panels, strict=True):
        for start, axes in zip(starts, across, strict=True):
            for number, style in enumerate(run.listed("styles")):
                report = _evaluated(run, style, size, start)
                _draw(axes, report, style, f"C{number % 10}")
                rows.append(_row(report, style))
            axes.set(title=f"{size} px, from {start}", yscale="log")
            axes.set(xlabel="iterations of L-BFGS; dashed: one forward pass", ylabel="objective")
            axes.legend(fontsize=6)
    show(rows)
    run.save_plot(figure, "experiment-lbfgs.png")


def _draw(axes: Any, report: dict[str, Any], style: str, color: str) -> None:
    iterations = [int(i) for i in report["lbfgs"]]
    axes.plot(iterations, list(report["lbfgs"].values()), marker="o", color=color, label=style)
    axes.axhline(report["generator"]["total"], color=color, linestyle="--")


def _row(report: dict[str, Any], style: str) -> dict[str, object]:
    return {
        "of": f"`{style}`",
        "px": report["image_size"],
        "from": report["init"],
        **{name: report["generator"][name] for name in ("content", "style")},
        "generator": report["generator"]["total"],
        **{f"L-BFGS {i}": total for i, total in report["lbfgs"].items()},
        "one pass is worth": report["equal_iterations"],
        "times faster than 100": report["speed_ratio"],
    }


def _evaluated(run: Experiment, style: str, size: str, start: str) -> dict[str, Any]:
    options = {
        "--checkpoint": style,
        "--content": run.data / "sr" / "Set5",
        "--style": run.painting(style),
        "--against-iterations": ITERATIONS,
        "--image-size": size,
        "--init": start,
        "--max-images": 5,
        "--mixed-precision": True,
        "--threads": run.threads,
        "--device": "cpu",
    }
    name = f"lbfgs-{style}-{find_style(style).fingerprint[:8]}-{size}-{start}"
    return run.report(name, "evaluate", options=options)


if __name__ == "__main__":
    main()
