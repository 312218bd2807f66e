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
    """Length of the segments that workers take; those at a film's end are shorter."""
    segment_deadline: float = 1800.0
    """Seconds after which a worker that still has the same segment is taken to hang."""
    codec: CodecChoice | None = None
    """None: what the container is usually filled with."""
    crf: int | None = None
    """Constant rate factor of the encoder; lower is better and larger. None: see encoders.py."""
    preset: str | None = None
    """Speed preset of the encoder. None: see encoders.py."""
    encoder: EncoderKind = "software"
    """``nvenc``: the graphics card's own encoder, where it has one."""
    tonemap: bool = False
    """Bring a high dynamic range down to the standard one."""
    max_side: int | None = None
    """Shrink so that the longer side has at most this many pixels."""
    work_dir: Path | None = None
    """Where finished segments are kept until the output is whole; None: beside the output."""
    resume: bool = True
    """Use the finished segments, and the finished films, of an earlier run."""
    allow_damaged: bool = False
    """Exit 0 though frames are missing."""
    allow_left_out: bool = False
    """Whether sound, subtitles and other films that the output cannot hold may be left out."""
    overwrite: bool = False
    """Replace outputs that are there."""

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
