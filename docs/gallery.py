"""Draws the pictures of README and docs/styles.md anew.

    python docs/gallery.py DATA

DATA holds ``photos/``, ``sr/`` and ``video/bunny.mp4``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import av
import numpy as np
import torch
from PIL import Image

from jobs.demo_clip import draw_frame
from nst_core.degradation import downscale, upscale_bicubic
from nst_core.pictures import read_rgb, sheet
from nst_core.pixels import to_picture
from nst_core.style_library import bundled, bundled_packs, bundled_styles, find_for, find_style
from nst_core.stylizer import Stylizer
from nst_core.texture_net import TextureNet

_IMAGES = Path(__file__).with_name("images")
_PHOTOS = ("118031", "161045", "69000")
_LARGEST_FILE = 290_000
_ENLARGED = "Set5/img_003.png"
_ENLARGED_BOX = (64, 64, 256, 256)


def main() -> None:
    """Write gallery.jpg, film.jpg, mixtures.jpg, demo.jpg and textures-and-x4.jpg."""
    data = Path(sys.argv[1])
    stylizers = {name: Stylizer(find_style(name)) for name in bundled_styles()}
    film = _film_frames(data / "video" / "bunny.mp4", (2.5, 4.0, 5.5, 7.0))
    photos = [read_rgb(path) for path in _photo_paths(data / "photos")]
    sources = [*photos, film[2]]
    rows = [[source, *(_apply(s, source) for s in stylizers.values())] for source in sources]
    _save(sheet(rows, cell_height=200), "gallery.jpg")
    demo = draw_frame(2.5)
    _save(sheet([[demo, _apply(stylizers["wave"], demo)]], cell_height=270), "demo.jpg")
    _save(_textures_and_x4(data), "textures-and-x4.jpg")
    rows = [[_apply(stylizer, frame) for frame in film] for stylizer in stylizers.values()]
    _save(sheet([film, *rows], cell_height=180), "film.jpg")
    _save(sheet(_mixtures(photos[0]), cell_height=200), "mixtures.jpg")


def _mixtures(photo: Image.Image) -> list[list[Image.Image]]:
    """Between pairs of styles of the first bundled pack: a row each, from one to the other."""
    pack, styles = next(iter(bundled_packs().items()))
    rows = []
    for first, second in zip(styles[::2], styles[1::2], strict=False):
        texts = [f"{pack}:{first}={1 - part},{second}={part}" for part in (0, 0.25, 0.5, 0.75, 1)]
        rows.append([_apply(Stylizer(find_style(text)), photo) for text in texts])
    return rows


def _textures_and_x4(data: Path) -> Image.Image:
    """The bundled textures; below them an original, shrunk and enlarged again by both ways."""
    textures = [_texture(name) for name in bundled("synthesize")]
    original = read_rgb(data / "sr" / _ENLARGED)
    low = downscale(original, 4)
    enlarged = [upscale_bicubic(low, 4), _apply(Stylizer(find_style("x4")), low), original]
    return sheet([textures, [p.crop(_ENLARGED_BOX) for p in enlarged]], cell_height=256)


def _texture(name: str) -> Image.Image:
    generator = cast("TextureNet", find_for("synthesize", name).load())
    generator.seed_noise(1)
    with torch.no_grad():
        return to_picture(generator(torch.zeros(1, 3, 256, 256)))


def _photo_paths(folder: Path) -> list[Path]:
    chosen = [folder / f"{name}.jpg" for name in _PHOTOS]
    return [path for path in chosen if path.exists()]


def _film_frames(path: Path, moments: tuple[float, ...]) -> list[Image.Image]:
    frames: list[Image.Image] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if len(frames) < len(moments) and frame.time >= moments[len(frames)]:
                frames.append(frame.to_image())
    return frames


def _apply(stylizer: Stylizer, picture: Image.Image) -> Image.Image:
    return Image.fromarray(stylizer.stylize(np.asarray(picture)))


def _save(picture: Image.Image, name: str) -> None:
    """Save with the best quality that keeps the file light."""
    _IMAGES.mkdir(exist_ok=True)
    for quality in (88, 80, 72, 64, 55, 45):
        picture.save(_IMAGES / name, quality=quality, optimize=True)
        if (_IMAGES / name).stat().st_size < _LARGEST_FILE:
            return


if __name__ == "__main__":
    main()
