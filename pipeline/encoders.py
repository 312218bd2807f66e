"""Which encoder writes which container, and with what settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nst_core.errors import InputError

os.environ.setdefault("SVT_LOG", "1")  # errors only: SVT-AV1 writes pages to stderr by itself

Codec = Literal["h264", "hevc", "av1", "vp9", "ffv1", "prores"]


@dataclass(frozen=True)
class Container:
    """A file format that videos are written in."""

    format: str
    """FFmpeg's name of the muxer."""
    codecs: tuple[Codec, ...]
    """What it may hold; the first is the default."""


CONTAINERS: dict[str, Container] = {
    ".mp4": Container("mp4", ("h264", "hevc", "av1", "vp9")),
    ".m4v": Container("mp4", ("h264", "hevc")),
    ".mov": Container("mov", ("h264", "hevc", "prores")),
    ".mkv": Container("matroska", ("h264", "hevc", "av1", "vp9", "ffv1", "prores")),
    ".webm": Container("webm", ("vp9", "av1")),
}


@dataclass(frozen=True)
class EncoderSettings:
    """One encoder, fully chosen: the same for every segment of a video."""

    codec: Codec
    encoder: str
    """FFmpeg's name."""
    pixel_format: str
    piece_format: str
    """FFmpeg's muxer for the piece of one segment: one that keeps the codec's packets."""
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class OutputFrame:
    """Size and encoder of the frames to write."""

    width: int
    """Of the encoded picture: even where the encoder needs it."""
    height: int
    shown_width: int
    """Of the stylized picture; what is beyond repeats its last column."""
    shown_height: int
    encoder: EncoderSettings
    scale: int = 1
    """How many times wider and higher the stylized picture is than what the network takes."""

    @property
    def taken_size(self) -> tuple[int, int]:
        """Width and height of the frames that the network takes."""
        return self.shown_width // self.scale, self.shown_height // self.scale


_DEFAULT_CRF: dict[Codec, int] = {"h264": 18, "hevc": 20, "av1": 28, "vp9": 28}
_LARGEST_CRF: dict[Codec, int] = {"h264": 51, "hevc": 51, "av1": 63, "vp9": 63}
_DEFAULT_PRESET: dict[Codec, str] = {"h264": "fast", "hevc": "fast", "av1": "8"}
_X26X_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
_PRESETS: dict[Codec, tuple[str, ...]] = {
    "h264": _X26X_PRESETS,
    "hevc": _X26X_PRESETS,
    "av1": tuple(str(number) for number in range(14)),
    "vp9": tuple(str(number) for number in range(9)),  # libvpx calls it cpu-used
    "ffv1": (),
    "prores": tuple(str(number) for number in range(6)),  # the profile: proxy to 4444 XQ
}
_ENCODERS: dict[Codec, str] = {
    "h264": "libx264",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "ffv1": "ffv1",
    "prores": "prores_ks",
}
_CODECS_WITH_ODD_SIZES = frozenset({"vp9", "ffv1"})
_PIXEL_FORMATS: dict[Codec, str] = {"prores": "yuv422p10le"}


def container_for(path: Path) -> Container:
    """Choose the container that the output's name asks for. Raises InputError."""
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise InputError(
            f"output {path}: the ending {path.suffix or '(none)'} names no video format written "
            f"here; use one of {', '.join(CONTAINERS)}"
        )
    return container


def choose_encoder(
    path: Path, *, codec: Codec | None = None, crf: int | None = None, preset: str | None = None
) -> EncoderSettings:
    """Settings for an output file; None stands for the default. Raises InputError."""
    container = container_for(path)
    chosen = codec or container.codecs[0]
    if chosen not in container.codecs:
        raise InputError(
            f"--codec {chosen}: {path.suffix} holds {', '.join(container.codecs)}; "
            "choose one of them, or name the output .mkv"
        )
    if preset is not None and preset not in _PRESETS[chosen]:
        allowed = ", ".join(_PRESETS[chosen]) or "none: leave it out"
        raise InputError(f"--preset {preset}: for {chosen} there is {allowed}")
    options = _options(chosen, crf, preset)
    return EncoderSettings(
        codec=chosen,
        encoder=_ENCODERS[chosen],
        pixel_format=_PIXEL_FORMATS.get(chosen, "yuv420p"),
        piece_format="mov" if chosen == "prores" else "nut",
        options=tuple(options.items()),
    )


def _options(codec: Codec, crf: int | None, preset: str | None) -> dict[str, str]:
    """Closed GOPs, one thread (the bytes must not depend on the machine), equal headers."""
    quality = str(_DEFAULT_CRF.get(codec, 0) if crf is None else crf)
    speed = preset or _DEFAULT_PRESET.get(codec, "")
    if crf is not None and codec not in _LARGEST_CRF:
        raise InputError(f"--crf {crf}: {codec} has no rate factor; leave it out")
    if crf is not None and not 0 <= crf <= _LARGEST_CRF[codec]:
        raise InputError(
            f"--crf {crf}: {codec} takes 0 (best) to {_LARGEST_CRF[codec]}; "
            f"try {_DEFAULT_CRF[codec]}"
        )
    match codec:
        case "h264":
            return {"preset": speed, "crf": quality, "x264-params": "stitchable=1:open-gop=0"}
        case "hevc":
            parameters = "log-level=none:open-gop=0:pools=none:frame-threads=1"
            return {"preset": speed, "crf": quality, "x265-params": parameters}
        case "av1":
            return {"preset": speed, "crf": quality, "svtav1-params": "lp=1"}
        case "vp9":
            options = {"crf": quality, "b": "0", "deadline": "good", "cpu-used": speed or "4"}
            return options | {"row-mt": "0", "lag-in-frames": "16"}
        case "ffv1":
            return {"level": "3", "g": "1"}
        case "prores":
            return {"profile": speed or "3"}


def output_frame(
    width: int,
    height: int,
    encoder: EncoderSettings,
    *,
    max_side: int | None = None,
    scale: int = 1,
) -> OutputFrame:
    """Size of the frames to write for a source of width x height pixels.

    ``max_side`` shrinks what the network takes; it comes out ``scale`` times larger.
    """
    if max_side is not None and max(width, height) > max_side:
        factor = max_side / max(width, height)
        width, height = (max(2, round(side * factor)) for side in (width, height))
    width, height = width * scale, height * scale
    even = 0 if encoder.codec in _CODECS_WITH_ODD_SIZES else 1
    return OutputFrame(
        width=width + (width & even),
        height=height + (height & even),
        shown_width=width,
        shown_height=height,
        encoder=encoder,
        scale=scale,
    )
