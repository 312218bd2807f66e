"""Experiment (e): super-resolution x4, feature reconstruction against pixel loss.

Johnson et al. 2016, section 4.2: the pixel loss has the higher PSNR, the feature loss the sharper
edges. Run: python docs/experiments/super_resolution.py DATA
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from runs import PICTURES, Experiment, experiment, machine, nst

from nst_core.degradation import downscale, upscale_bicubic
from nst_core.pictures import read_rgb, sheet
from nst_core.style_library import find_style
from nst_core.stylizer import Stylizer

SCALE = 4
RECIPE = (
    *("--scale", SCALE, "--image-size", 96, "--batch-size", 8, "--seed", 1),
    *("--checkpoint-every", 1000),
)
STEPS = {"pixel": 8000, "feature": 4000}
CROPS = {"Set5/img_002.png": (60, 90, 60 + 96, 90 + 96), "Set14/img_002.png": (90, 60, 186, 156)}


def train(run: Experiment, loss: str) -> Path:
    """One training run, on all photographs: the test sets are others."""
    return run.train(
        f"super-resolution-{loss}",
        *("super-resolution", "--content", run.data / "photos", "--loss", loss),
        *("--steps", STEPS[loss], *RECIPE),
    )


def main() -> None:
    """Train with both losses, evaluate on Set5 and Set14, show crops."""
    run = experiment(__doc__ or "")
    checkpoints = {loss: train(run, loss) for loss in STEPS}
    table: dict[str, dict[str, object]] = {}
    for test_set in ("Set5", "Set14"):
        for loss, checkpoint in checkpoints.items():
            options = ("--images", run.data / "sr" / test_set, "--engine", "torch", "--json")
            report = json.loads(nst("evaluate", "--super-resolution", checkpoint, *options))
            table.setdefault(test_set, {})["bicubic"] = report["bicubic"]
            table[test_set][loss] = report["model"]
            table[test_set][f"{loss}, histograms matched"] = report["model_matched"]
    print(json.dumps({"machine": machine(), "PSNR and SSIM on Y": table}, indent=1))
    print(_crops(run, checkpoints))


def _crops(run: Experiment, checkpoints: dict[str, Path]) -> Path:
    """Original, bicubic, pixel loss, feature loss, side by side."""
    rows = []
    models = [Stylizer(find_style(str(path)), engine="torch") for path in checkpoints.values()]
    for name, box in CROPS.items():
        original = read_rgb(run.data / "sr" / name)
        low = downscale(original, SCALE)
        pictures = [original, upscale_bicubic(low, SCALE)]
        pictures += [_enlarged(model, low) for model in models]
        rows.append([picture.crop(box) for picture in pictures])
    path = PICTURES / "experiment-super-resolution.jpg"
    sheet(rows, cell_height=240).save(path, quality=92)
    return path


def _enlarged(model: Stylizer, low: Image.Image) -> Image.Image:
    return Image.fromarray(model.stylize(np.asarray(low)))


if __name__ == "__main__":
    main()
