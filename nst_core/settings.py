"""What a training run is asked for: plain values with their defaults, light to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nst_core.errors import InputError

Scaling = Literal["paper", "relative"]


@dataclass(frozen=True)
class ObjectiveSettings:
    """Weights of the three terms and how each term is scaled."""

    content_weight: float = 1.0
    style_weight: float = 5.0
    tv_weight: float = 0.0
    scaling: Scaling = "relative"
    """``paper``: the terms as Johnson et al. write them. ``relative`` (this project's): each style
    layer's error is divided by its target's squared norm and the layers are averaged, the content
    error is divided by the content's own mean square; one pair of weights then serves every
    style and both scales (torchvision's and Caffe's) of the loss network."""

    def __post_init__(self) -> None:
        for name in ("content_weight", "style_weight", "tv_weight"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} {getattr(self, name)}: a number of 0 or more is needed")


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast a generator is fitted."""

    steps: int = 2000
    batch_size: int = 4
    """Crops a step, for each worker."""
    image_size: int = 256
    """Side of the square crops, in pixels."""
    learning_rate: float = 1e-3
    """Of Adam, after the warm-up (Johnson et al., section 4.1)."""
    warmup_steps: int = 20
    final_rate: float = 0.05
    """Fraction of the learning rate that the cosine ends at."""
    seed: int = 0
    mixed_precision: bool = True
    """bfloat16 autocast of generator and loss network; Gram matrices and losses stay float32."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)}: at least 1 is needed")
        if self.image_size < 32:
            raise InputError(f"image_size {self.image_size}: at least 32 pixels are needed")
        if not 0 < self.learning_rate < 1:
            raise InputError(f"learning_rate {self.learning_rate}: between 0 and 1; try 0.001")
