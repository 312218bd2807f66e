"""What only a GPU can show, in one run of under ten minutes: a line of JSON for each check.

    python -m tests.gpu.acceptance [CHECK...]

The most important come first; after one that fails the next is run. Exits with 1 where one has
failed. Without a CUDA device every check is run as far as a CPU goes, at tiny sizes.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import which

import torch

from nst_core.processors import usable_processors
from tests.gpu import engine_checks, film_checks, speed_checks, training_checks
from tests.gpu.check import Check, CheckError, Figures, Machine
from tests.gpu.runner import print_line, run_checks

_ROOT = Path(__file__).parents[2]
_FILMS = ("av", "cv2", "fsspec", "psutil", "typer")
"""Packages without which no film is stylized."""
_LIBRARIES = ("torch", "torchvision", "triton", "numpy", "av", "ray", "openvino")


def machine(machine: Machine) -> Figures:
    """Tell the device, the compiler and the libraries."""
    figures: Figures = {
        "python": platform.python_version(),
        "cpus": usable_processors(),
        "compiler": which("cc") or which("gcc"),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
    }
    for name in _LIBRARIES:
        try:
            figures[name] = version(name)
        except PackageNotFoundError:
            figures[name] = None
    if machine.on_cuda:
        properties = torch.cuda.get_device_properties(machine.device)
        figures |= {
            "device": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "memory_gb": round(properties.total_memory / 1e9, 1),
            "free_gb": round(torch.cuda.mem_get_info()[0] / 1e9, 1),
        }
    elif os.environ.get("NST_REQUIRE_GPU") == "1":
        raise CheckError("NST_REQUIRE_GPU=1, but torch sees no CUDA device", figures)
    return figures


def gpu_tests(_: Machine) -> Figures:
    """Run the tests that need a GPU."""
    files = sorted(
        str(file.relative_to(_ROOT))
        for file in (_ROOT / "tests").rglob("test_*.py")
        if "@pytest.mark.gpu" in file.read_text()
    )
    # Without the project's own options: they ask for plug-ins that need not be there.
    line = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-m", "gpu", *files]
    ended = subprocess.run(
        line,
        cwd=_ROOT,
        env=os.environ | {"NST_REQUIRE_GPU": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = ended.stdout.strip().splitlines()
    figures: Figures = {"summary": lines[-1] if lines else ""}
    if ended.returncode:
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        raise CheckError("; ".join(failed) or ended.stderr.strip()[-500:], figures)
    return figures


CHECKS = (
    Check("machine", machine, 15),
    Check("threads", engine_checks.threads, 30),
    Check("transfers", engine_checks.transfers, 20),
    Check("synchronisation", engine_checks.synchronisation, 30),
    Check("architectures", engine_checks.architectures, 50),
    Check("four_k", engine_checks.four_k, 20),
    Check("memory", engine_checks.memory, 25),
    Check("forbidden", engine_checks.forbidden, 10, needs_cuda=True),
    Check("ten_bits", engine_checks.ten_bits, 10),
    Check("compilation", speed_checks.compilation, 60, needs=("triton",), needs_cuda=True),
    Check("frames_at_once", speed_checks.frames_at_once, 90),
    Check("large_photo", speed_checks.large_photo, 25),
    Check("clip", film_checks.clip, 45, needs=_FILMS),
    Check("nvenc", film_checks.nvenc, 20, needs=_FILMS),
    Check("nvdec", film_checks.nvdec, 15, needs=_FILMS, needs_cuda=True),
    Check("trainer", training_checks.trainer, 35),
    Check("loaders", training_checks.loaders, 30),
    Check("gpu_tests", gpu_tests, 45, needs=(*_FILMS, "pytest"), needs_cuda=True),
)


def main(names: list[str]) -> int:
    """Run the checks of these names, or all; returns the exit code."""
    unknown = set(names) - {check.name for check in CHECKS}
    if unknown:
        print(f"error: no check {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    chosen = [check for check in CHECKS if check.name in (names or (check.name,))]
    return 0 if run_checks(chosen, print_line) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
