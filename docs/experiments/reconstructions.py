"""What each layer of the loss network keeps: pictures made from noise to match it alone.

Gatys et al. 2016, figure 1, and Johnson et al. 2016, figures 3 and 4: the content of a photograph
from one layer (feature inversion), the style of a painting from the layers up to one.
Run: python docs/experiments/reconstructions.py DATA
"""

from __future__ import annotations

from PIL import Image, ImageOps
from runs import Experiment, Options, experiment, show

from nst_core.pictures.reading import read_rgb

PHOTO = "100075"
STYLE = "wave"
CONTENT_LAYERS = ("relu1_2", "relu2_2", "relu3_2", "relu4_2", "relu5_1")
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
SIDE = 256


def main() -> None:
    """Reconstruct both, a row each behind its source."""
    run = experiment(__doc__, steps="100")
    sources = {}
    for name, picture in (
        (PHOTO, run.data / "photos" / f"{PHOTO}.jpg"),
        (STYLE, run.painting(STYLE)),
    ):
        sources[name] = ImageOps.fit(read_rgb(picture), (SIDE, SIDE))
        sources[name].save(run.work / f"{name}-{SIDE}.png")
    contents, styles = [sources[PHOTO]], [sources[STYLE]]
    rows: list[dict[str, object]] = []
    for layer in CONTENT_LAYERS:
        # One cheap style layer, of no weight: the command wants some.
        options = {"--content-layers": layer, "--style-layers": "relu1_1", "--style-weight": 0}
        contents.append(_reconstructed(run, f"content-{layer}", options, rows))
    for count, layer in enumerate(STYLE_LAYERS, start=1):
        options = {"--style-layers": ",".join(STYLE_LAYERS[:count]), "--content-weight": 0}
        styles.append(_reconstructed(run, f"style-to-{layer}", options, rows))
    show(rows)
    run.save_sheet([contents, styles], "experiment-reconstructions.jpg", cell_height=160)


def _reconstructed(
    run: Experiment, name: str, options: Options, rows: list[dict[str, object]]
) -> Image.Image:
    output = run.work / f"{name}.png"
    common = {
        "--style": run.work / f"{STYLE}-{SIDE}.png",
        "-o": output,
        "--init": "noise",
        "--seed": 1,
        "--steps": run.asked["steps"],
        "--image-size": SIDE,
        "--overwrite": True,
    }
    photo = run.work / f"{PHOTO}-{SIDE}.png"
    report = run.report(name, "optimize", photo, options={**common, **options})
    before, after = (report[when]["total"] for when in ("losses_before", "losses"))
    rows.append({"": name, "before": before, "after": after, "seconds": report["seconds"]})
    return Image.open(output)


if __name__ == "__main__":
    main()
