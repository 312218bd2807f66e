"""Encoders as Ray actors, on nodes without a GPU: those with one need their processors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.encoding.encoder_elsewhere import EncoderHost, EncoderLost


def processors_for_encoders() -> int:
    """Return how many encoders the connected cluster can hold, a CPU each."""
    return sum(
        int(node["Resources"].get("CPU", 0))
        for node in ray.nodes()
        if node["Alive"] and not _has_gpu(node)
    )


def hire_encoder() -> EncoderActor | None:
    """Start an encoder that ends with this process; None where no node could hold it."""
    if not processors_for_encoders():
        return None
    return EncoderActor([node["NodeID"] for node in ray.nodes() if _has_gpu(node)])


class EncoderActor:
    """An encoder on any node but some, as its worker sees it: a FarEncoder."""

    def __init__(self, avoided: Sequence[str]) -> None:
        """``avoided`` are the IDs of nodes; it may also wait for one that is still to come."""
        actor_class: Any = ray.remote(
            num_cpus=1,
            max_restarts=0,
            max_task_retries=0,
            label_selector={"ray.io/node-id": f"!in({','.join(avoided)})"} if avoided else None,
        )(EncoderHost)
        self._actor = actor_class.remote()
        self._starting = self._actor.ready.remote()

    def is_ready(self) -> bool:
        """Whether it has started. Raises EncoderLost where it will not."""
        ready, _ = ray.wait([self._starting], timeout=0)
        if ready:
            _result(self._starting)
        return bool(ready)

    def call(self, method: str, *arguments: Any) -> Callable[[], Any]:
        """Call a method, behind the calls before it; what returns waits for its result."""
        return partial(_result, getattr(self._actor, method).remote(*arguments))


def _result(call: ray.ObjectRef) -> Any:
    try:
        return ray.get(call)
    except RayTaskError as error:  # what encoding has raised
        raise error.cause from None
    except RayError as error:  # its process or its node is gone
        raise EncoderLost(str(error)) from error


def _has_gpu(node: dict[str, Any]) -> bool:
    return bool(node["Resources"].get("GPU"))
