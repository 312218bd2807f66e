"""The wheel holds exactly our five packages, and nobody else owns their names."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

from nst_core import __version__

ROOT = Path(__file__).parents[1]
OURS = {"nst", "pipeline", "nst_core", "jobs", "cluster"}


def test_the_wheel_lists_exactly_the_five_packages_with_their_types() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == OURS
    assert all((ROOT / name / "py.typed").is_file() for name in OURS)
    assert project["project"]["version"] == __version__
    assert "Private :: Do Not Upload" in project["project"]["classifiers"]


def test_no_other_distribution_owns_our_names() -> None:
    owners = importlib.metadata.packages_distributions()
    for name in OURS:
        assert set(owners.get(name, ["nst"])) <= {"nst"}, f"{name} belongs to {owners[name]}"


def test_the_bundled_styles_are_inside_a_package() -> None:
    assert list((ROOT / "nst_core" / "checkpoints" / "bundled" / "styles").glob("*.safetensors"))


def test_the_changelog_knows_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^## {re.escape(__version__)}\b", text, re.MULTILINE)


def test_documents_link_only_to_files_that_exist() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_pictures_in_documents_are_light() -> None:
    for picture in (ROOT / "docs").rglob("*"):
        if picture.suffix in (".png", ".jpg"):
            assert picture.stat().st_size < 300_000, picture.name
