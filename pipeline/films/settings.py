"""How films are stylized, whichever they are: what was asked for, checked at birth.

Nothing heavy is imported here, so that the command line can show the defaults at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from nst_core.checks import check_mask_style, check_max_side
from nst_core.errors import InputError
from pipeline.films.span import Span, span_of

CodecChoice = Literal["h264", "hevc", "av1", "vp9", "ffv1", "prores"]
EncoderKind = Literal["software", "nvenc"]
DecoderKind = Literal["auto", "software", "nvdec"]

LONGEST_ALONE = 1.5
"""Maximum length of a film that is one segment, as a multiple of the length asked for."""
_MOST_FPS = 1000


@dataclass(frozen=True, kw_only=True)
class FilmSettings:
    """How films are cut, encoded and kept."""

    start: Fraction | None = None
    """Where the part of each film begins that is done, as 12.5 or 1:02:03.5."""
    end: Fraction | None = None
    """Where it ends, likewise; the frame shown at this time is no part of it."""
    duration: Fraction | None = None
    """How long it is, instead of --end."""
    fps: Fraction | None = None
    """Pictures of a second, where a film is numbered pictures; default 24.

    Nothing else: a file has its own times."""
    coherence: float = 0.0
    """How much each frame follows the one before it, against flicker; 0.7 is much, 0 is not at all.

    See nst_core/coherence.py."""
    mask: Path | None = None
    """Picture or film, white where the style is seen; or a folder with one of each input's name."""
    mask_style: str | None = None
    """Style where the mask is black; default the source as it is."""
    timeline: Path | None = None
    """File that says from when to when a film is in which style: 00:12-00:31 style=wave fade=1.

    See pipeline/looks/timeline.py."""
    segment_seconds: float = 5.0
    """Length of the pieces that workers take; less at a film's end."""
    segment_deadline: float = 1800.0
    """Seconds after which a worker that still has the same piece is replaced.

    As many times that as it has pieces in work at once."""
    codec: CodecChoice | None = None
    """Default: what the container usually holds."""
    crf: int | None = None
    """Rate factor; lower is better.

    None: see encoders.py, as for the preset."""
    preset: str | None = None
    """Speed preset of the encoder."""
    encoder: EncoderKind = "software"
    """`nvenc`: h264, hevc and av1 by the graphics card, where it can."""
    decoder: DecoderKind = "auto"
    """`nvdec`: by the graphics card, or not at all; `auto`: by the one that computes, where it can.

    Frames are those of software, or software decodes. See pipeline/segments/card_decoder.py."""
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

    @property
    def span(self) -> Span | None:
        """The part of each film that is done; None: all of it. Raises InputError."""
        return span_of(self.start, self.end, self.duration)

    def __post_init__(self) -> None:
        span_of(self.start, self.end, self.duration)
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
        if self.fps is not None and not 0 < self.fps <= _MOST_FPS:
            raise InputError(f"--fps {self.fps}: more than 0 and at most {_MOST_FPS} is allowed")
        if not 0 <= self.coherence < 1:
            raise InputError(
                f"--coherence {self.coherence:g}: from 0 to below 1 is allowed; try 0.7"
            )
        check_mask_style(self.mask or self.timeline, self.mask_style)


DEFAULTS = FilmSettings()
