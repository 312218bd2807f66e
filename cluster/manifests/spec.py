"""What a rendered cluster is to be like, checked at birth."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from cluster.environment import HEAD_ENVIRONMENT, NODE_ENVIRONMENT
from nst_core.checks import check_at_least
from nst_core.errors import InputError

Provider = Literal["aws", "gcp"]
Manifest = dict[str, Any]

_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9][\w./:@-]*")
_SIZE = re.compile(r"[1-9]\d*(Mi|Gi|Ti)")
_PATH = re.compile(r"/[\w./-]+")


@dataclass(frozen=True)
class ClusterSpec:
    """A head that computes nothing, and workers that come and go."""

    name: str = "nst"
    image: str = "nst:latest"
    """Container image; the Dockerfile written builds it."""
    min_workers: int = 0
    """Worker nodes that are always there."""
    max_workers: int = 4
    """Worker nodes at most."""
    gpus: int = 1
    """GPUs of each worker node; 0: workers compute on CPUs."""
    worker_cpus: int = 8
    worker_memory: str = "32Gi"
    head_cpus: int = 4
    head_memory: str = "16Gi"
    storage: str = "200Gi"
    """Size of the shared storage."""
    shared: str = "/shared"
    """Folder at which all nodes find the shared storage."""

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
            check_at_least(least, option, count)
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


@dataclass(frozen=True)
class KubernetesSpec:
    """What only Kubernetes has names for."""

    gpu_type: str | None = None
    """Label nvidia.com/gpu.product of the machines, such as NVIDIA-L4."""
    storage_class: str | None = None
    """Storage class of a volume that many nodes write (ReadWriteMany); None: the default one."""
    job: tuple[str, ...] = ("doctor",)
    """Command that the RayJob runs, without nst, in quotes."""

    def __post_init__(self) -> None:
        if self.gpu_type is not None and not _LABEL.fullmatch(self.gpu_type):
            raise InputError(
                f"--gpu-type {self.gpu_type}: a label's value is allowed, letters, digits and .-_; "
                "`kubectl get nodes -L nvidia.com/gpu.product` shows those that are there"
            )
        if self.storage_class is not None and not _LABEL.fullmatch(self.storage_class):
            raise InputError(
                f"--storage-class {self.storage_class}: a name is allowed; "
                "`kubectl get storageclass` shows those that are there"
            )


@dataclass(frozen=True)
class CloudSpec:
    """What only a cloud has names for; None: a default of the provider."""

    provider: Provider
    """The cloud."""
    region: str | None = None
    """Default: one of the provider's."""
    zone: str | None = None
    """In that region."""
    head_type: str | None = None
    """Machine type of the head."""
    worker_type: str | None = None
    """Machine type of the workers, with its GPUs."""
    project: str | None = None
    """Project of Google Cloud."""
    on_demand: bool = False
    """Workers at the full price, not spot machines.

    They are not taken away."""

    def __post_init__(self) -> None:
        if self.provider == "gcp" and not self.project:
            raise InputError("--provider gcp: --project names the project that is billed")
        if self.provider == "aws" and self.project:
            raise InputError(f"--project {self.project}: it belongs to --provider gcp")
        if (self.region is None) != (self.zone is None):
            raise InputError("--region and --zone go together: name both, or neither")
        if self.region and self.zone and not self.zone.startswith(self.region):
            raise InputError(f"--zone {self.zone}: not in --region {self.region}")
