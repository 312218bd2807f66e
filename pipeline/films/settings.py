"""How films are stylized, whichever they are: what was asked for, checked at birth.

Nothing heavy is imported here, so that the command line can show the defaults at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nst_core.checks import check_max_side
from nst_core.errors import InputError

CodecChoice = Literal["h264", "hevc", "av1", "vp9", "ffv1", "prores"]
EncoderKind = Literal["software", "nvenc"]

LONGEST_ALONE = 1.5
"""Maximum length of a film that is one segment, as a multiple of the length asked for."""


@dataclass(frozen=True, kw_only=True)
class FilmSettings:
    """How films are cut, encoded and kept."""

    segment_seconds: float = 5.0
    """Length of the pieces that workers take; less at a film's end."""
    segment_deadline: float = 1800.0
    """Seconds after which a worker that still has the same piece is replaced."""
    codec: CodecChoice | None = None
    """Default: what the container usually holds."""
    crf: int | None = None
    """Rate factor; lower is better.

    None: see encoders.py, as for the preset."""
    preset: str | None = None
    """Speed preset of the encoder."""
    encoder: EncoderKind = "software"
    """`nvenc`: h264, hevc and av1 by the graphics card, where it can."""
    tonemap: bool = False
    """Bring HDR down to the standard range."""
    max_side: int | None = None
    """Shrink so that the longer side has at most N pixels."""
    work_dir: Path | None = None
    """Where finished segments wait; default beside the output."""
    resume: bool = True
    """Use what an earlier, interrupted run has finished."""
    allow_damaged: bool = False
    """Exit 0 though frames are missing."""
    allow_left_out: bool = False
    """Leave out sound, subtitles and other films that the output cannot hold."""
    overwrite: bool = False
    """Replace an existing output."""

    def __post_init__(self) -> None:
        if not 0.1 <= self.segment_seconds <= 3600:
            raise InputError(
                f"--segment-seconds {self.segment_seconds}: 0.1 to 3600 is allowed; try 5"
            )
        if not self.segment_deadline > 0:
            raise InputError(
                f"--segment-deadline {self.segment_deadline}: more than 0 seconds are needed; "
                f"try {FilmSettings.segment_deadline:g}"
            )
        check_max_side(self.max_side)
