"""Ten names are all that is public, and nothing is imported before one of them is used."""

from __future__ import annotations

import subprocess
import sys

import nst


def test_ten_names_are_public() -> None:
    for name in nst.__all__:
        assert getattr(nst, name).__name__ == name
    public = [name for name in dir(nst) if not name.startswith("_")]
    assert sorted(public) == sorted(nst.__all__)
    assert len(public) == 10


def test_importing_it_imports_nothing_else() -> None:
    # By itself it takes milliseconds: all that could take long is what it imports.
    script = (
        "import importlib, sys\n"
        "before = set(sys.modules)\n"
        "import nst\n"
        "own = {name for name in set(sys.modules) - before if not name.startswith('importlib')}\n"
        "nst.load_style('wave')\n"
        "print(sorted(own - {'warnings'}), {'torch', 'ray', 'av'} & set(sys.modules))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "['nst', 'nst_core'] set()"
