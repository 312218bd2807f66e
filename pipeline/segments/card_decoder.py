"""NVDEC, the decoder of NVIDIA's graphics cards, as PyAV opens it.

Its frames come into memory as nv12 or p010le; frames.py stores them as it does software's.
"""

from __future__ import annotations

import sys
from typing import cast

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

from nst_core.errors import EnvironmentProblem, InputError
from pipeline.source.source_video import VideoStreamInfo

_DECODERS = {"h264": "h264", "hevc": "hevc", "vp8": "vp8", "vp9": "vp9", "libdav1d": "av1"}
"""Codecs whose every decoder must give the same samples, with FFmpeg's decoder of each. Those of
MPEG-2 and MPEG-4 may differ a little, and differ more from frame to frame."""
_PIXEL_FORMATS = ("yuv420p", "yuvj420p", "yuv420p10le")


class CardError(EnvironmentProblem):
    """The graphics card does not decode this; the words say why."""

    def as_demanded(self) -> InputError:
        """Return the error of a film that only a card was to decode."""
        return InputError(f"--decoder nvdec: {self}; leave it out")


def open_card_decoder(stream: VideoStreamInfo) -> av.VideoCodecContext:
    """Make a decoder on the first card that is visible. Raises CardError.

    Whether the card decodes the stream is known once packets have gone in.
    """
    if stream.codec not in _DECODERS or stream.pixel_format not in _PIXEL_FORMATS:
        raise CardError(
            "NVDEC is used for H.264, HEVC, VP8, VP9 and AV1 in 4:2:0 of 8 or 10 bits, not for "
            f"{stream.codec} in {stream.pixel_format}"
        )
    if "cuda" not in hwdevices_available():
        raise CardError("this build of FFmpeg has no NVDEC")
    hwaccel = HWAccel("cuda", allow_software_fallback=False, options=_context_options())
    try:
        context = av.VideoCodecContext.create(_DECODERS[stream.codec], "r", hwaccel)
    except (av.FFmpegError, NotImplementedError) as error:
        raise CardError(f"no NVIDIA card, or no driver for it, opens here ({error})") from error
    if not context.is_hwaccel:
        raise CardError(f"this build of FFmpeg does not decode {stream.codec} by NVDEC")
    context.thread_count = 1  # the card's own are many
    return cast("av.VideoCodecContext", context)


def _context_options() -> dict[str, object]:
    """Have FFmpeg use torch's CUDA context, where torch has one in this process.

    It takes the current one of this thread, for the primary one it refuses: torch has made that
    with other flags. A context for each decoder would take some hundred megabytes and turns.
    """
    cuda = sys.modules.get("torch.cuda")
    is_initialized = getattr(cuda, "is_initialized", None)  # another thread may be importing it
    if cuda is None or is_initialized is None or not is_initialized():
        return {}
    cuda.mem_get_info()  # a call of CUDA's runtime, after which this thread has a context
    return {"current_ctx": "1"}
