"""Places of loudspeakers for sound, as far as its source tells them."""

from __future__ import annotations

import ctypes
import re

from av.audio.codeccontext import AudioCodecContext
from av.audio.layout import AudioLayout

_USUAL = ("mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")
"""FFmpeg's own for 1 to 8 channels: some muxers want to be told one."""
_OF_ITS_OWN = re.compile(r"\d+ channels \(")


def layout_of(context: AudioCodecContext) -> AudioLayout:
    """A stream's layout. To be read here alone: PyAV crashes where one is of the file's own.

    Such a layout (7.1 in mov, say) is a list, and each of PyAV's objects for it frees the one that
    the context has. So they are never freed.
    """
    layout = context.layout
    if is_of_its_own(layout):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
    return layout


def is_of_its_own(layout: AudioLayout) -> bool:
    """Whether a layout has an order that FFmpeg has no name for: it must not be set or decoded."""
    return bool(_OF_ITS_OWN.match(layout.name))


def told_layout(layout: AudioLayout) -> AudioLayout:
    """The layout itself, or the usual one of as many channels where it is not told."""
    count = layout.nb_channels
    if layout.name == f"{count} channels" and 1 <= count <= len(_USUAL):
        return AudioLayout(_USUAL[count - 1])
    return layout


def misplaced_in_matroska(context: AudioCodecContext) -> str:
    """What players will take PCM's loudspeakers for that Matroska does not tell; else empty.

    They take the usual ones of as many channels; those at the side for those behind does no harm.
    """
    layout = layout_of(context)
    usual = told_layout(AudioLayout(f"{layout.nb_channels} channels"))
    if layout.name.removesuffix("(side)") in (usual.name, f"{layout.nb_channels} channels"):
        return ""
    return f"{layout.name} is not told by Matroska's PCM: players take it for {usual.name}"
