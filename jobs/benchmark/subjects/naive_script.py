"""The script that many write first: decode, call the network, encode, in one plain loop.

    python -m jobs.benchmark.subjects.naive_script video|images STYLE INPUT OUTPUT

PyAV with its own choice of threads, the encoder's own settings, sound ignored; frames go through
Pillow to an eager float32 network and back, one at a time. Prints ``{"done": N}``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import av
from PIL import Image
from torch import nn

from jobs.benchmark.sections.peers import peers_device, stylize_as_peers
from nst_core.checkpoints.library import find_style


def main() -> None:
    """Stylize a film, or a folder of pictures."""
    what, style, source, output = sys.argv[1:]
    generator = find_style(style).load().to(peers_device())
    if what == "video":
        done = stylize_film(generator, Path(source), Path(output))
    else:
        done = stylize_folder(generator, Path(source), Path(output))
    print(json.dumps({"done": done}))


def stylize_film(generator: nn.Module, source: Path, output: Path) -> int:
    """Write an MP4 of the film's pictures; returns how many."""
    done = 0
    with av.open(str(source)) as film, av.open(str(output), "w") as result:
        video = film.streams.video[0]
        stream = result.add_stream("libx264", rate=video.average_rate)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        for stylized in _stylized(generator, film.decode(video)):
            result.mux(stream.encode(av.VideoFrame.from_image(stylized)))
            done += 1
        result.mux(stream.encode(None))
    return done


def _stylized(generator: nn.Module, frames: Iterator[av.VideoFrame]) -> Iterator[Image.Image]:
    for frame in frames:
        yield stylize_as_peers(generator, frame.to_image(), peers_device())


def stylize_folder(generator: nn.Module, source: Path, output: Path) -> int:
    """Write a JPEG for every picture; returns how many."""
    output.mkdir(exist_ok=True)
    paths = sorted(source.iterdir())
    for path in paths:
        with Image.open(path) as picture:
            stylized = stylize_as_peers(generator, picture, peers_device())
        stylized.save(output / f"{path.stem}.jpg")
    return len(paths)


if __name__ == "__main__":
    main()
