"""Which style is asked for, and how it is to be computed and applied; checked at birth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nst_core.checks import check_at_least, check_stroke
from nst_core.engines.names import DeviceChoice, EngineChoice, PrecisionChoice
from nst_core.errors import InputError
from nst_core.strokes import StrokeChoice
from nst_core.wording import did_you_mean

if TYPE_CHECKING:
    from nst_core.checkpoints.library import Style

ApplyingCommand = Literal["stylize", "upscale"]

STYLE_SEPARATORS = ":,="
"""They separate styles in ``--style pack:wave=0.7,starry_night=0.3``: no name may have them."""

FIT_STEPS = 60
"""Steps of fitting a painting as a style: a minute on two cores."""
_MOST_FIT_STEPS = 10_000


@dataclass(frozen=True)
class StyleSpec:
    """Which style, and how it is computed and applied."""

    style: str
    """A style (see `nst styles list`), a checkpoint, its address (https://, hf://), identity, or a
    picture, to which a style is fitted in a minute at its first use; several may be given, and the
    outputs' names say which."""
    strength: float = 1.0
    """1 is the full style, 0 the source; between, a blend. In mixtures and for several styles also
    one for each: wave=1,udnie=0.4."""
    strengths: tuple[tuple[str, float], ...] = ()
    """Strengths of single styles by their names; those not named have ``strength``."""
    keep_colors: bool = False
    """Keep the colours of the source.

    Luma is then the stylized picture's, chroma the source's."""
    engine: EngineChoice = "auto"
    """What computes the network."""
    device: DeviceChoice = "auto"
    """Where it computes."""
    precision: PrecisionChoice = "auto"
    """Type of the network's numbers."""
    command: ApplyingCommand = "stylize"
    """Which kind of checkpoint is meant: ``upscale`` takes super-resolution networks."""
    match_histogram: bool = False
    """Give each output the colours of its source, by histogram.

    Johnson et al. 2016, section 4.2."""
    stroke: float | None = None
    """Strokes wider (2) or finer (0.5) than in proportion to the picture; for styles that were
    trained with several sizes."""
    noise: float | None = None
    """Multiply the noise of a texture network: 0 gives what depends on the picture alone, 1 is as
    in training, more varies it more."""
    fit_steps: int | None = None
    """Steps of fitting, where the style is a picture; default 60."""
    loss_network_weights: Path | None = None
    """Weights of the VGG that judges, where a picture is fitted or outputs are refined; default
    those at hand."""

    def __post_init__(self) -> None:
        for strength in (self.strength, *dict(self.strengths).values()):
            _check_strength(strength)
        if self.stroke is not None:
            check_stroke(self.stroke)
        if self.noise is not None and not 0 <= self.noise <= 100:
            raise InputError(f"--noise {self.noise:g}: 0 to 100 is allowed; 1 is as in training")
        if self.fit_steps is not None:
            check_fit_steps(self.fit_steps)
        if self.command == "upscale" and (self.strength != 1 or self.keep_colors):
            raise InputError(
                "--strength and --keep-colors mix a picture with its source, and an upscaled one "
                "is larger than that; leave them out"
            )

    def strokes_of(self, style: Style) -> StrokeChoice:
        """How wide the strokes of the style found are in a picture of any size."""
        return StrokeChoice(style.strokes, float(self.stroke or 1))

    def strength_of(self, style: Style) -> float:
        """How much of the style found there is in a picture: of a mixture, the parts' mean."""
        if not self.strengths:
            return self.strength
        # The one style of a network goes by its file's name too.
        own = {style.name: self.strength} | dict(self.strengths)
        parts = style.mixture or ((style.name, 1.0),)
        return sum(share * own.get(name, own[style.name]) for name, share in parts)

    def options_for(self, style: Style) -> dict[str, Any]:
        """All that decides how the style found is applied, without the name: its file may move."""
        found = {"stroke": self.strokes_of(style).factor, "strength": self.strength_of(style)}
        options = asdict(self) | found
        for name in ("style", "strengths", "fit_steps", "loss_network_weights"):
            del options[name]
        return options


def check_strengths(spec: StyleSpec, styles: Iterable[Style]) -> None:
    """Raise InputError for a strength of a style that is none of those to be applied."""
    names = {name for style in styles for name in (style.name, *dict(style.mixture))}
    for name in dict(spec.strengths):
        if name not in names:
            raise InputError(
                f"--strength {name}=...: none of the styles is called so"
                f"{did_you_mean(name, sorted(names))}; there are {', '.join(sorted(names))}"
            )


def _check_strength(strength: float) -> None:
    if not 0 <= strength <= 1:
        percent = f"; {strength:g} percent is {strength / 100:g}"
        raise InputError(
            f"--strength {strength:g}: a number from 0 to 1 is needed"
            + (percent if 2 <= strength <= 100 else "")
        )


def check_fit_steps(steps: int) -> None:
    """Raise InputError for a number of steps that no style is fitted in."""
    check_at_least(1, "--fit-steps", steps)
    if steps > _MOST_FIT_STEPS:
        raise InputError(
            f"--fit-steps {steps}: {_MOST_FIT_STEPS} at most; `nst train style` trains all of a "
            "network for a painting"
        )
