"""Options that several commands have, as dataclasses: each stands once, for all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar, get_type_hints

Group = TypeVar("Group", bound="OptionGroup")


@dataclass(frozen=True)
class OptionGroup:
    """Fields are options of Typer: their annotations say how they are given.

    A command's parameter of such a type has a group as its default, whose values are the options'.
    """

    @classmethod
    def of(cls: type[Group], defaults: object, **others: Any) -> Group:
        """Take the options' defaults from the fields of the same names, but for ``others``."""
        names = [field.name for field in fields(cls) if field.name not in others]
        return cls(**{name: getattr(defaults, name) for name in names}, **others)

    @property
    def fields(self) -> dict[str, Any]:
        """All options by name."""
        return dict(vars(self))

    @property
    def given(self) -> dict[str, Any]:
        """The options that have a value."""
        return {name: value for name, value in vars(self).items() if value is not None}


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with the options of its groups in place of them, as Typer knows them."""
    annotations = get_type_hints(command, include_extras=True)
    groups: dict[str, type[OptionGroup]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        kind = annotations[parameter.name]
        if not (isinstance(kind, type) and issubclass(kind, OptionGroup)):
            parameters.append(_keyword(parameter.name, kind, parameter.default))
            continue
        groups[parameter.name] = kind
        options = get_type_hints(kind, include_extras=True)
        parameters += [
            _keyword(field.name, options[field.name], getattr(parameter.default, field.name))
            for field in fields(kind)
        ]

    def call(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        command(**values)

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    return call


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, annotation=annotation, default=default)
