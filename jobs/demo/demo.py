"""The demo: a clip of its own making, stylized, and a picture of it, before and after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
from PIL import Image

from jobs.applying.stylize_images import stylize_images
from jobs.applying.stylize_video import stylize_videos
from jobs.demo.clip import SECONDS, draw_frame, make_clip
from jobs.specs.applying import PoolSpec, StylizeImages, StylizeVideo
from nst_core.checkpoints.library import bundled_styles
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.errors import InputError, NstError
from nst_core.pictures.reading import sheet
from pipeline.work.progress import OnProgress, ignore_progress


@dataclass(frozen=True)
class DemoReport:
    """Where the demo's files are."""

    clip: str
    stylized_clip: str
    picture: str
    stylized_picture: str
    before_after: str
    style: str


def run_demo(
    folder: Path, *, pool: PoolSpec | None = None, on_progress: OnProgress = ignore_progress
) -> DemoReport:
    """Make a clip with sound, stylize it and a still of it, and draw a before/after sheet.

    Files of an earlier demo in ``folder`` are replaced. Raises NstError, InputError for a folder
    with files of other origin.
    """
    pool = pool or PoolSpec()
    style = _demo_style()
    _claim(folder)
    clip, stylized_clip = folder / "clip.mp4", folder / "clip-stylized.mp4"
    make_clip(clip)
    picture = folder / "picture.png"
    draw_frame(2.5).save(picture)
    videos = stylize_videos(
        StylizeVideo(
            inputs=(clip,),
            output=stylized_clip,
            style=StyleSpec(style),
            pool=pool,
            segment_seconds=SECONDS / 2,
            overwrite=True,
        ),
        on_progress,
    )
    if videos.inputs[0].status != "done":
        raise NstError(
            f"the demo's clip came out {videos.inputs[0].status}: {videos.inputs[0].error}"
        )
    images = stylize_images(
        StylizeImages(
            sources=(str(picture),),
            output=str(folder / "stylized"),
            styles=(StyleSpec(style),),
            pool=PoolSpec(workers=0),
            overwrite=True,
        )
    )
    if images.failed:
        raise NstError(f"the demo's picture failed: {images.failures[0]['error']}")
    stylized_picture = folder / "stylized" / picture.name
    before_after = folder / "before-after.png"
    _before_after(clip, stylized_clip, picture, stylized_picture).save(before_after)
    return DemoReport(
        clip=str(clip),
        stylized_clip=str(stylized_clip),
        picture=str(picture),
        stylized_picture=str(stylized_picture),
        before_after=str(before_after),
        style=style,
    )


def _claim(folder: Path) -> None:
    """Make the folder ours: nobody's ``clip.mp4`` but an earlier demo's is replaced."""
    marker = folder / ".nst-demo"
    if folder.exists() and not folder.is_dir():
        raise InputError(f"-o {folder}: a file; name a folder")
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise InputError(f"-o {folder}: not empty, and not from an earlier demo; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _before_after(
    clip: Path, stylized_clip: Path, picture: Path, stylized_picture: Path
) -> Image.Image:
    moments = [_still(path, 1.0) for path in (clip, stylized_clip)]
    with Image.open(picture) as before, Image.open(stylized_picture) as after:
        return sheet([moments, [before.convert("RGB"), after.convert("RGB")]], cell_height=270)


def _still(path: Path, seconds: float) -> Image.Image:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= seconds:
                image: Image.Image = frame.to_image()
                return image
    raise NstError(f"{path}: it ends before {seconds} s")


def _demo_style() -> str:
    styles = bundled_styles()
    if not styles:
        raise NstError("no bundled style in this installation; it is damaged, install it anew")
    return "starry_night" if "starry_night" in styles else styles[0]
