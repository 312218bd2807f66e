"""The current folder is a user's: no module of it is ever imported."""

# Nothing is imported here that Python itself has not: it might be the user's.
import os
import sys

_OURS = os.path.realpath(os.path.join(__file__, *[".."] * 3))  # noqa: PTH118


def leave_current_folder_out() -> None:
    """Take the current folder off the import path of this process and of all that it starts.

    A folder that this program itself is in stays, as in a checkout of it.
    """
    here = _current_folder()
    sys.path[:] = _without(here, sys.path)
    os.environ["PYTHONSAFEPATH"] = "1"
    given = os.environ.pop("PYTHONPATH", "").split(os.pathsep)
    if kept := [os.path.abspath(entry) for entry in _without(here, given) if entry]:  # noqa: PTH100
        os.environ["PYTHONPATH"] = os.pathsep.join(kept)


def _without(here: str | None, entries: list[str]) -> list[str]:
    """Return the entries without the current folder; to Python an empty one is that, too."""
    if here == _OURS:
        return list(entries)
    return [entry for entry in entries if entry and os.path.realpath(entry) != here]


def _current_folder() -> str | None:
    try:
        return os.path.realpath(os.getcwd())  # noqa: PTH109
    except OSError:  # it has been removed
        return None
