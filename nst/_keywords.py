"""Functions whose keyword arguments are the fields of the specifications that they take."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass
from fractions import Fraction
from functools import reduce, wraps
from operator import or_
from pathlib import Path
from types import GenericAlias, NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jobs.cli.options import fps_of
from jobs.specs.flat import Field, Flat, specification_of
from nst_core.checkpoints.library import IDENTITY, Style, bundled_styles, find_style, mixture_text
from nst_core.checks import option_of
from nst_core.errors import InputError
from nst_core.libraries import configure
from pipeline.films.span import time_of

Function = Callable[..., Any]
"""Their types are in the stub, ``__init__.pyi``."""

_PATHS = ("inputs", "sources", "content", "output")
"""Fields of texts that are paths or URIs."""
_STYLES = ("style", "styles", "mask_style")
_POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD


def by_keywords(
    positional: str, *, each: str = "", without: str = "", open_fields: str = ""
) -> Callable[[Function], Function]:
    """Let the specifications among a function's parameters be given by their fields.

    The fields ``positional`` may be given without their names. Of the field ``each`` several values
    may be given: where a tuple of specifications is needed, there is one for each. The fields
    ``without`` a keyword keep their defaults; for ``open_fields`` the function has others. Several
    are separated by spaces.
    """
    keywords = _Keywords(each, frozenset(without.split()), positional.split(), open_fields.split())

    def decorate(function: Function) -> Function:
        own = dict(inspect.signature(function).parameters)
        hints = _hints(function, own)
        specifications = {name for name, hint in hints.items() if specification_of(hint)}
        fields = [
            field
            for name in specifications
            for field in keywords.flat_fields(specification_of(hints[name]))
            if field.name not in own
        ]
        parameters = [
            *map(keywords.parameter, fields),
            *(one.replace(annotation=hints.get(name, one.annotation)) for name, one in own.items()),
        ]
        asked = (one for one in parameters if one.name not in specifications)
        signature = inspect.Signature(sorted(asked, key=keywords.place))

        @wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            configure()
            values = signature.bind(*given, **named).arguments
            if each:
                values[each] = _several(values[each])
            made = {name: keywords.value(hints[name], values) for name in specifications}
            return function(**made, **{name: values[name] for name in own if name in values})

        call.__signature__ = signature  # type: ignore[attr-defined]
        told = (f"    {each.name}: {each.help}" for each in fields if each.help)
        about = inspect.cleandoc(function.__doc__ or "Take a style, and how it is applied.")
        call.__doc__ = "\n".join([about, "", "Keywords:", *told])
        return call

    return decorate


@dataclass(frozen=True)
class _Keywords(Flat):
    """Values as Python has them: paths as texts, one for several, times as numbers."""

    positional: list[str]
    open_fields: list[str]

    def read(self, field: Field, values: Mapping[str, Any]) -> Any:
        """Return a field's value; None where it was not given. Raises InputError."""
        value = values.get(field.name)
        return None if value is None else _read(field.name, field.hint, value)

    def parameter(self, field: Field) -> inspect.Parameter:
        """Return the parameter of a field."""
        taken, default = _taken(field.name, field.hint), field.default
        if field.name == self.each:
            taken |= GenericAlias(Iterable, (taken,))
        if field.name in self.open_fields:
            taken, default = taken | None, None
        is_positional = field.name in self.positional
        return inspect.Parameter(
            field.name,
            _POSITIONAL if is_positional else inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if default is MISSING else default,
            annotation=taken,
        )

    def place(self, parameter: inspect.Parameter) -> tuple[int, int]:
        """Where it stands among the parameters; ``self`` and the like come first."""
        name = parameter.name
        return parameter.kind, self.positional.index(name) if name in self.positional else -1


def _hints(function: Callable[..., Any], own: Iterable[str]) -> dict[str, Any]:
    """Return the parameters' hints; what the function returns may be imported for types only."""
    annotations = {name: function.__annotations__.get(name) for name in own if name != "self"}
    return get_type_hints(SimpleNamespace(__annotations__=annotations), function.__globals__)


def _taken(name: str, hint: Any) -> Any:
    """Return the types from which ``_read`` makes a field's value."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return reduce(or_, (_taken(name, each) for each in arguments))
    if origin is tuple:
        if arguments[-1] is not Ellipsis:
            return arguments[0] | hint
        if get_origin(arguments[0]) is tuple:
            return GenericAlias(Mapping, get_args(arguments[0]))
        one = _taken(name, arguments[0])
        return one | GenericAlias(Iterable, (one,))
    if name in _STYLES and hint is not NoneType:
        return str | Path | Style
    if hint is Path or (hint is str and name in _PATHS):
        return str | Path
    return str | float | Fraction if hint is Fraction else hint


def _read(name: str, hint: Any, value: Any) -> Any:
    """Make a field's value of one of the types ``_taken``. Raises InputError."""
    kinds = [hint]
    if get_origin(hint) in (Union, UnionType):
        kinds = [each for each in get_args(hint) if each is not NoneType]
        if any(isinstance(value, each) for each in kinds if isinstance(each, type)):
            return value
    kind, arguments = kinds[0], get_args(kinds[0])
    if get_origin(kind) is tuple:
        if isinstance(value, Mapping):
            return tuple(value.items())
        if arguments[-1] is Ellipsis:
            return tuple(_read(name, arguments[0], each) for each in _several(value))
        return tuple(value) if isinstance(value, Iterable) else (value,) * len(arguments)
    if get_origin(kind) is Literal and value not in arguments:
        raise InputError(f"{option_of(name)} {value}: {', '.join(map(str, arguments))} are allowed")
    if name == "fps":
        return fps_of(str(value))
    if kind is Fraction:
        return value if isinstance(value, Fraction) else time_of(option_of(name), str(value))
    if kind is Path:
        return Path(value)
    if kind is float and isinstance(value, int):
        return float(value)  # as the command line does: what was made with 1.0 is used again
    return _text(value) if kind is str else value


def _several(value: Any) -> list[Any]:
    is_one = isinstance(value, str | os.PathLike | Style) or not isinstance(value, Iterable)
    return [value] if is_one else list(value)


def _text(value: Any) -> str:
    """Write a path, or a style that was found, as the command line takes it."""
    if not isinstance(value, Style):
        return str(value)
    if value.path is None:
        return IDENTITY
    if value.name in bundled_styles() and find_style(value.name).path == value.path:
        return value.name
    return f"{value.path}:{mixture_text(value.mixture)}" if value.mixture else str(value.path)
