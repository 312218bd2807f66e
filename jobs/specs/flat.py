"""Specifications given by the fields of all that they hold, as the command line and Python do.

A field that is itself a specification stands for its own fields: ``strength`` is one of a
StylizeVideo's, whose ``style`` is a StyleSpec.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, is_dataclass, replace
from functools import cache
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

Specification = TypeVar("Specification")


@dataclass(frozen=True)
class Field:
    """A field of a specification."""

    name: str
    hint: Any
    default: Any
    help: str | None
    """The first paragraph of the text below it."""


@dataclass(frozen=True)
class Flat:
    """How values by name become specifications."""

    each: str
    """Field of which several values may be given: where a tuple of specifications is needed, there
    is one for each."""
    without: frozenset[str]
    """Fields that keep their defaults."""

    def read(self, field: Field, values: Mapping[str, Any]) -> Any:
        """Return a field's value; None where it was not given. Raises InputError."""
        return values.get(field.name)

    def fields(self, kind: Any, over: Any = MISSING) -> Iterator[Field]:
        """Yield the fields of a specification, with the defaults of ``over`` or of the class."""
        for field in fields_of(kind):
            if field.name not in self.without:
                yield (
                    field if over is MISSING else replace(field, default=getattr(over, field.name))
                )

    def flat_fields(self, kind: Any, over: Any = MISSING) -> Iterator[Field]:
        """Yield these, and instead of a specification among them its own."""
        for field in self.fields(kind, over):
            if inner := specification_of(field.hint):
                yield from self.flat_fields(inner, field.default)
            else:
                yield field

    def build(
        self,
        kind: Any,
        values: Mapping[str, Any],
        over: Any = MISSING,
        defaults: Mapping[str, Any] = MappingProxyType({}),
    ) -> Any:
        """Return a specification: what was given, else ``defaults``, else what ``over`` has."""
        made = dict(defaults)
        for field in self.fields(kind, over):
            if specification_of(field.hint):
                default = made.get(field.name, field.default)
                made[field.name] = self.value(field.hint, values, default)
            elif (given := self.read(field, values)) is not None:
                made[field.name] = given
        return kind(**made) if over is MISSING else replace(over, **made)

    def value(self, hint: Any, values: Mapping[str, Any], over: Any = MISSING) -> Any:
        """Return what a parameter or field has that is a specification, or several."""
        kind = specification_of(hint)
        if get_origin(hint) is Given:
            return Given(kind, self, values)
        if get_origin(hint) is tuple:
            return tuple(self.build(kind, {**values, self.each: one}) for one in values[self.each])
        return self.build(kind, values, over)


@dataclass(frozen=True)
class Given(Generic[Specification]):
    """What was given of a specification, for a function that has defaults of its own."""

    kind: Any
    flat: Flat
    values: Mapping[str, Any]

    def build(self, **defaults: Any) -> Specification:
        """Return the specification; ``defaults`` stand for fields not given. Raises InputError."""
        built: Specification = self.flat.build(self.kind, self.values, defaults=defaults)
        return built

    @property
    def fields(self) -> dict[str, Any]:
        """The values that were given, by field. Raises InputError."""
        fields = self.flat.fields(self.kind)
        read = {each.name: self.flat.read(each, self.values) for each in fields}
        return {name: value for name, value in read.items() if value is not None}


@cache
def fields_of(kind: Any) -> tuple[Field, ...]:
    """Return all fields of a specification, in their order."""
    hints, help_of = get_type_hints(kind), _documentation(kind)
    return tuple(
        Field(
            each.name,
            hints[each.name],
            each.default if each.default_factory is MISSING else each.default_factory(),
            help_of.get(each.name),
        )
        for each in dataclasses.fields(kind)
    )


def specification_of(hint: Any) -> Any:
    """Return the specification that a hint means, with Given or as a tuple of it too; else None."""
    kind = get_args(hint)[0] if get_origin(hint) in (tuple, Given) else hint
    return kind if is_dataclass(kind) else None


def _documentation(kind: type) -> dict[str, str]:
    """Return the first paragraph of the text below each field, those of its bases too."""
    found = {}
    for base in filter(is_dataclass, reversed(kind.__mro__)):
        body = _bodies(base.__module__)[base.__name__]
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                text = ast.literal_eval(below.value).split("\n\n")[0]
                found[ast.unparse(field.target)] = " ".join(text.split())
    return found


@cache
def _bodies(module: str) -> dict[str, list[ast.stmt]]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {each.name: each.body for each in tree.body if isinstance(each, ast.ClassDef)}
