"""The machine that is measured, in words: what its numbers depend on, and nothing that names it."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

import psutil

from nst_core.processors import usable_processors

_PACKAGES = ("nst", "torch", "openvino", "ray", "av", "numpy")
_FLAGS = (
    *("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni"),
    *("amx_tile", "amx_bf16", "amx_int8"),
)
"""The processor's flags that decide how fast convolutions are."""


def describe_machine() -> dict[str, str | int | float]:
    """Processor, memory, system, versions and graphics cards."""
    info = _cpu_info()
    flags = set(info.get("flags", "").split())
    return {
        "processor": info.get("model name") or platform.processor() or platform.machine(),
        "instructions": " ".join(flag for flag in _FLAGS if flag in flags) or "not told",
        "cores": usable_processors(),
        "memory, GB": round(psutil.virtual_memory().total / 1e9, 1),
        "system": _system(),
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "graphics": _graphics(),
    }


def _cpu_info() -> dict[str, str]:
    """What Linux says of the first core; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    first = path.read_text().split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _system() -> str:
    name = f"{platform.system()} {platform.release()} {platform.machine()}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {name}"
    except (OSError, KeyError):
        return name


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _graphics() -> str:
    import torch

    if not torch.cuda.is_available():
        return "none that torch can use"
    cards = [
        torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())
    ]
    return ", ".join(f"{card.name}, {card.total_memory / 1e9:.0f} GB" for card in cards)
