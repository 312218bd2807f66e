"""Generator and optimisation in one: a generator's own picture, and iterations of L-BFGS from it.

The objective is the one that the generator was trained on, so that every iteration goes on where
the generator's training would have led for this very picture.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from nst_core.checkpoints.library import Style
from nst_core.engines.engine import Engine
from nst_core.errors import InputError
from nst_core.objectives.lbfgs import optimize_picture
from nst_core.objectives.perceptual import FixedContentObjective
from nst_core.objectives.trained_objective import trained_objective, trained_settings
from nst_core.objectives.weights.reading import LossNetworkWeights

MOST_PIXELS = 1792**2
"""More are not refined: the loss network and L-BFGS hold a picture whole, in 3 GB a megapixel."""


@dataclass(frozen=True, repr=False)
class Refinement:
    """How the pictures of one style are refined."""

    iterations: int
    painting: Image.Image
    """What the style was trained on."""
    weights: LossNetworkWeights
    """Those of the training."""

    @property
    def identity(self) -> str:
        """Everything that decides what a refinement does, as a hash."""
        digest = hashlib.sha256(repr((self.iterations, self.painting.size)).encode())
        digest.update(self.painting.tobytes())
        digest.update(self.weights.fingerprint().encode())
        return digest.hexdigest()[:16]

    def check(self, style: Style) -> None:
        """Raise InputError for a style whose objective cannot be built."""
        trained_settings(style, self.weights)


class RefiningEngine:
    """Another engine's pictures, each refined; one at a time."""

    def __init__(self, engine: Engine, style: Style, refinement: Refinement) -> None:
        """``style`` is the one that ``engine`` computes, at its stroke."""
        self._engine = engine
        self._iterations = refinement.iterations
        objective = trained_objective(style, refinement.painting, refinement.weights)
        self._objective = objective.to(engine.device).to(memory_format=torch.channels_last)
        self.name = f"hybrid: {engine.name}, {refinement.iterations} iterations of L-BFGS"
        self.precision = engine.precision
        self.device = engine.device

    def run(self, images: Tensor) -> Tensor:
        """Map N x 3 x H x W float32 in [0, 1] to the same.

        Raises InputError for pictures that are too large or too small, TrainingFailed.
        """
        self._check_size(*images.shape[-2:])
        generated = self._engine.run(images)
        pairs = zip(torch.split(images, 1), torch.split(generated, 1), strict=True)
        return torch.cat([self._refined(*pair) for pair in pairs])

    def _check_size(self, height: int, width: int) -> None:
        most, least = int(MOST_PIXELS**0.5), self._objective.least_side
        if height * width > MOST_PIXELS:
            raise InputError(
                f"--refine: {width}x{height} pixels, and {most}x{most} at most are held in memory; "
                f"try --max-side {most}"
            )
        if min(height, width) < least:
            raise InputError(
                f"--refine: {width}x{height} pixels, and the style's objective looks at "
                f"{least}x{least} at least; leave --refine out for such pictures"
            )

    def _refined(self, content: Tensor, generated: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            content, start = content.clone(), generated.float().clamp(0, 1).clone()
            objective = FixedContentObjective(self._objective, content)
            best = optimize_picture(objective, content, start, iterations=self._iterations)
        return best.image
