"""Specification of `nst preview`: values checked, nothing looked up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nst_core.checks import check_at_least, check_mask_style, check_pixels, check_stroke
from nst_core.engines.names import DeviceChoice
from nst_core.errors import InputError

SHEET_SUFFIXES = (".png", ".jpg", ".jpeg")
PAGE_SUFFIXES = (".html", ".htm")
_MOST_FRAMES = 100


@dataclass(frozen=True)
class Preview:
    """Show frames of films, and pictures, in several styles."""

    inputs: tuple[str, ...]
    """Videos and pictures: files, folders, globs in quotes."""
    output: Path = Path("preview.png")
    """A sheet (.png, .jpg) or a page (.html), with a slider between before and after."""
    styles: tuple[str, ...] = ()
    """Styles to show, as `nst stylize` takes them, pictures too; default all that are bundled.
    Repeatable.

    With a timeline: as that says."""
    frames: int = 4
    """How many frames of each film, and pictures of each folder."""
    at: tuple[str, ...] = ()
    """Frame at this time instead: seconds, or a timecode such as 1:02:03.5. Repeatable."""
    strokes: tuple[float, ...] = ()
    """Sizes of strokes to show beside each other, such as 0.5,1,2."""
    strengths: tuple[float, ...] = ()
    """Strengths to show beside each other, such as 0.5,1."""
    keep_colors: bool = False
    """Keep the colours of the source."""
    mask: Path | None = None
    """Picture or film, white where the style is seen; or a folder with one of each input's name."""
    mask_style: str | None = None
    """Style where the mask is black; default the source as it is."""
    timeline: Path | None = None
    """File that says from when to when films are in which style: their frames are shown so."""
    max_side: int = 640
    """Longer side of what is stylized, in pixels."""
    device: DeviceChoice = "auto"
    """Where it computes."""
    fit_steps: int | None = None
    """Steps of fitting, where a style is a picture; default 60."""
    loss_network_weights: Path | None = None
    """Weights of the VGG that judges, where a picture is fitted; default those at hand."""
    overwrite: bool = False
    """Replace an existing output."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise InputError("no input: name at least one video, picture or folder")
        if self.output.suffix.lower() not in (*SHEET_SUFFIXES, *PAGE_SUFFIXES):
            raise InputError(
                f"-o {self.output}: the ending says what is written; use .png or .jpg for a sheet, "
                ".html for a page"
            )
        check_at_least(1, "--frames", self.frames)
        if self.frames > _MOST_FRAMES:
            raise InputError(f"--frames {self.frames}: at most {_MOST_FRAMES} are shown")
        check_pixels("--max-side", self.max_side)
        check_mask_style(self.mask or self.timeline, self.mask_style)
        for stroke in self.strokes:
            check_stroke(stroke)
        for strength in self.strengths:
            if not 0 <= strength <= 1:
                raise InputError(f"--strengths {strength:g}: numbers from 0 to 1 are needed")

    @property
    def is_page(self) -> bool:
        """Whether a page is written, no sheet."""
        return self.output.suffix.lower() in PAGE_SUFFIXES
