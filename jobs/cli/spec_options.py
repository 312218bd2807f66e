"""The options of a command, made from the fields of the specifications that it takes.

A field's name, type, default and documentation (its first paragraph) are the option's; a ``Look``
says the rest. A field that is itself a specification stands for the options of its own fields.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from keyword import iskeyword
from types import GenericAlias
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from jobs.specs.flat import Field, Flat, specification_of

Look = dict[str, Any]
"""Keywords of typer.Option; ``names``, ``default`` and ``kind`` (the type) where they are not the
field's; ``read``, a function that makes the field's value of one of that kind."""
Looks = Mapping[str, Look]
"""By the field's name."""
Command = Callable[..., None]


def from_specifications(
    looks: Looks, *, argument: str = "", each: str = "", without: str = ""
) -> Callable[[Command], Command]:
    """Let the specifications among a command's parameters be given by the options of their fields.

    The field ``argument`` is given without a name. The option of the field ``each`` may be given
    several times: where a tuple of specifications is needed, there is one for each value. The
    fields ``without`` an option, separated by spaces, keep their defaults.
    """
    options = _Options(each, frozenset(without.split()), looks, argument)

    def decorate(command: Command) -> Command:
        hints = get_type_hints(command, include_extras=True)
        parameters: dict[str, inspect.Parameter] = {}
        for parameter in inspect.signature(command).parameters.values():
            kind = specification_of(hints[parameter.name])
            own = (parameter.replace(annotation=hints[parameter.name], kind=_KEYWORD),)
            for one in options.parameters(kind) if kind else own:
                parameters.setdefault(one.name, one)
        del hints["return"]

        def call(**values: Any) -> None:
            command(
                **{
                    name: options.value(hint, values) if specification_of(hint) else values[name]
                    for name, hint in hints.items()
                }
            )

        call.__name__, call.__doc__ = command.__name__, command.__doc__
        call.__signature__ = inspect.Signature([*parameters.values()])  # type: ignore[attr-defined]
        call.__annotations__ = {name: one.annotation for name, one in parameters.items()}
        return call

    return decorate


@dataclass(frozen=True)
class _Options(Flat):
    looks: Looks
    argument: str

    def parameters(self, kind: Any) -> Iterator[inspect.Parameter]:
        """Yield the options of a specification."""
        return map(self._parameter, self.flat_fields(kind))

    def read(self, field: Field, values: Mapping[str, Any]) -> Any:
        """Return a field's value; None where it was not given. Raises InputError."""
        value = values.get(self._called(field.name))
        if "read" in self.looks.get(field.name, {}):
            value = self.looks[field.name]["read"](value)
        return tuple(value) or None if isinstance(value, list | tuple) else value

    def _called(self, name: str) -> str:
        """Return the parameter's name, which is the option's but for ``--from``."""
        own, *_ = self.looks.get(name, {}).get("names", (name,))
        own = own.lstrip("-").partition("/")[0].replace("-", "_")
        return name if iskeyword(own) else own

    def _parameter(self, field: Field) -> inspect.Parameter:
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
