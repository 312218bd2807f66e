"""The style that a plan is made with: nothing is fitted for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from jobs.applying.workers import find_ready, find_style_for_job
from jobs.specs.applying import PoolSpec
from nst_core.checkpoints.fitted import style_name
from nst_core.checkpoints.library import Style, bundled_packs
from nst_core.checkpoints.style_spec import FIT_STEPS, StyleSpec

_SECONDS_OF_A_FIT_STEP = 1.0


@dataclass(frozen=True)
class FoundStyle:
    """A style, or what stands for one that the run would fit first."""

    style: Style
    painting: str = ""
    """The picture that the run would fit it to."""
    seconds_to_fit: float = 0.0


class _ToBeFitted(Style):
    """A style of the network that is fitted, at its pace, which has made no output yet."""

    @property
    def fingerprint(self) -> str:
        """As of no other style."""
        return "to be fitted"


def style_for_plan(spec: StyleSpec, pool: PoolSpec, *, of_films: bool = False) -> FoundStyle:
    """Find the style of a job; a bundled one stands for what the run would fit to a picture first.

    Raises what find_style_for_job raises.
    """
    if find_ready(spec):
        return FoundStyle(find_style_for_job(spec, pool))
    pack, names = max(bundled_packs().items(), key=lambda each: len(each[1]))
    found = find_style_for_job(replace(spec, style=f"{pack}:{names[0]}"), pool)
    seconds = (spec.fit_steps or FIT_STEPS) * _SECONDS_OF_A_FIT_STEP
    fields = {**vars(found), "name": style_name(Path(spec.style))}
    if found.info and not of_films:  # then it is not calibrated
        fields["info"] = replace(found.info, eight_bit={})
    return FoundStyle(_ToBeFitted(**fields), spec.style, seconds)
