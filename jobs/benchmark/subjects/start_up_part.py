"""Timing one part of starting up, in a process that does nothing else: a script.

It prints a JSON object of seconds by name.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module

from nst_core.libraries import configure

_STYLE = "wave"
_WIDTH, _HEIGHT = 640, 360


def main() -> None:
    """Time the part that the command line names."""
    configure()
    print(json.dumps(PARTS[sys.argv[1]]()))


def _imports(*modules: str) -> Callable[[], dict[str, float]]:
    def load() -> None:
        for module in modules:
            import_module(module)

    return lambda: {"seconds": _seconds(load)}


def _command() -> dict[str, float]:
    def read() -> None:
        import typer

        from jobs.cli.registry import app_for

        typer.main.get_command(app_for(("stylize",)))

    return {"seconds": _seconds(read)}


def _ray() -> dict[str, float]:
    """Ray from its import to its answer, and a worker process that does nothing."""
    from cluster.connection import ray_session

    start = time.perf_counter()
    with ray_session():
        started = time.perf_counter()
        import ray

        @ray.remote(num_cpus=1)
        class Nothing:
            def ready(self) -> None:
                pass

        ray.get(Nothing.remote().ready.remote())  # type: ignore[attr-defined]
        return {"ray": started - start, "actor": time.perf_counter() - started}


def _stock() -> dict[str, float]:
    """Ray from its import to its answer, with no setting but that it shows no dashboard."""
    start = time.perf_counter()
    import ray

    ray.init(address="local", include_dashboard=False, logging_level="ERROR")
    return {"stock": time.perf_counter() - start}


def _model() -> dict[str, float]:
    """One worker's network from the warm cache, and the first frame through it."""
    import numpy as np

    from nst_core.checkpoints.library import find_style
    from nst_core.stylizer import Stylizer

    style = find_style(_STYLE)
    frame = np.zeros((_HEIGHT, _WIDTH, 3), np.uint8)
    start = time.perf_counter()
    stylizer = Stylizer(style, threads=1)
    compiled = time.perf_counter()
    stylizer.stylize(frame)
    return {"compile": compiled - start, "frame": time.perf_counter() - compiled}


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


PARTS: Mapping[str, Callable[[], dict[str, float]]] = {
    "command": _command,
    "driver": _imports("jobs.applying.stylize_video"),
    "torch": _imports("torch"),
    "worker": _imports("pipeline.segments.worker", "nst_core.engines.openvino_engine"),
    "ray": _ray,
    "stock": _stock,
    "model": _model,
}

if __name__ == "__main__":
    main()
