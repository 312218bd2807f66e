"""`nst styles fit`."""

from __future__ import annotations

from jobs.cli import console, options
from jobs.cli.spec_options import Looks, from_specifications
from jobs.specs.fitting import FitStyle
from nst_core.checkpoints.fitted import PREVIEW_SUFFIX, find_fitted
from nst_core.errors import InputError
from nst_core.wording import counted, quoted

_LOOKS: Looks = {
    **options.LOOKS,
    "painting": {"metavar": "PICTURE"},
    "fit_steps": {"names": ("--fit-steps", "--steps"), "metavar": "N"},
    "loss_network_weights": {"envvar": "NST_LOSS_NETWORK_WEIGHTS"},
    "device": {},
    "calibrate": {"names": ("--calibrate/--no-calibrate",)},
}


@from_specifications(_LOOKS, argument="painting")
def fit(job: FitStyle, json: options.Json = False) -> None:
    """Fit a style to a painting, in about a minute, so that `--style` has it at once.

    Example: nst styles fit painting.jpg --name mine --content holiday-photos
    """
    known = find_fitted(job.name or str(job.painting))
    if known is not None and not job.overwrite:
        if job.name:
            raise InputError(f"--name {job.name}: there is such a style; --overwrite replaces it")
        console.hint(f"fitted before, in {counted(known.steps, 'steps')}; --overwrite: once more")
    else:
        with console.shown_progress() as show:
            from jobs.fitting.fit import fit_style

            fit_style(job, show)
    found = find_fitted(job.name or str(job.painting))
    assert found is not None
    preview = found.path.with_suffix(PREVIEW_SUFFIX)
    if json:
        fields = {"name": found.name, "path": str(found.path), "preview": str(preview)}
        console.print_json(fields | {"steps": found.steps, "losses": found.training["losses"]})
        return
    name = quoted(found.name if found.is_named else job.painting)
    console.say(f"{name}: apply it with --style {name}; how it looks: {preview}")
