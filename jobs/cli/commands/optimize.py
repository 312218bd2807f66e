"""`nst optimize`."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

from jobs.cli import console, options
from jobs.cli.spec_options import Looks, from_specifications
from jobs.cli.training import recipes
from jobs.cli.training.options import OBJECTIVE_LOOKS, WEIGHT
from jobs.specs.single import Optimize
from nst_core.wording import counted

COMMAND = recipes.RecipeCommand
_LOOKS: Looks = {
    **OBJECTIVE_LOOKS,
    "style_image": {"names": ("--style",), "metavar": "IMAGE"},
    "init": {"metavar": "content|noise|generator[:STYLE]"},
    "style_weight": WEIGHT | {"help": "With --scaling gatys 1000 or more is needed."},
    "seed": {"help": "Of the noise that --init noise begins with."},
}


@from_specifications(
    _LOOKS,
    argument="content",
    without="lattice_weight shading_weight palette_weight normalized_gradients balanced",
)
def optimize(
    job: Optimize,
    recipe: recipes.OfOptimize = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Stylize one picture by optimising its pixels: slow, for any style (Gatys et al. 2016).

    Example: nst optimize photo.jpg --style wave.jpg -o photo-wave.png
    """
    if dry_run:
        from jobs.cli.planning.words import show_plan
        from jobs.planning.optimization import plan_optimization

        show_plan(partial(plan_optimization, job), json=json)
        return
    from jobs.applying.optimize import optimize as run

    with console.shown_progress() as show:
        report = run(job, show)
    console.report(asdict(report), as_json=json)
    if json:
        return
    losses = ", ".join(
        f"{name} {report.losses_before[name]:.4g} -> {value:.4g}"
        for name, value in report.losses.items()
    )
    console.say(
        f"{report.output}: {report.method} from {report.init}, {counted(report.steps, 'steps')}, "
        f"{report.seconds:.1f} s, {losses}"
    )
