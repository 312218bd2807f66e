"""How pictures are stylized, whichever they are: what was asked for, checked at birth.

Nothing heavy is imported here, so that the command line can show the defaults at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nst_core.checks import check_at_least, check_mask_style, check_max_side, check_seed
from nst_core.engines.names import Tile
from nst_core.errors import InputError
from nst_core.pictures.formats import MAX_PIXELS

FormatChoice = Literal["same", "png", "jpeg", "webp"]
ManifestChoice = Literal["jsonl", "csv", "parquet", "none"]


@dataclass(frozen=True, kw_only=True)
class PictureSettings:
    """How pictures are computed, encoded, named and kept."""

    styles_per_image: int | None = None
    """How many of several styles each picture gets, by chance; default all."""
    seed: int = 0
    """Seed of that choice, and of the noise of texture networks."""
    format: FormatChoice = "same"
    """Format of the pictures written; ``same``: as the source's ending says."""
    quality: int = 95
    """Quality of JPEG, WebP and AVIF, 1 to 100."""
    max_side: int | None = None
    """Shrink so that the longer side has at most N pixels."""
    mask: str | None = None
    """Picture, white where the style is seen; or a folder with one of each input's name."""
    mask_style: str | None = None
    """Style where the mask is black; default the source as it is."""
    max_pixels: int = MAX_PIXELS
    """Refuse larger pictures before decoding them."""
    tile: Tile = "auto"
    """Compute pictures of more than N x N pixels in pieces, without seams.

    ``auto`` chooses N."""
    refine: int = 0
    """Iterations of L-BFGS from the generator's picture: slow, closer to the painting.

    On the objective of its training; 0: none."""
    refine_styles: tuple[Path, ...] = ()
    """The painting that the style was trained on; one for each --style."""
    sheet: bool = False
    """Write sheet.jpg: a sample, before and after."""
    report: Path | None = None
    """Write the report, as JSON, to this file too."""
    resume: bool = True
    """Use what an earlier, interrupted run has finished."""
    overwrite: bool = False
    """Replace an existing output."""

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise InputError(f"--quality {self.quality}: 1 to 100 is allowed; try 95")
        if isinstance(self.tile, int) and self.tile < 64:
            raise InputError(f"--tile {self.tile}: auto, off, or at least 64 pixels are allowed")
        check_at_least(0, "--refine", self.refine)
        if self.refine_styles and not self.refine:
            raise InputError("--refine-style without --refine: add --refine 25")
        if self.refine and isinstance(self.tile, int):
            raise InputError("--refine with --tile: refined pictures are computed whole; use one")
        check_at_least(1, "--max-pixels", self.max_pixels)
        check_seed(self.seed)
        check_max_side(self.max_side)
        check_mask_style(self.mask, self.mask_style)


@dataclass(frozen=True, kw_only=True)
class DatasetSettings(PictureSettings):
    """How many pictures are kept account of, beside how each is made."""

    manifest: ManifestChoice | None = None
    """Write manifest.jsonl: source, style, split, seed and hashes of each output; default: where
    report.json is written."""
    split: str = ""
    """Splits that the manifest tells, by chance: train=0.8,val=0.1,test=0.1; default those that
    folders are called."""
    annotations: str | None = None
    """Annotations of the pictures, COCO's or VOC's, to be written anew for the outputs: a file or
    a folder."""
    max_failures: int | str | None = None
    """End the run once more than N pictures, or P % of all, have failed."""

    shard_pictures: int = 1000
    """Most pictures in a tar shard, where -o is one: out/data-%06d.tar."""
    shard_megabytes: int = 1000
    """Most megabytes of sources for a shard."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(1, "--shard-pictures", self.shard_pictures)
        check_at_least(1, "--shard-megabytes", self.shard_megabytes)
        self.most_failures(0)
        split_parts(self.split)

    def most_failures(self, total: int) -> int | None:
        """Return how many of ``total`` pictures may fail; None: all of them."""
        if self.max_failures is None:
            return None
        number, percent, rest = str(self.max_failures).partition("%")
        if not number.isdecimal() or rest or (percent and int(number) > 100):
            raise InputError(
                f"--max-failures {self.max_failures}: a number of pictures or 0% to 100% is needed"
            )
        return total * int(number) // 100 if percent else int(number)


def split_parts(text: str) -> dict[str, float]:
    """Read ``--split``: shares by name, which sum to 1. Raises InputError."""
    parts: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, number = (each.strip() for each in part.partition("="))
        try:
            parts[name] = float(number)
        except ValueError:
            parts[name] = -1.0
    total = sum(parts.values())
    if text and not (all(0 <= share < math.inf for share in parts.values()) and total > 0):
        raise InputError(f"--split {text}: try the form train=0.8,val=0.1,test=0.1")
    return {name: share / total for name, share in parts.items()}


@dataclass(frozen=True)
class PicturesToStylize(DatasetSettings):
    """Which pictures are stylized, where they go, and how."""

    sources: tuple[str, ...]
    """Pictures, folders of them, globs, lists of them (.txt); paths or URIs."""
    output: str
    """The folder to write into, or its URI; for a single picture also its name.

    See ``image_output``."""
