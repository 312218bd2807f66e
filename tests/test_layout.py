"""The layout of the packages: a stranger takes in a folder, and a file, at a look."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import av
import grimp
import pytest

ROOT = Path(__file__).parents[1]
_PACKAGES = ("nst", "jobs", "cluster", "pipeline", "nst_core")
_FILES = sorted(file for package in _PACKAGES for file in (ROOT / package).rglob("*.py"))
_FOLDERS = sorted({file.parent for file in _FILES})


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("folder", _FOLDERS, ids=_name)
def test_a_folder_has_fourteen_modules_at_most_and_says_what_it_holds(folder: Path) -> None:
    assert len([*folder.glob("*.py")]) <= 14
    assert (folder / "__init__.py").read_text().startswith('"""')


def test_the_map_in_the_architecture_has_every_folder_in_its_own_words() -> None:
    told = (ROOT / "ARCHITECTURE.md").read_text()
    lines = {" ".join(line.split()) for line in told.splitlines()}
    for folder in (folder for folder in _FOLDERS if folder.parent != ROOT):
        says = (folder / "__init__.py").read_text().splitlines()[0].strip('".')
        name = "/".join(folder.relative_to(ROOT).parts[1:])
        assert f"{name}/ {says}" in lines


def test_every_file_that_the_architecture_names_is_there() -> None:
    told = (ROOT / "ARCHITECTURE.md").read_text()
    named = {name for name in re.findall(r"`([\w./-]+\.(?:py|md))`", told) if "/" in name}
    assert len(named) > 100
    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_files_have_400_lines_at_most() -> None:
    lines = {_name(file): len(file.read_text().splitlines()) for file in _FILES}
    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_docstrings_say_first_what_a_thing_is() -> None:
    assert [_name(file) for file in _FILES if '"""Of ' in file.read_text()] == []


def test_no_module_imports_one_that_imports_it() -> None:
    """Imports for types only do not count; those inside functions do."""
    graph = grimp.build_graph(
        _PACKAGES[0], *_PACKAGES[1:], exclude_type_checking_imports=True, cache_dir=None
    )
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_importing_a_module_sets_nothing_outside_it() -> None:
    """Libraries are set up by ``configure``, where a process begins, and PyAV is left as it is."""
    assert [found for file in _FILES for found in _does_at_import(file)] == [
        "jobs/cli/__main__.py: leave_current_folder_out()",
        "jobs/cli/__main__.py: main()",
        "jobs/cli/cluster/cluster.py: app.add_typer(render.app, name='render')",
        "jobs/cli/commands/evaluate.py: app.callback()(_with_all_options(_old_form))",
        "jobs/cli/networks/styles.py: app.command()(fit)",
        "jobs/cli/networks/styles.py: app.command()(push)",
        "nst_core/large_pictures/lazy_layers.py: FUNCTIONS.update(_LAYERS)",
    ]
    assert av.logging.get_level() is None


def _does_at_import(file: Path) -> Iterator[str]:
    """What a module does beside importing, defining and naming things of its own."""
    for node in ast.parse(file.read_text()).body:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.ClassDef():
                continue
            case ast.AsyncFunctionDef():
                continue
            case ast.Expr(ast.Constant()) | ast.AnnAssign(target=ast.Name()):
                continue
            case ast.Assign(targets=[ast.Name() | ast.Tuple()]):
                continue
            case ast.If(test=ast.Name("TYPE_CHECKING") | ast.Compare(left=ast.Name("__name__"))):
                continue
        yield f"{_name(file)}: {ast.unparse(node)}"
