"""Commands with `--recipe`: a paper's values stand wherever an option is not given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from jobs.cli.parsing import Command
from jobs.specs.recipes import (
    RECIPES,
    OptimizeRecipe,
    StyleRecipe,
    SuperResolutionRecipe,
    TextureRecipe,
)

_OPTION = typer.Option(
    "--recipe", help="A paper's values for all options below; each can be given otherwise."
)
OfStyle = Annotated[StyleRecipe | None, _OPTION]
OfTexture = Annotated[TextureRecipe | None, _OPTION]
OfSuperResolution = Annotated[SuperResolutionRecipe | None, _OPTION]
OfOptimize = Annotated[OptimizeRecipe | None, _OPTION]


class RecipeCommand(Command):
    """A command whose recipe is in RECIPES under its own name."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Parse; where something else than the defaults stands in for options, once more."""
        context = super().make_context(info_name, list(args), parent, **extra)
        defaults = self.defaults_for(context.params)
        if not defaults:
            return context
        return super().make_context(info_name, args, parent, **extra, default_map=defaults)

    def defaults_for(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what stands for options that are not given, by parameter."""
        recipe = values.get("recipe")
        return dict(RECIPES[self.name or ""][recipe]) if recipe else {}
