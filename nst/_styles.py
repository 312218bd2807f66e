"""Styles: found, fitted to a painting, trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.specs.applying import PoolSpec
from jobs.specs.fitting import FitStyle
from jobs.specs.flat import Given
from jobs.specs.training import PresetChoice, TrainStyle, checkpoint_to_extend, preset_values
from nst._keywords import by_keywords
from nst_core.checkpoints.fitted import find_fitted
from nst_core.checkpoints.library import Style, find_style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError
from pipeline.work.progress import OnProgress, ignore_progress

if TYPE_CHECKING:
    from jobs.training.train import TrainingReport


@by_keywords(
    "style",
    without="strength strengths keep_colors engine precision command match_histogram stroke noise",
)
def load_style(
    spec: StyleSpec,
    *,
    content: str | Path | Iterable[str | Path] = (),
    on_progress: OnProgress = ignore_progress,
) -> Style:
    """Find a style by its name, file or picture; it may travel to machines without that file.

    A picture is fitted now, in a minute, unless it has been before: best to ``content``, the
    pictures or films that are to be stylized. Raises InputError, and what `fit_style` raises.
    """
    from jobs.applying.workers import find_style_for_job

    names = [content] if isinstance(content, str | Path) else content
    return find_style_for_job(spec, PoolSpec(workers=0), [*map(str, names)], on_progress)


@by_keywords("painting content")
def fit_style(job: FitStyle, *, on_progress: OnProgress = ignore_progress) -> Style:
    """Fit a style to a painting, in about a minute, as `nst styles fit` does.

    What was fitted before, without a name, is returned at once. Raises InputError for a name that
    there is (``overwrite`` replaces it), LossNetworkError for weights that are not at hand, and
    TrainingDiverged.
    """
    called = job.name or str(job.painting)
    known = find_fitted(called)
    if known is not None and job.name and not job.overwrite:
        raise InputError(f"--name {job.name}: there is such a style; --overwrite replaces it")
    if known is None or job.overwrite:
        from jobs.fitting.fit import fit_style as run

        run(job, on_progress)
    return find_style(called).with_content()


@by_keywords(
    "style_images content output",
    without="options",
    open_fields="steps image_size learning_rate width style_size style_weight lattice_weight "
    "balanced",
)
def train_style(
    given: Given[TrainStyle],
    *,
    preset: PresetChoice = "balanced",
    on_progress: OnProgress = ignore_progress,
) -> TrainingReport:
    """Train a style's network on photographs, in minutes to hours, as `nst train style` does.

    ``preset`` sets steps, image_size, width and style_size where they are None. With ``resume``,
    repeat the keywords of the run. Raises InputError, EnvironmentProblem and TrainingFailed.
    """
    from jobs.training.train import train

    extend = given.values.get("extend")
    if extend is not None:
        if given.values.get("width") is not None:
            raise InputError("--extend takes the width from the checkpoint; leave out --width")
        extend = checkpoint_to_extend(str(extend))
        given = replace(given, values={**given.values, "extend": extend})
    job = given.build(
        **preset_values(
            preset,
            architecture=given.values.get("architecture", TrainStyle.architecture),
            scaling=given.values.get("scaling", TrainStyle.objective.scaling),
            extends=extend is not None,
        )
    )
    return train(job, on_progress)
