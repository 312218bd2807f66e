"""Tasks of workers: the segments of a small film, as they are handed out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.encoding.encoders import choose_encoder
from pipeline.encoding.output_frame import plan_output
from pipeline.films.settings import FilmSettings
from pipeline.segments.packet_reader import PacketReader
from pipeline.segments.plan import plan_segments, warm_up_frames
from pipeline.segments.task import SegmentTask
from pipeline.source.source_video import probe
from tests.kit.media import make_clip


def segment_tasks(
    folder: Path,
    *,
    output: str = "out.mp4",
    coherence: float = 0.0,
    settings: FilmSettings | None = None,
    frames: int = 60,
    **clip: Any,
) -> list[SegmentTask]:
    """Return the tasks of a film; by default of 60 frames, with a keyframe every half second."""
    film = folder / "film.mkv"
    make_clip(film, frames=frames, sound=False, **({"options": {"g": "12"}} | clip))
    source = probe(film)
    encoder = choose_encoder(Path(output), source.info, settings or FilmSettings())
    frame = plan_output(source.info, encoder)
    segments = plan_segments(
        source.packets,
        time_base=source.info.time_base,
        seconds=0.5,
        warm_up=warm_up_frames(coherence),
    )
    with PacketReader(source) as reader:
        return [
            SegmentTask(each, source.info, frame, reader.read(each), film=0, coherence=coherence)
            for each in segments
        ]
