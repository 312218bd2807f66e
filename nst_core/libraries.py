"""The libraries below: large ones imported in less time, all of them set to be quiet."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


def configure(*_: object) -> None:
    """Set up libraries in this process; to be called where it begins, and harmless again.

    What it is called with is ignored: loader processes are called with their number.
    """
    from PIL import Image

    # Each file is checked for its pixels by itself; Pillow's bound is one for the whole process.
    Image.MAX_IMAGE_PIXELS = None
    # Pillow warns of damaged metadata that costs nothing, in words that no user can act upon.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    os.environ.setdefault("SVT_LOG", "1")  # errors only: SVT-AV1 writes pages to stderr by itself
    # OpenVINO and onnxruntime write a number that stands for the machine into the user's home, and
    # send it with news of what is done, unless they are told not to before they are imported.
    # Without this package OpenVINO does nothing in its place; there is no switch.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@contextmanager
def first_import(package: str) -> Iterator[None]:
    """Pause the garbage collection inside the block, which imports ``package``.

    An import makes some hundred thousand objects that stay, and the collector would go through them
    time and again: torch takes a tenth less, more beside other work (measured). They are also
    exempt from later collections. Where the package is there already, nothing is paused.
    """
    if package in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
