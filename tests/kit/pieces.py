"""Finished segments made without a network: small pictures at the times of a source's frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import av
import numpy as np

from pipeline.assembly.copied_streams import plan_copies
from pipeline.assembly.reassembly import CopyReport, reassemble
from pipeline.assembly.verification import Verified, verify
from pipeline.encoding.encoders import choose_encoder, container_for
from pipeline.encoding.output_frame import OutputFrame, plan_output
from pipeline.encoding.palette import PaletteQuantizer
from pipeline.segments.plan import plan_segments
from pipeline.segments.task import KeptResult
from pipeline.source.source_video import SourceVideo, probe

_SIDE = 32
_ENCODERS = {"gif": ("png", "pal8"), "webm": ("libvpx-vp9", "yuv420p")}
_OPTIONS = {
    "libx264": {"preset": "ultrafast", "bf": "2", "x264-params": "stitchable=1:open-gop=0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}


def make_pieces(
    source: SourceVideo, folder: Path, *, container: str = "mp4", seconds: float = 0.5
) -> list[KeptResult]:
    """Encode each segment's frames, numbered grey squares, into a piece."""
    segments = plan_segments(source.packets, time_base=source.info.time_base, seconds=seconds)
    pieces = []
    for segment in segments:
        path = folder / f"{segment.name}.piece"
        _encode(path, source, segment.owned_pts, *_ENCODERS.get(container, ("libx264", "yuv420p")))
        pieces.append(KeptResult(segment.number, path, segment.owned_pts, (), (), ()))
    return pieces


def _encode(
    path: Path, source: SourceVideo, times: tuple[int, ...], encoder: str, pixel_format: str
) -> None:
    palettes = PaletteQuantizer() if pixel_format == "pal8" else None
    with av.open(str(path), "w", format="nut") as container:
        stream = cast("av.VideoStream", container.add_stream(encoder, rate=source.info.rate))
        stream.width = stream.height = _SIDE
        stream.pix_fmt = pixel_format
        stream.time_base = stream.codec_context.time_base = source.info.time_base
        stream.codec_context.options = _OPTIONS.get(encoder, {})
        for number, pts in enumerate(times):
            grey = np.full((_SIDE, _SIDE, 3), 8 * number % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, "rgb24")
            frame = frame.reformat(format="bgra" if palettes else "yuv420p")
            frame.pts, frame.time_base = pts, source.info.time_base
            for ready in palettes.take(frame) if palettes else [frame]:
                container.mux(stream.encode(ready))
        for ready in palettes.rest() if palettes else []:
            container.mux(stream.encode(ready))
        container.mux(stream.encode(None))


def small_frame(source: SourceVideo, output: Path) -> OutputFrame:
    """What the pieces were encoded from, by their size."""
    frame = plan_output(source.info, choose_encoder(output, source.info))
    return replace(frame, width=_SIDE, height=_SIDE)


def reassembled(path: Path, output: Path) -> tuple[SourceVideo, CopyReport, Verified]:
    """Probe, encode, reassemble and verify; the output is of another picture, and small."""
    source = probe(path)
    copies = plan_copies(source, output)
    container = container_for(output)
    pieces = make_pieces(source, output.parent, container=container.format)
    frame = small_frame(source, output)
    report = reassemble(source, pieces, output, copies, container=container, frame=frame)
    pts = [pts for piece in pieces for pts in piece.pts]
    return source, report, verify(source, pts, copies, output, refused=report.refused)
