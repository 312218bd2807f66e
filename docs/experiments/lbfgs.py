"""Experiment (c): how many iterations of L-BFGS one forward pass of a generator is worth.

Johnson et al. 2016: on unseen pictures, 50 to 100. Run: python docs/experiments/lbfgs.py DATA
"""

from __future__ import annotations

import json
from typing import Any

from runs import Experiment, experiment, machine, nst, save_plot

from nst_core.style_library import bundled_styles, find_style

ITERATIONS = 100


def main() -> None:
    """Evaluate the bundled styles on photographs they have not seen; print and draw the curves."""
    import matplotlib.pyplot as plt

    run = experiment(__doc__ or "")
    figure, axes = plt.subplots(figsize=(7, 4))
    reports = {style: _evaluated(run, style) for style in bundled_styles()}
    for number, (style, report) in enumerate(reports.items()):
        iterations = [int(i) for i in report["lbfgs"]]
        color = f"C{number}"
        axes.plot(iterations, list(report["lbfgs"].values()), marker="o", color=color, label=style)
        axes.axhline(report["generator"]["total"], color=color, linestyle="--")
    axes.set(
        xlabel="iterations of L-BFGS from the content image; dashed: one forward pass",
        ylabel=f"objective, mean of {report['images']} photographs",
        yscale="log",
    )
    axes.legend()
    axes.grid(alpha=0.3, which="both")
    print(json.dumps({"machine": machine()} | reports, indent=1))
    print(save_plot(figure, "experiment-lbfgs.png"))


def _evaluated(run: Experiment, style: str) -> dict[str, Any]:
    report_file = run.work / f"lbfgs-{style}-{find_style(style).fingerprint[:8]}.json"
    if not report_file.exists():
        arguments = (
            *("--checkpoint", style, "--content", run.data / "sr" / "Set5", "--mixed-precision"),
            *("--style", run.data / "styles" / f"{style}.jpg"),
            *("--against-iterations", ITERATIONS, "--threads", run.threads),
            *("--device", "cpu", "--json"),
        )
        report_file.write_text(nst("evaluate", *arguments, *run.loss_network))
    report: dict[str, Any] = json.loads(report_file.read_text())
    return report


if __name__ == "__main__":
    main()
