"""Films of the folder ``field``, as people brought them, and what must become of each.

Written down by hand: numbers come from a sequential decode of each file through its own container,
never from the program. A row for each film and each kind of output.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Outcome = Literal["done", "damaged", "refused"]


@dataclass(frozen=True)
class FieldFile:
    """One film, what it is made into, and its expected outcome with the program's defaults."""

    name: str
    """Its path in the folder."""
    becomes: str
    """Ending of the output."""
    outcome: Outcome
    frames: int = 0
    """That the film shows; the output must have each of them."""
    copied: int = 0
    """Streams of sound that must arrive byte for byte."""
    converted: int = 0
    """Streams of sound that must arrive sample for sample, and be told of."""
    others: str = ""
    """Codecs of the other streams beside the picture that must arrive, in their order."""
    says: str = ""
    """Words of the refusal, or of a warning."""

    def __post_init__(self) -> None:
        assert (self.outcome == "refused") == (not self.frames)

    @property
    def output(self) -> str:
        """Name of the output in a folder."""
        return f"{Path(self.name).stem}-to{self.becomes}"

    @property
    def is_default(self) -> bool:
        """Whether the ending is the one that an output in a folder gets."""
        suffix = Path(self.name).suffix
        return self.becomes == (suffix if suffix in (".mp4", ".mov", ".gif", ".mkv") else ".mkv")


_SOUND = "01-sound-left-out-exit-0"
_PCM = "04-pcm-in-mov-and-mp4/pcm_2002.mov"
_TWO = "07-second-video-of-a-ts/two.ts"
_CHAPTERS = "10-chapter-pictures/chapter_pictures.mp4"

FIELD_FILES: tuple[FieldFile, ...] = (
    FieldFile(f"{_SOUND}/imaadpcm.avi", ".mkv", "done", 24, copied=1),
    FieldFile(f"{_SOUND}/imaadpcm.avi", ".mp4", "done", 24, converted=1, says="PCM of 16 bits"),
    FieldFile(f"{_SOUND}/wmav2.wmv", ".mkv", "done", 24, copied=1),
    FieldFile(f"{_SOUND}/wmav2.wmv", ".mov", "done", 24, converted=1, says="PCM of 32 bits (fl"),
    FieldFile(f"{_SOUND}/wmav2.wmv", ".webm", "refused", says="--allow-left-out"),
    FieldFile(f"{_SOUND}/lpcm.m2ts", ".mkv", "done", 24, converted=1, says="PCM of 16 bits"),
    FieldFile(f"{_SOUND}/lpcm.m2ts", ".mp4", "done", 24, converted=1, says="PCM of 16 bits"),
    FieldFile("02-xvid-packed-b-frames-lost/packed.avi", ".mkv", "done", 70),
    FieldFile("03-pgs-in-m2ts/film.m2ts", ".mkv", "done", 48, copied=1, others="pgssub"),
    FieldFile("03-pgs-in-m2ts/film.m2ts", ".mp4", "refused", says="--allow-left-out"),
    FieldFile(_PCM, ".mov", "done", 19, copied=1),
    FieldFile(_PCM, ".mp4", "done", 19, copied=1),
    FieldFile(_PCM, ".mkv", "done", 19, copied=1),
    FieldFile("05-sound-that-begins-late/late_aac.ts", ".mkv", "done", 75, copied=1),
    FieldFile("05-sound-that-begins-late/late_aac.ts", ".mp4", "done", 75, copied=1),
    FieldFile("05-sound-that-begins-late/late_mp2.vob", ".mkv", "done", 75, copied=1),
    FieldFile(_TWO, ".mkv", "done", 25, copied=1, others="h264"),
    FieldFile(_TWO, ".mp4", "done", 25, copied=1, others="h264"),
    FieldFile(
        "08-thumbnail-track-first/thumb_first.mkv",
        ".mkv",
        "done",
        25,
        copied=1,
        others="mjpeg",
        says="number 1 (h264, 160x90) is stylized",
    ),
    FieldFile("09-avi-with-dropped-frames/drops.avi", ".mkv", "done", 36),
    FieldFile(_CHAPTERS, ".mp4", "done", 75, copied=1, others="mjpeg"),
    FieldFile(_CHAPTERS, ".mkv", "done", 75, copied=1, others="mjpeg"),
    FieldFile(_CHAPTERS, ".mov", "done", 75, copied=1, others="mjpeg"),
    FieldFile("13-spherical-and-3d-lost/sphere.mp4", ".mp4", "done", 24),
    FieldFile("13-spherical-and-3d-lost/sphere.mp4", ".mov", "done", 24, says="stereo (3D)"),
    FieldFile("14-camera-tags-lost/tags.mov", ".mov", "done", 24),
    FieldFile(
        "16-pixel-aspect-changes/sar.ts", ".mkv", "done", 20, says="pixels change their shape"
    ),
    FieldFile("15-gif-loop-and-last-delay/once.gif", ".gif", "done", 5),
    FieldFile("19-encrypted-mp4/drm.mp4", ".mp4", "refused", says="encrypted (encv)"),
)
