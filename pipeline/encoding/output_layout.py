"""Bit depth, chroma and alpha of an output: what its codec is given for the source's."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from nst_core.color.yuv_encoding import FLOAT_DEPTH, Subsampling
from pipeline.films.settings import CodecChoice
from pipeline.source.pixel_formats import PlaneLayout

Codec = Literal[CodecChoice, "gif", "png", "tiff", "exr", "dpx", "mjpeg", "rawvideo"]


def fit_layout(codec: Codec, source: PlaneLayout, *, same_codec: bool) -> PlaneLayout:
    """Choose what an encoder of ``codec`` is given for frames of ``source``.

    An output in the source's own codec keeps its depth and chroma, as do ffv1 and prores. Other
    outputs are for players: 4:2:0, with 10 bits where the source has more than 8 and the codec
    commonly does.
    """
    match codec:
        case "gif":
            return PlaneLayout(8, "444", rgb=True, alpha=True)
        case "png" | "tiff":
            return PlaneLayout(8 if source.depth == 8 else 16, "444", rgb=True, alpha=source.alpha)
        case "exr":
            return PlaneLayout(FLOAT_DEPTH, "444", rgb=True, alpha=source.alpha)
        case "dpx":
            depths = (8, 16) if source.alpha else (8, 10, 12, 16)
            depth = next((each for each in depths if each >= source.depth), 16)
            return PlaneLayout(depth, "444", rgb=True, alpha=source.alpha)
        case "mjpeg":
            return PlaneLayout(8, "444")
        case "ffv1":
            return replace(source, depth=16) if source.is_float else source
        case "rawvideo":
            is_deep = source.is_float or (source.rgb and source.depth > 8)
            return replace(source, depth=16) if is_deep else source
        case "prores":
            full = source.rgb or source.alpha or source.subsampling == "444"
            return PlaneLayout(10, "444" if full else "422", alpha=source.alpha)
        case "vp9":
            kept = source.subsampling if same_codec and not source.alpha else "420"
            return PlaneLayout(8, "420" if source.rgb else kept, alpha=source.alpha)
    chroma: Subsampling = "420"
    if same_codec and not source.rgb and codec != "av1":
        chroma = source.subsampling
    return PlaneLayout(_lossy_depth(codec, source.depth, same_codec=same_codec), chroma)


def _lossy_depth(codec: Codec, depth: int, *, same_codec: bool) -> int:
    if depth == 8 or (codec == "h264" and not same_codec):
        return 8
    return 12 if codec == "hevc" and same_codec and depth > 10 else 10
