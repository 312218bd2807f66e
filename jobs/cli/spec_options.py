"""The options of a command, made from the fields of the specifications that it takes.

A field's name, type, default and documentation (its first paragraph) are the option's; a ``Look``
says the rest. A field that is itself a specification stands for the options of its own fields.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, is_dataclass, replace
from functools import cache
from itertools import pairwise
from keyword import iskeyword
from types import GenericAlias, MappingProxyType
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import typer

Look = dict[str, Any]
"""Keywords of typer.Option; ``names``, ``default`` and ``kind`` (the type) where they are not the
field's; ``read``, a function that makes the field's value of one of that kind."""
Looks = Mapping[str, Look]
"""By the field's name."""
Command = Callable[..., None]
Specification = TypeVar("Specification")


@dataclass(frozen=True)
class Given(Generic[Specification]):
    """What was given of a specification, for a command that has defaults of its own."""

    kind: Any
    options: _Options
    values: Mapping[str, Any]

    def build(self, **defaults: Any) -> Specification:
        """Return the specification; ``defaults`` stand for fields not given. Raises InputError."""
        built: Specification = self.options.build(self.kind, self.values, defaults=defaults)
        return built

    @property
    def fields(self) -> dict[str, Any]:
        """The values that were given, by field. Raises InputError."""
        read = {each.name: self.options.read(each.name, self.values) for each in _fields(self.kind)}
        return {name: value for name, value in read.items() if value is not None}


def from_specifications(
    looks: Looks, *, argument: str = "", each: str = "", without: str = ""
) -> Callable[[Command], Command]:
    """Let the specifications among a command's parameters be given by the options of their fields.

    The field ``argument`` is given without a name. The option of the field ``each`` may be given
    several times: where a tuple of specifications is needed, there is one for each value. The
    fields ``without`` an option, separated by spaces, keep their defaults.
    """
    options = _Options(looks, argument, each, frozenset(without.split()))

    def decorate(command: Command) -> Command:
        hints = get_type_hints(command, include_extras=True)
        parameters: dict[str, inspect.Parameter] = {}
        for parameter in inspect.signature(command).parameters.values():
            kind = _specification(hints[parameter.name])
            own = (parameter.replace(annotation=hints[parameter.name], kind=_KEYWORD),)
            for one in options.parameters(kind) if kind else own:
                parameters.setdefault(one.name, one)
        del hints["return"]

        def call(**values: Any) -> None:
            command(
                **{
                    name: options.value(hint, values) if _specification(hint) else values[name]
                    for name, hint in hints.items()
                }
            )

        call.__name__, call.__doc__ = command.__name__, command.__doc__
        call.__signature__ = inspect.Signature([*parameters.values()])  # type: ignore[attr-defined]
        call.__annotations__ = {name: one.annotation for name, one in parameters.items()}
        return call

    return decorate


@dataclass(frozen=True)
class _Options:
    looks: Looks
    argument: str
    each: str
    without: frozenset[str]

    def parameters(self, kind: Any, over: Any = MISSING) -> Iterator[inspect.Parameter]:
        """Yield the options of a specification, with the defaults of ``over`` or of the class."""
        for field in self._fields(kind, over):
            if inner := _specification(field.hint):
                yield from self.parameters(inner, field.default)
            else:
                yield self._parameter(field)

    def build(
        self,
        kind: Any,
        values: Mapping[str, Any],
        over: Any = MISSING,
        defaults: Mapping[str, Any] = MappingProxyType({}),
    ) -> Any:
        """Return a specification: what was given, else ``defaults``, else what ``over`` has."""
        made = dict(defaults)
        for field in self._fields(kind, over):
            if _specification(field.hint):
                default = made.get(field.name, field.default)
                made[field.name] = self.value(field.hint, values, default)
            elif (given := self.read(field.name, values)) is not None:
                made[field.name] = given
        return kind(**made) if over is MISSING else replace(over, **made)

    def value(self, hint: Any, values: Mapping[str, Any], over: Any = MISSING) -> Any:
        """Return what a parameter or field has that is a specification, or several."""
        kind = _specification(hint)
        if get_origin(hint) is Given:
            return Given(kind, self, values)
        if get_origin(hint) is tuple:
            return tuple(self.build(kind, {**values, self.each: one}) for one in values[self.each])
        return self.build(kind, values, over)

    def read(self, name: str, values: Mapping[str, Any]) -> Any:
        """Return a field's value; None where it was not given. Raises InputError."""
        value = values.get(self._called(name))
        if "read" in self.looks.get(name, {}):
            value = self.looks[name]["read"](value)
        return tuple(value) or None if isinstance(value, list | tuple) else value

    def _called(self, name: str) -> str:
        """Return the parameter's name, which is the option's but for ``--from``."""
        own, *_ = self.looks.get(name, {}).get("names", (name,))
        own = own.lstrip("-").partition("/")[0].replace("-", "_")
        return name if iskeyword(own) else own

    def _fields(self, kind: Any, over: Any) -> Iterator[_Field]:
        for field in _fields(kind):
            if field.name not in self.without:
                yield (
                    field if over is MISSING else replace(field, default=getattr(over, field.name))
                )

    def _parameter(self, field: _Field) -> inspect.Parameter:
        hint: Any = field.hint
        look = {"default": field.default, "help": field.help, **self.looks.get(field.name, {})}
        default, names = look.pop("default"), look.pop("names", ())
        look.pop("read", None)
        if "kind" in look:
            hint = look.pop("kind")
        elif get_origin(hint) is tuple:
            hint = GenericAlias(list, get_args(hint)[:1])
            default = MISSING if default is MISSING else None
        elif field.name == self.each:
            hint = GenericAlias(list, (hint,))
        if default is False:
            names = names or (f"--{field.name.replace('_', '-')}",)  # and no --no-...
        about: Any = typer.Option(*names, **look)
        if field.name == self.argument:
            about = typer.Argument(**look)
        return inspect.Parameter(
            self._called(field.name),
            _KEYWORD,
            default=inspect.Parameter.empty if default is MISSING else default,
            annotation=Annotated[hint | None if default is None else hint, about],
        )


_KEYWORD = inspect.Parameter.KEYWORD_ONLY


@dataclass(frozen=True)
class _Field:
    name: str
    hint: Any
    default: Any
    help: str | None


@cache
def _fields(kind: Any) -> tuple[_Field, ...]:
    hints, help_of = get_type_hints(kind), _documentation(kind)
    return tuple(
        _Field(
            each.name,
            hints[each.name],
            each.default if each.default_factory is MISSING else each.default_factory(),
            help_of.get(each.name),
        )
        for each in dataclasses.fields(kind)
    )


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


def _specification(hint: Any) -> Any:
    """Return the dataclass that a hint means, with Given or as a tuple of it, too; else None."""
    kind = get_args(hint)[0] if get_origin(hint) in (tuple, Given) else hint
    return kind if is_dataclass(kind) else None
