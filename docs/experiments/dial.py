"""The dial between content and style: one optimisation at each of several style weights.

Gatys et al. 2016, section 3.1. Run: python docs/experiments/dial.py DATA
"""

from __future__ import annotations

from PIL import Image
from runs import experiment, show

from nst_core.pictures.reading import read_rgb

PHOTO = "100075"


def main() -> None:
    """Optimise at every weight; a row for each painting, behind the photograph."""
    run = experiment(__doc__, styles="wave", weights="1,5,20,100,1000", steps="100")
    photo = run.data / "photos" / f"{PHOTO}.jpg"
    rows, pictures = [], []
    for style in run.listed("styles"):
        pictures.append([read_rgb(photo)])
        for weight in run.listed("weights"):
            output = run.work / f"dial-{style}-{weight}.png"
            options = {
                "--style": run.painting(style),
                "-o": output,
                "--style-weight": weight,
                "--steps": run.asked["steps"],
                "--image-size": 256,
                "--overwrite": True,
            }
            report = run.report(output.stem, "optimize", photo, options=options)
            losses = {name: report["losses"][name] for name in ("content", "style")}
            rows.append({"painting": style, "style weight": weight, **losses})
            pictures[-1].append(Image.open(output))
    show(rows)
    run.save_sheet(pictures, "experiment-dial.jpg", cell_height=150)


if __name__ == "__main__":
    main()
