"""Experiment (c): how many iterations of L-BFGS one forward pass of a generator is worth.

Johnson et al. 2016: on unseen pictures, 50 to 100. Run: python docs/experiments/lbfgs.py DATA
"""

from __future__ import annotations

import json

from runs import experiment, machine, nst, save_plot

STYLE = "wave"
ITERATIONS = 200


def main() -> None:
    """Evaluate a bundled style on the held-out photographs and draw the mean curve."""
    import matplotlib.pyplot as plt

    run = experiment(__doc__ or "")
    report_file = run.work / f"lbfgs-{STYLE}.json"
    if not report_file.exists():
        arguments = (
            *("--checkpoint", STYLE, "--content", run.held_out(), "--mixed-precision"),
            *("--style", run.data / "styles" / f"{STYLE}.jpg"),
            *("--against-iterations", ITERATIONS, "--threads", run.threads),
            *("--device", "cpu", "--json"),
        )
        report_file.write_text(nst("evaluate", *arguments, *run.loss_network))
    report = json.loads(report_file.read_text())
    figure, axes = plt.subplots(figsize=(7, 4))
    iterations = [int(i) for i in report["lbfgs"]]
    axes.plot(iterations, list(report["lbfgs"].values()), marker="o", label="L-BFGS")
    total = report["generator"]["total"]
    axes.axhline(total, color="tab:orange", label=f"generator {STYLE}, one forward pass")
    axes.set(
        xlabel="iterations of L-BFGS from the content image",
        ylabel=f"objective, mean of {report['images']} unseen photographs",
        yscale="log",
    )
    axes.legend()
    axes.grid(alpha=0.3, which="both")
    print(json.dumps({"machine": machine()} | report, indent=1))
    print(save_plot(figure, "experiment-lbfgs.png"))


if __name__ == "__main__":
    main()
