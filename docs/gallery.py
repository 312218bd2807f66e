"""Draws the pictures of README and docs/styles.md anew.

    python docs/gallery.py DATA

DATA holds ``photos/``, ``styles/``, ``sr/`` and ``video/bunny.mp4``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image, ImageOps

from jobs.demo.clip import draw_frame
from nst_core.checkpoints.library import bundled, bundled_packs, find_for, find_style
from nst_core.color.pixels import to_picture
from nst_core.pictures.reading import read_rgb, sheet
from nst_core.strokes import StrokeChoice
from nst_core.stylizer import Stylizer
from nst_core.training.degradation import downscale, upscale_bicubic

_IMAGES = Path(__file__).with_name("images")
_PHOTOS = {
    "landscape": "228076",
    "portrait": "258089",
    "city": "288024",
}
_GALLERY = {
    "starry_night": "228076",
    "the_scream": "384022",
    "composition_vii": "288024",
    "wave": "384022",
    "udnie": "258089",
    "woman_with_a_hat": "258089",
    "contrast_of_forms": "288024",
    "shipwreck": "228076",
    "metzinger": "384022",
    "composition_1913": "288024",
    "water_lilies": "228076",
    "cherry_tree": "384022",
}
"""Which photograph shows each style on the first page, the strongest first."""
_COLUMNS = 4
_TILE = (360, 240)
_INSET = 76
_LARGEST_FILE = 290_000
_ENLARGED = "Set5/img_003.png"
_ENLARGED_BOX = (64, 64, 256, 256)


def main() -> None:
    """Write every picture into docs/images."""
    data = Path(sys.argv[1])
    photos = {name: _photo(data, number) for name, number in _PHOTOS.items()}
    film = _film_frames(data / "video" / "bunny.mp4", (2.5, 4.0, 5.5, 7.0))
    _save(sheet(_in_rows(_gallery(data), _COLUMNS), cell_height=_TILE[1]), "gallery.jpg")
    for name, photo in {**photos, "film-frame": film[2]}.items():
        cells = [photo, *(_stylized(style, photo) for style in _GALLERY)]
        _save(sheet(_in_rows(cells, 5), cell_height=200), f"styles-{name}.jpg")
    rows = [[_stylized(style, frame) for frame in film] for style in list(_GALLERY)[:6]]
    _save(sheet([film, *rows], cell_height=150), "film.jpg")
    _save(sheet(_strokes(photos["landscape"]), cell_height=240), "strokes.jpg")
    _save(sheet(_mixtures(photos["landscape"]), cell_height=180), "mixtures.jpg")
    demo = draw_frame(2.5)
    _save(sheet([[demo, _stylized("starry_night", demo)]], cell_height=270), "demo.jpg")
    _save(_textures_and_x4(data), "textures-and-x4.jpg")


def _gallery(data: Path) -> list[Image.Image]:
    """A photograph in each style, the painting in its corner."""
    tiles = []
    for style, number in _GALLERY.items():
        tile = ImageOps.fit(_stylized(style, _photo(data, number)), _TILE)
        painting = ImageOps.fit(read_rgb(data / "styles" / f"{style}.jpg"), (_INSET, _INSET))
        tile.paste(ImageOps.expand(painting, 2, "white"), (4, _TILE[1] - _INSET - 8))
        tiles.append(tile)
    return tiles


def _strokes(photo: Image.Image) -> list[list[Image.Image]]:
    """Strokes of every size that a style was trained with: a row a style, from fine to wide."""
    pixels = np.asarray(photo)
    return [
        [
            Image.fromarray(_stylizer(style, stroke).stylize(pixels))
            for stroke in find_style(style).strokes
        ]
        for style in list(_GALLERY)[:3]
    ]


def _mixtures(photo: Image.Image) -> list[list[Image.Image]]:
    """Between pairs of styles of the first bundled pack: a row each, from one to the other."""
    pack = next(iter(bundled_packs()))
    rows = []
    for first, second in (("wave", "the_scream"), ("starry_night", "composition_vii")):
        texts = [f"{pack}:{first}={1 - part},{second}={part}" for part in (0, 0.25, 0.5, 0.75, 1)]
        rows.append([_stylized(text, photo) for text in texts])
    return rows


def _textures_and_x4(data: Path) -> Image.Image:
    """The bundled textures; below them an original, shrunk and enlarged again by both ways."""
    textures = [_texture(name) for name in bundled("synthesize")]
    original = read_rgb(data / "sr" / _ENLARGED)
    low = downscale(original, 4)
    enlarged = [upscale_bicubic(low, 4), _stylized("x4", low), original]
    return sheet([textures, [p.crop(_ENLARGED_BOX) for p in enlarged]], cell_height=256)


def _texture(name: str) -> Image.Image:
    generator = find_for("synthesize", name).load()
    generator.seed_noise(1)
    with torch.no_grad():
        return to_picture(generator(torch.zeros(1, 3, 256, 256)))


def _photo(data: Path, number: str) -> Image.Image:
    return read_rgb(data / "photos" / f"{number}.jpg")


def _film_frames(path: Path, moments: tuple[float, ...]) -> list[Image.Image]:
    frames: list[Image.Image] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if len(frames) < len(moments) and frame.time >= moments[len(frames)]:
                frames.append(frame.to_image())
    return frames


def _stylized(style: str, picture: Image.Image) -> Image.Image:
    """As ``nst stylize images`` does."""
    stroke = StrokeChoice(find_style(style).strokes).of(picture.height, picture.width)
    return Image.fromarray(_stylizer(style, stroke).stylize(np.asarray(picture)))


@cache
def _stylizer(style: str, stroke: float) -> Stylizer:
    return Stylizer(find_style(style).with_stroke(stroke))


def _in_rows(cells: Sequence[Image.Image], columns: int) -> list[Sequence[Image.Image]]:
    return [cells[first : first + columns] for first in range(0, len(cells), columns)]


def _save(picture: Image.Image, name: str) -> None:
    """Save with the best quality that keeps the file light."""
    _IMAGES.mkdir(exist_ok=True)
    for quality in (88, 80, 72, 64, 55, 45):
        picture.save(_IMAGES / name, quality=quality, optimize=True)
        if (_IMAGES / name).stat().st_size < _LARGEST_FILE:
            return


if __name__ == "__main__":
    main()
