"""g(y, z), the stylizing texture network, and its noise: `nst stylize images --noise K`.

Ulyanov et al. 2016, section 4.3: the noise gives one photograph several pictures, and its size at
test time is a dial. Beside it the residual generator, trained alike, which draws none.
Run: python docs/experiments/noise.py DATA
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from runs import experiment, show

from nst_core.checkpoints.library import find_style
from nst_core.pictures.reading import read_rgb
from nst_core.stylizer import Stylizer

PHOTO = "100075.jpg"


def main() -> None:
    """Train on each painting; a row: photograph, noise of all sizes, the residual generator."""
    run = experiment(__doc__, paintings="wave,starry_night", noises="0,0.5,1,2,4", steps="900")
    photo = read_rgb(run.data / "photos" / PHOTO)
    rows, pictures = [], []
    for painting in run.listed("paintings"):
        texture, residual = (
            run.train_style(generator, painting, steps=run.asked["steps"])
            for generator in ("texture", "johnson")
        )
        shown = [np.asarray(photo)]
        for noise in map(float, run.listed("noises")):
            # The same photograph twice, with other noise.
            one, other = (_stylized(texture, photo, noise=noise, seed=seed) for seed in (1, 2))
            difference = np.abs(one.astype(float) - other).mean()
            rows.append({"painting": painting, "noise": noise, "difference": float(difference)})
            shown.append(one)
        pictures.append([*shown, _stylized(residual, photo)])
    show(rows)
    cells = [[Image.fromarray(each) for each in row] for row in pictures]
    run.save_sheet(cells, "experiment-noise.jpg", cell_height=140)


def _stylized(
    checkpoint: Path, photo: Image.Image, noise: float | None = None, seed: int = 0
) -> NDArray[np.uint8]:
    stylizer = Stylizer(find_style(str(checkpoint)), noise=noise, seed=seed, engine="torch")
    return stylizer.stylize(np.asarray(photo))


if __name__ == "__main__":
    main()
