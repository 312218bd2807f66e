"""Places of loudspeakers for sound whose source tells their number only."""

from __future__ import annotations

from av.audio.layout import AudioLayout

_USUAL = ("mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")
"""FFmpeg's own for 1 to 8 channels: some muxers want to be told one."""


def told_layout(layout: AudioLayout) -> AudioLayout:
    """The layout itself, or the usual one of as many channels where it is not told."""
    count = layout.nb_channels
    if layout.name == f"{count} channels" and 1 <= count <= len(_USUAL):
        return AudioLayout(_USUAL[count - 1])
    return layout
