"""Gatys' optimisation, the yardstick: one photograph, 200 iterations, from content and from noise.

Run: python docs/experiments/gatys.py DATA
"""

from __future__ import annotations

import json

from PIL import Image
from runs import PICTURES, experiment, machine, nst

from nst_core.pictures import read_rgb, sheet

PHOTO = "100075.jpg"
STYLE = "wave"


def main() -> None:
    """Optimise twice and show both beside their sources."""
    run = experiment(__doc__ or "")
    content = run.data / "photos" / PHOTO
    style = run.data / "styles" / f"{STYLE}.jpg"
    pictures = [read_rgb(content), read_rgb(style)]
    report = {}
    for init in ("content", "noise"):
        picture = run.work / f"gatys-{init}.png"
        record = picture.with_suffix(".json")
        if not record.exists():
            options = ("--image-size", 256, "--steps", 200, "--init", init, "--seed", 1)
            weight = ("--style-weight", 100, "--json")
            arguments = (content, "--style", style, "-o", picture, "--overwrite", *options, *weight)
            record.write_text(nst("optimize", *arguments, *run.loss_network))
        found = json.loads(record.read_text())
        before, after = found["losses_before"]["total"], found["losses"]["total"]
        report[init] = {
            "objective before": round(before, 3),
            "after": round(after, 3),
            "times lower": round(before / after, 1),
            "seconds": found["seconds"],
        }
        pictures.append(Image.open(picture))
    path = PICTURES / "experiment-gatys.jpg"
    sheet([pictures], cell_height=200).save(path, quality=90)
    print(json.dumps({"machine": machine(), "started from": report}, indent=1))
    print(path)


if __name__ == "__main__":
    main()
