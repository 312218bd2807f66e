"""One network, many styles: conditional instance normalisation (Dumoulin et al. 2017, section 2.2).

All convolutions are shared; each style has a scale and a shift of its own for every normalised
channel. A network with the parameters of one style, or with a mixture of several, is a plain
generator again: nothing that applies styles has to know of this module.

A style may have several rows, one for each size of its strokes (`strokes.py`): those of the first
style in ascending order of size, then those of the second, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from nst_core.errors import CheckpointError
from nst_core.networks.generator import Generator
from nst_core.strokes import shares


class ConditionalInstanceNorm2d(nn.Module):
    """Instance normalisation whose scale and shift are chosen by ``mixture``.

    ``weight`` and ``bias`` are S x C for S styles; ``mixture`` is N x S for a batch of N.
    """

    def __init__(self, like: nn.InstanceNorm2d, styles: int) -> None:
        super().__init__()
        self.eps = like.eps
        self.weight = nn.Parameter(like.weight.detach().repeat(styles, 1))
        self.bias = nn.Parameter(like.bias.detach().repeat(styles, 1))
        self.mixture: Tensor | None = None

    def forward(self, features: Tensor) -> Tensor:
        """Normalise N x C x H x W."""
        if self.mixture is None:
            raise RuntimeError("no mixture: call the MultiStyleGenerator, not its network")
        normalized = functional.instance_norm(features, eps=self.eps)
        # The products are tiny, and rounding them would shift whole channels.
        with torch.autocast(features.device.type, enabled=False):
            scale = (self.mixture @ self.weight).to(normalized.dtype)[..., None, None]
            shift = (self.mixture @ self.bias).to(normalized.dtype)[..., None, None]
        return torch.addcmul(shift, normalized, scale)


class MultiStyleGenerator(Generator):
    """A generator whose instance normalisations are replaced by conditional ones.

    Its state has the names of the plain generator's, with one row a style in each of the
    normalisations' parameters, or one for each stroke of a style: ``styles`` counts the rows.
    Raises ValueError for a generator without instance normalisation.
    """

    def __init__(self, generator: Generator, styles: int) -> None:
        super().__init__()
        self.row_keys = row_keys(generator)
        if not self.row_keys:
            raise ValueError("several styles need a generator with instance normalisation")
        self.generator = generator
        self.styles = styles
        self.norms: list[ConditionalInstanceNorm2d] = []  # a plain list: they have names already
        for name in norm_names(generator):
            parent_name, _, last = name.rpartition(".")
            parent = generator.get_submodule(parent_name)
            norm = getattr(parent, last)
            self.norms.append(ConditionalInstanceNorm2d(norm, styles))
            setattr(parent, last, self.norms[-1])

    @property
    def unwrapped(self) -> Generator:
        """The generator whose normalisations were replaced."""
        return self.generator

    def forward(self, image: Tensor, mixture: Tensor) -> Tensor:  # type: ignore[override]
        """Stylize N x 3 x H x W in [0, 1]; row n of ``mixture`` (N x S) weighs n's styles."""
        for norm in self.norms:
            norm.mixture = mixture
        try:
            stylized: Tensor = self.generator(image)
        finally:
            for norm in self.norms:
                norm.mixture = None
        return stylized

    def start_from(self, base: Mapping[str, Tensor], *, strokes: int = 1) -> None:
        """Take over all of a trained network but its styles, and let only new styles be fitted.

        They begin as the mean of the styles of ``base``, the state of a plain generator or of a
        multi-style one; with several ``strokes`` a style, in both, each as the mean of its own.
        """
        self.requires_grad_(False)
        state = dict(base)
        for key in self.row_keys:
            rows = rows_of(base[key]).float()
            means = rows.reshape(-1, strokes, rows.shape[1]).mean(dim=0)
            state[key] = means.repeat(self.styles // strokes, 1)
        self.generator.load_state_dict(state)
        for parameter in self.style_parameters():
            parameter.requires_grad_(True)

    def style_parameters(self) -> list[nn.Parameter]:
        """Scales and shifts of all normalisations: what a new style is fitted with."""
        return [parameter for norm in self.norms for parameter in (norm.weight, norm.bias)]


def norm_names(generator: nn.Module) -> list[str]:
    """Names of the affine instance normalisations of a plain generator."""
    return [
        name
        for name, module in generator.named_modules()
        if isinstance(module, nn.InstanceNorm2d) and module.affine
    ]


def row_keys(generator: nn.Module) -> list[str]:
    """Names of the parameters of these: with several styles they have a row for each."""
    return [f"{name}.{part}" for name in norm_names(generator) for part in ("weight", "bias")]


def mixed(
    generator: nn.Module,
    tensors: Mapping[str, Tensor],
    styles: Sequence[str],
    weights: Mapping[str, float],
    *,
    strokes: Sequence[float] = (),
    stroke: float = 1.0,
) -> dict[str, Tensor]:
    """Return the state of a plain generator: that of ``styles`` mixed by ``weights``.

    ``generator`` is a plain one of the architecture, ``tensors`` the state of a multi-style one.
    ``weights`` maps names of styles to numbers of 0 or more, and is divided by its sum. Where each
    style has several ``strokes``, ascending, those around ``stroke`` are mixed by its logarithm.
    Raises CheckpointError for tensors that do not have one row for each style and stroke.
    """
    total = sum(weights.values())
    parts = shares(strokes, stroke)
    mixture = torch.tensor(
        [weights.get(name, 0.0) / total * part for name in styles for part in parts]
    )
    state = dict(tensors)
    for key in row_keys(generator):
        rows = state.get(key)
        if rows is None or rows.ndim != 2 or len(rows) != len(mixture):
            of_strokes = f" in {len(parts)} strokes" if strokes else ""
            raise CheckpointError(
                f"{key} does not have one row for each of {len(styles)} styles{of_strokes}"
            )
        state[key] = mixture @ rows.float()
    return state


def joined(
    generator: nn.Module, base: Mapping[str, Tensor], new: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the state with the styles of both, which share all but their normalisations.

    ``generator`` is a plain one of the architecture; a ``base`` of one style may be plain too.
    Styles of several strokes have the same ones in both.
    """
    state = dict(base)
    for key in row_keys(generator):
        state[key] = torch.cat([rows_of(base[key]), rows_of(new[key])])
    return state


def rows_of(parameter: Tensor) -> Tensor:
    """One row a style and stroke, also where there is but one: C or S x C to S x C."""
    return parameter.reshape(-1, parameter.shape[-1])
