"""Fitting a painting as a style: what was asked for, checked at birth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nst_core.checkpoints.fitted import SEPARATORS, without_separators
from nst_core.checkpoints.library import IDENTITY, bundled_packs, bundled_styles
from nst_core.checkpoints.style_spec import FIT_STEPS, check_fit_steps
from nst_core.engines.names import DeviceChoice
from nst_core.errors import InputError
from nst_core.wording import quoted


@dataclass(frozen=True, kw_only=True)
class FitStyle:
    """Fit the bundled network's normalisations to a painting: a style of one's own in a minute."""

    painting: Path
    """The picture whose style is learnt."""
    content: tuple[str, ...] = ()
    """Pictures or films to fit on, best those to be stylized: files, folders, globs, URIs.

    None: the scene of the demo."""
    name: str | None = None
    """What `--style` calls it from now on; without, the picture's file stands for it."""
    fit_steps: int = FIT_STEPS
    """Optimisation steps."""
    loss_network_weights: Path | None = None
    """Weights of the VGG that judges; default those at hand."""
    device: DeviceChoice = "auto"
    """Where it computes."""
    calibrate: bool = True
    """Calibrate for 8 bits at the end, so that CPUs compute films faster."""
    overwrite: bool = False
    """Fit it again, and replace what there is."""

    def __post_init__(self) -> None:
        check_fit_steps(self.fit_steps)
        if self.name is not None and (
            not self.name or self.name.startswith(".") or self.name != without_separators(self.name)
        ):
            raise InputError(
                f"--name {quoted(self.name)}: a word without {' '.join(SEPARATORS)} is needed, "
                "which mean something else in --style"
            )
        if self.name in (*bundled_styles(), *bundled_packs(), IDENTITY):
            raise InputError(f"--name {self.name}: a bundled style; choose another name")
