"""Styles for others: a checkpoint, a model card and a picture, in a folder or on the hub.

A repository of the Hugging Face Hub, or a folder, has one checkpoint, so that its name alone says
which is meant. It appears whole: a folder by a rename, a repository by one commit.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nst_core.checkpoints.downloaded import HUB, forget, hub_api
from nst_core.checkpoints.fitted import SUFFIX
from nst_core.checkpoints.library import Style, mixture_text
from nst_core.errors import EnvironmentProblem, InputError
from nst_core.files import check_can_write
from nst_core.wording import first_line, listed, quoted

CARD, PREVIEW = "README.md", "preview.jpg"
_BUNDLED = Path(__file__).with_name("bundled")
_PIPELINE_TAGS = {"synthesize": "unconditional-image-generation"}
_EXAMPLES = {
    "stylize": "nst stylize images photos -o stylized --style {}",
    "upscale": "nst upscale photos -o large --model {}",
    "synthesize": "nst synthesize {} -o texture.png --size 512x512",
}
"""By the command that applies a checkpoint; the address is missing."""

Files = Mapping[str, bytes]
"""What is published: contents by their names, the checkpoint's among them."""


def destination(to: str, *, overwrite: bool) -> Callable[[Files], None]:
    """Return what writes files to a folder or to ``hf://user/name``, after looking there.

    Raises InputError for an address of another kind and where something is that would be replaced,
    EnvironmentProblem where the hub's package, a token for it or the network is missing. The
    function raises OSError or EnvironmentProblem.
    """
    if to.startswith("hf://"):
        return _hub_writer(to, overwrite=overwrite)
    if "://" in to:
        raise InputError(f"--to {to}: a folder on this machine or hf://user/name is needed")
    return _folder_writer(Path(to), overwrite=overwrite)


def address_of(style: Style, place: str) -> str:
    """Return what ``--style`` calls it when the checkpoint is at ``place``: of several styles one.

    That is the style or mixture that was named, else the first.
    """
    names = style.info.styles if style.info else ()
    if len(names) < 2:
        return place
    return f"{place}:{mixture_text(style.mixture) if style.mixture else names[0]}"


def model_card(style: Style, place: str, licence: str, *, has_picture: bool) -> str:
    """Return the text, in Markdown, that says what a checkpoint is, and how it was trained.

    ``place`` is where ``--style`` finds it; ``licence`` an SPDX identifier, or empty.
    """
    header = [
        "---",
        *([f"license: {licence}"] if licence else []),
        "library_name: nst",
        f"pipeline_tag: {_PIPELINE_TAGS.get(style.command, 'image-to-image')}",
        *(["tags:", "- style-transfer"] if style.command == "stylize" else []),
        "---",
    ]
    rows = [f"| {name} | {_cell(said)} |" for name, said in _facts(style, licence) if said]
    example = _EXAMPLES[style.command].format(quoted(address_of(style, place)))
    return "\n".join(
        [
            *header,
            f"\n# {style.name}\n",
            *([f"![A picture, and what is made of it]({PREVIEW})\n"] if has_picture else []),
            f"A checkpoint of the program `nst`:\n\n```sh\n{example}\n```\n",
            "| | |\n|---|---|",
            *rows,
            "",
        ]
    )


def _facts(style: Style, licence: str) -> Iterator[tuple[str, str]]:
    assert style.info is not None
    info, training = style.info, style.training
    arguments = ", ".join(f"{name} {value}" for name, value in info.arguments.items())
    yield "network", f"{info.architecture} ({arguments})" if arguments else info.architecture
    yield "styles", ", ".join(info.styles)
    yield "strokes", ", ".join(f"{size:.3g}" for size in info.strokes)
    yield "learnt from", str(training.get("style_image") or training.get("texture_image") or "")
    yield "photographs", str(training.get("photos", ""))
    yield "steps", str(training.get("steps_done") or training.get("training", {}).get("steps", ""))
    losses = training.get("losses", {})
    yield "losses at the end", ", ".join(f"{name} {value:.3g}" for name, value in losses.items())
    for name, found in info.eight_bit.items():
        words = f"{found.mean_decibels} dB of float32, worst photograph {found.least_decibels} dB"
        yield f"in 8 bits{name and f', {name}'}", words
    yield "SHA-256", style.sha256
    yield "licence", licence or "not stated; ask whoever published it"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def default_licence(style: Style) -> str:
    """Return the licence of a checkpoint that ships with the program; empty for all others."""
    return "apache-2.0" if style.path and style.path.is_relative_to(_BUNDLED) else ""


def _folder_writer(folder: Path, *, overwrite: bool) -> Callable[[Files], None]:
    folder = Path(os.path.realpath(folder))  # a link stays, and what it leads to is replaced
    if os.path.lexists(folder) and not folder.is_dir():
        raise InputError(f"--to {folder}: a file; name a folder")
    if folder.is_mount():
        raise InputError(f"--to {folder}: a mount, which nothing replaces; name a folder below it")
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in there if name not in (CARD, PREVIEW) and not name.endswith(SUFFIX)]
    if others:
        raise InputError(
            f"--to {folder}: has other files ({', '.join(others[:3])}); name a new one"
        )
    _check_replaced(str(folder), there, overwrite=overwrite)
    check_can_write(folder.parent)

    def write(files: Files) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
        old = new.with_suffix(".old")
        try:
            new.mkdir()
            for name, content in files.items():
                (new / name).write_bytes(content)
            if there:
                folder.replace(old)
            new.replace(folder)  # an empty folder is replaced, too
        except BaseException:
            if old.exists() and not folder.exists():
                old.replace(folder)
            raise
        finally:
            shutil.rmtree(new, ignore_errors=True)
            if old.exists():
                old.chmod(0o700)  # one for reading only could not be emptied
                shutil.rmtree(old, ignore_errors=True)

    return write


def _hub_writer(address: str, *, overwrite: bool) -> Callable[[Files], None]:
    found = HUB.fullmatch(address)
    if found is None or found[2] or found[3]:
        raise InputError(f"--to {address}: hf://user/name is needed, without a revision or a file")
    repository = found[1]
    api = hub_api(f"--to {address}")
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, get_token
    from huggingface_hub.errors import RepositoryNotFoundError

    if not get_token():
        raise EnvironmentProblem(
            f"--to {address}: no token for the hub; `hf auth login` keeps one, or set HF_TOKEN"
        )
    with _hub_errors(address):
        try:
            there = api.list_repo_files(repository)
        except RepositoryNotFoundError:
            there = []
    there = [name for name in there if name != ".gitattributes"]
    _check_replaced(address, there, overwrite=overwrite)

    def write(files: Files) -> None:
        gone = [name for name in there if name.endswith(SUFFIX) and name not in files]
        with _hub_errors(address):
            api.create_repo(repository, exist_ok=True)
            api.create_commit(
                repository,
                [
                    *(CommitOperationDelete(name) for name in gone),
                    *(CommitOperationAdd(name, content) for name, content in files.items()),
                ],
                commit_message=f"Checkpoint {listed([n for n in files if n.endswith(SUFFIX)])}",
            )
        for kept in (address, *(f"{address}/{name}" for name in files)):
            forget(kept)

    return write


def _check_replaced(to: str, there: list[str], *, overwrite: bool) -> None:
    """Raise InputError where files are there, and are not to be replaced: all checkpoints go."""
    if there and not overwrite:
        names = [name for name in there if name.endswith(SUFFIX)] or there[:3]
        raise InputError(f"--to {to}: has {', '.join(names)}; --overwrite replaces what it has")


@contextmanager
def _hub_errors(address: str) -> Iterator[None]:
    """Tell in one line what the hub, or the way there, refuses. Raises EnvironmentProblem."""
    try:
        yield
    except Exception as error:  # it raises its HTTP library's errors, whichever that is
        status = getattr(getattr(error, "response", None), "status_code", None)
        problem = (
            "the token has no right to write there"
            if status in (401, 403)
            else "the hub does not take it"
            if status
            else "the hub does not answer"
        )
        raise EnvironmentProblem(f"--to {address}: {problem} ({first_line(error)})") from error
