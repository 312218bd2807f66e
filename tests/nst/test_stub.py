"""The types of the ten names, held against ``nst/__init__.pyi``.

Where a specification's fields change, ``python -m tests.nst.test_stub`` writes the file anew.
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from types import FunctionType, NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import nst
from jobs.preview.preview import PreviewReport
from jobs.training.train import TrainingReport
from nst_core.kept_stylizers import KeptStylizers
from pipeline.films.report import StylizeVideoReport
from pipeline.pictures.report import StylizeImagesReport

_STUB = Path(nst.__file__).with_suffix(".pyi")
_RETURNED = (PreviewReport, StylizeImagesReport, StylizeVideoReport, TrainingReport)
_FOR_TYPES_ONLY = {each.__name__: each for each in (KeptStylizers, *_RETURNED)}
_INDENT = "    "
_HEAD = (
    '"""Written by `python -m tests.nst.test_stub`: functions take the fields of specifications."""'
)


class _Stub:
    """Writes the file; what it imports comes to light on the way."""

    def __init__(self) -> None:
        self._imports = {("nst_core.errors", "NstError as NstError")}
        self._variables: dict[str, str] = {}

    def text(self) -> str:
        """Return all of it, as ruff formats it."""
        named = {name: getattr(nst, name) for name in nst.__all__ if name != "NstError"}
        bodies = [
            self._class(one) if isinstance(one, type) else self._function(one)
            for one in named.values()
        ]
        lines = [
            _HEAD,
            *(f"from {module} import {name}" for module, name in sorted(self._imports)),
            *self._variables.values(),
            f"__version__: str\n__all__ = {nst.__all__}",
            *bodies,
        ]
        command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", _STUB.name, "-"]
        formatted = subprocess.run(
            command, input="\n".join(lines), capture_output=True, text=True, check=True
        )
        return formatted.stdout

    def _class(self, one: type) -> str:
        (base,) = one.__bases__
        bases = ":" if base is object else f"({self._written(base)}):  # type: ignore[misc]"
        hints = get_type_hints(one)
        members = [f"{name}: {self._written(hints[name])}" for name in one.__annotations__]
        for name, value in vars(one).items():
            if isinstance(value, property):
                members.append("@property\n" + self._function(value.fget))
            elif isinstance(value, FunctionType) and (
                not name.startswith("_") or name in ("__init__", "__call__")
            ):
                members.append(self._function(value))
        body = "\n".join([_documentation(one), *members])
        return f"class {one.__name__}{bases}\n{textwrap.indent(body, _INDENT)}"

    def _function(self, function: Any) -> str:
        inner: Any = inspect.unwrap(function)
        hints = get_type_hints(inner, inner.__globals__, _FOR_TYPES_ONLY)
        parameters: list[str] = []
        for one in inspect.signature(function).parameters.values():
            if one.kind is inspect.Parameter.KEYWORD_ONLY and "*" not in parameters:
                parameters.append("*")
            parameters.append(self._parameter(one, hints))
        head = (
            f"def {inner.__name__}({', '.join(parameters)},) -> {self._written(hints['return'])}:"
        )
        body = _documentation(inner) if inner.__doc__ else "..."
        return f"{head}\n{textwrap.indent(body, _INDENT)}"

    def _parameter(self, one: inspect.Parameter, hints: dict[str, Any]) -> str:
        if one.name == "self":
            return one.name
        hint = hints[one.name] if isinstance(one.annotation, str) else one.annotation
        text = f"{one.name}: {self._written(hint)}"
        if one.default is inspect.Parameter.empty:
            return text
        is_plain = isinstance(one.default, str | int | float | NoneType)
        default = json.dumps(one.default) if isinstance(one.default, str) else repr(one.default)
        return f"{text} = {default if is_plain else '...'}"

    def _written(self, hint: Any) -> str:
        origin, arguments = get_origin(hint), get_args(hint)
        if hint is None or hint is NoneType:
            return "None"
        if hint is Ellipsis:
            return "..."
        if origin in (Union, UnionType):
            return " | ".join(map(self._written, arguments))
        if isinstance(hint, list):
            return f"[{', '.join(map(self._written, hint))}]"
        if isinstance(hint, TypeVar):
            constraints = ", ".join(map(self._written, hint.__constraints__))
            self._imports.add(("typing", "TypeVar"))
            self._variables[hint.__name__] = (
                f'{hint.__name__} = TypeVar("{hint.__name__}", {constraints})'
            )
            return hint.__name__
        if origin is Literal:
            self._imports.add(("typing", "Literal"))
            return f"Literal[{', '.join(map(json.dumps, arguments))}]"
        if origin is not None:
            return f"{self._written(origin)}[{', '.join(map(self._written, arguments))}]"
        name: str = hint.__name__
        if hint.__module__ != "builtins":
            self._imports.add((hint.__module__, name))
        return name


def _documentation(documented: Any) -> str:
    """Return its docstring, without the keywords' help: ``help()`` has that."""
    text = inspect.getdoc(inspect.unwrap(documented)) or ""
    return f'"""{text}\n"""' if "\n" in text else f'"""{text}"""'


def test_the_types_are_those_of_the_specifications() -> None:
    assert _Stub().text().splitlines() == _STUB.read_text().splitlines()


if __name__ == "__main__":
    _STUB.write_text(_Stub().text())
