"""What a rendered cluster is to be like, checked at birth."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from cluster.environment import HEAD_ENVIRONMENT, NODE_ENVIRONMENT
from nst_core.errors import InputError

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9][\w./:@-]*")
_SIZE = re.compile(r"[1-9]\d*(Mi|Gi|Ti)")
_PATH = re.compile(r"/[\w./-]+")


@dataclass(frozen=True)
class ClusterSpec:
    """A head that computes nothing, and workers that come and go."""

    name: str = "nst"
    image: str = "nst:latest"
    """Container image; the rendered Dockerfile builds one."""
    min_workers: int = 0
    max_workers: int = 4
    gpus: int = 1
    """GPUs of each worker node; 0: workers compute on CPUs."""
    worker_cpus: int = 8
    worker_memory: str = "32Gi"
    head_cpus: int = 4
    head_memory: str = "16Gi"
    storage: str = "200Gi"
    """Size of the shared storage."""
    shared: str = "/shared"
    """Folder at which every node finds the shared storage."""

    def __post_init__(self) -> None:
        for option, text, pattern, allowed in (
            ("--name", self.name, _NAME, "small letters, digits and -, 40 at most"),
            ("--image", self.image, _IMAGE, "a container image such as registry/nst:0.1"),
            ("--worker-memory", self.worker_memory, _SIZE, "a size such as 32Gi"),
            ("--head-memory", self.head_memory, _SIZE, "a size such as 16Gi"),
            ("--storage", self.storage, _SIZE, "a size such as 200Gi"),
            ("--shared", self.shared, _PATH, "an absolute path such as /shared"),
        ):
            if not pattern.fullmatch(text):
                raise InputError(f"{option} {text}: {allowed} is allowed")
        for option, count, least in (
            ("--min-workers", self.min_workers, 0),
            ("--max-workers", self.max_workers, 1),
            ("--gpus", self.gpus, 0),
            ("--worker-cpus", self.worker_cpus, 1),
            ("--head-cpus", self.head_cpus, 1),
        ):
            if count < least:
                raise InputError(f"{option} {count}: at least {least} is needed")
        if self.min_workers > self.max_workers:
            raise InputError(
                f"--min-workers {self.min_workers}: not more than --max-workers {self.max_workers} "
                "is allowed"
            )

    def node_environment(self) -> dict[str, str]:
        """Return what every node finds in its environment, and with it every command there."""
        room = [{"CPU": self.worker_cpus, "GPU": self.gpus, "nodes": self.max_workers}]
        return {**NODE_ENVIRONMENT, "NST_AUTOSCALES_TO": json.dumps(room)}

    def head_environment(self) -> dict[str, str]:
        """Return what the head finds in its environment."""
        return {**self.node_environment(), **HEAD_ENVIRONMENT}
