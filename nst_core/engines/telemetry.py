"""Libraries that would tell their makers of this machine, kept from it.

OpenVINO and onnxruntime write a number that stands for the machine into the user's home, and send
it with news of what is done, unless they are told not to before they are imported.
"""

from __future__ import annotations

import os
import sys


def no_telemetry() -> None:
    """Keep OpenVINO and onnxruntime silent in this process; to be called before their imports."""
    # Without the package OpenVINO does nothing in its place; there is no switch.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
