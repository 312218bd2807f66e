"""Which style is asked for, and how it is to be computed and applied; checked at birth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from nst_core.checks import check_stroke
from nst_core.engines.names import DeviceChoice, EngineChoice, PrecisionChoice
from nst_core.errors import InputError
from nst_core.strokes import StrokeChoice

if TYPE_CHECKING:
    from nst_core.checkpoints.library import Style

ApplyingCommand = Literal["stylize", "upscale"]


@dataclass(frozen=True)
class StyleSpec:
    """Which style, and how it is computed and applied."""

    style: str
    """Name of a bundled style, ``identity``, or the path of a checkpoint."""
    strength: float = 1.0
    """0 gives the source, 1 the stylized picture; between them the two are blended."""
    keep_colors: bool = False
    """Take luma from the stylized picture and chroma from the source."""
    engine: EngineChoice = "auto"
    device: DeviceChoice = "auto"
    precision: PrecisionChoice = "auto"
    command: ApplyingCommand = "stylize"
    """Which kind of checkpoint is meant: ``upscale`` takes super-resolution networks."""
    match_histogram: bool = False
    """Give every output the histogram of its source (Johnson et al. 2016, section 4.2)."""
    stroke: float | None = None
    """How many times wider than in proportion to the picture strokes are; None: as 1."""
    noise: float | None = None
    """What the noise of a texture network is multiplied by; None: as in training."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            percent = f"; {self.strength:g} percent is {self.strength / 100:g}"
            raise InputError(
                f"--strength {self.strength:g}: a number from 0 to 1 is needed"
                + (percent if 2 <= self.strength <= 100 else "")
            )
        if self.stroke is not None:
            check_stroke(self.stroke)
        if self.noise is not None and not 0 <= self.noise <= 100:
            raise InputError(f"--noise {self.noise:g}: 0 to 100 is allowed; 1 is as in training")
        if self.command == "upscale" and (self.strength != 1 or self.keep_colors):
            raise InputError(
                "--strength and --keep-colors mix a picture with its source, and an upscaled one "
                "is larger than that; leave them out"
            )

    def strokes_of(self, style: Style) -> StrokeChoice:
        """How wide the strokes of the style found are in a picture of any size."""
        return StrokeChoice(style.strokes, float(self.stroke or 1))

    def options_for(self, style: Style) -> dict[str, Any]:
        """All that decides how the style found is applied, without the name: its file may move."""
        options = asdict(self) | {"stroke": self.strokes_of(style).factor}
        del options["style"]
        return options
