"""Super-resolution x4 and x8, feature reconstruction against pixel loss.

Johnson et al. 2016, section 4.2: the pixel loss has the higher PSNR, the feature loss the sharper
edges. Run: python docs/experiments/super_resolution.py DATA
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from runs import Experiment, experiment, show

from nst_core.checkpoints.library import find_style
from nst_core.pictures.reading import read_rgb
from nst_core.stylizer import Stylizer
from nst_core.training.degradation import downscale, upscale_bicubic

STEPS = {"pixel": 8000, "feature": 4000, "feature-from-pixel": 800}
"""By loss; the last begins with the weights that the pixel loss has come to."""
CROPS = {"Set5/img_002.png": (60, 90, 60 + 96, 90 + 96), "Set14/img_002.png": (90, 60, 186, 156)}


def main() -> None:
    """Train with both losses at each scale, evaluate on Set5 and Set14, show crops."""
    run = experiment(__doc__, scales="4,8", losses=",".join(STEPS))
    rows = []
    for scale in run.asked["scales"].split(","):
        models = [train(run, loss, scale) for loss in run.asked["losses"].split(",")]
        for test_set in ("Set5", "Set14")[: run.pick(2, 1)]:
            rows += _measured(run, test_set, scale, models)
        _save_crops(run, models, int(scale))
    show(rows)


def train(run: Experiment, loss: str, scale: str) -> Path:
    """One training run, on all photographs: the test sets are others."""
    kind = loss.partition("-")[0]
    options: dict[str, object] = {
        "--scale": scale,
        "--loss": kind,
        "--steps": STEPS[loss],
        "--width": 64,
        "--image-size": 96,
        "--batch-size": 8,
        "--seed": 1,
        "--checkpoint-every": 1000,
    }
    if loss != kind:
        start = {"--from": train(run, "pixel", scale), "--learning-rate": 5e-4, "--average": 0.99}
        options |= start
    words = ("super-resolution", "--content", run.data / "photos")
    return run.train(f"super-resolution-x{scale}-{loss}", *words, options=options)


def _measured(
    run: Experiment, test_set: str, scale: str, models: list[Path]
) -> list[dict[str, object]]:
    found = {}
    for model in models:
        options = {
            "--super-resolution": model,
            "--images": run.data / "sr" / test_set,
            "--engine": "torch",
        }
        report = run.report(f"{model.stem}-{test_set}", "evaluate", options=options)
        found["bicubic"] = report["bicubic"]
        loss = model.stem.removeprefix(f"super-resolution-x{scale}-")
        found[f"{loss} loss"] = report["model"]
        found[f"{loss} loss, histograms matched"] = report["model_matched"]
    quality = {name: _shown(value) for name, value in found.items()}
    return [{"scale": f"x{scale}", "of": test_set, "": n, **q} for n, q in quality.items()]


def _shown(quality: dict[str, Any]) -> dict[str, str]:
    return {"PSNR": f"{quality['psnr']:.2f}", "SSIM": f"{quality['ssim']:.4f}"}


def _save_crops(run: Experiment, checkpoints: list[Path], scale: int) -> None:
    """Original, bicubic, pixel loss, feature loss, side by side."""
    rows = []
    models = [Stylizer(find_style(str(path)), engine="torch") for path in checkpoints]
    for name, box in CROPS.items():
        original = read_rgb(run.data / "sr" / name)
        low = downscale(original, scale)
        pictures = [original, upscale_bicubic(low, scale)]
        pictures += [Image.fromarray(model.stylize(np.asarray(low))) for model in models]
        rows.append([picture.crop(box) for picture in pictures])
    run.save_sheet(rows, f"experiment-super-resolution-x{scale}.jpg", cell_height=240)


if __name__ == "__main__":
    main()
