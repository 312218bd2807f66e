"""Gatys' optimisation beside the generators: one photograph, from itself and from noise.

All three papers claim pictures comparable to its; it is the yardstick.
Run: python docs/experiments/gatys.py DATA
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from runs import experiment, show, stylizer_for

from nst_core.pictures.reading import read_rgb

PHOTO = "100075.jpg"
SIDE = 256


def main() -> None:
    """A row for each painting: photograph, painting, both optimisations, the bundled style."""
    run = experiment(__doc__, styles="wave,starry_night,the_scream", steps="200")
    photo = run.data / "photos" / PHOTO
    rows, pictures = [], []
    for style in run.listed("styles"):
        shown = [read_rgb(photo), read_rgb(run.painting(style))]
        for start in ("content", "noise"):
            output = run.work / f"gatys-{style}-{start}.png"
            options = {
                "--style": run.painting(style),
                "-o": output,
                "--steps": run.asked["steps"],
                "--image-size": SIDE,
                "--init": start,
                "--style-weight": 100,
                "--seed": 1,
                "--overwrite": True,
            }
            report = run.report(output.stem, "optimize", photo, options=options)
            before, after = (report[when]["total"] for when in ("losses_before", "losses"))
            numbers = {"before": before, "after": after, "times lower": before / after}
            rows.append({"painting": style, "from": start, **numbers})
            shown.append(Image.open(output))
        small = np.asarray(shown[0].resize(shown[-1].size, Image.Resampling.LANCZOS))
        stylizer = stylizer_for(style, *small.shape[:2], threads=run.threads)
        pictures.append([*shown, Image.fromarray(stylizer.stylize(small))])
    show(rows)
    run.save_sheet(pictures, "experiment-gatys.jpg")


if __name__ == "__main__":
    main()
