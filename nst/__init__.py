"""`nst` in Python: stylizing, previewing, fitting and training by functions, as its commands do.

Nothing is imported before it is used.
"""

from importlib import import_module as _import_module

from nst_core import __version__ as __version__

_PLACES = {
    "NstError": "nst_core.errors",
    "RandomStyle": "nst._transform",
    "StylizeBatches": "nst._batches",
    "Stylizer": "nst._stylizer",
    "fit_style": "nst._styles",
    "load_style": "nst._styles",
    "preview": "nst._files",
    "stylize_images": "nst._files",
    "stylize_video": "nst._files",
    "train_style": "nst._styles",
}
__all__ = [*_PLACES]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_import_module(_PLACES[name]), name)
    return value


def __dir__() -> list[str]:
    return [*globals().keys() - {*_PLACES}, *_PLACES]
