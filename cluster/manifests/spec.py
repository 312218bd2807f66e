"""What a rendered cluster is to be like, checked at birth."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cluster.environment import HEAD_ENVIRONMENT, NODE_ENVIRONMENT
from nst_core.checks import check_at_least
from nst_core.errors import InputError

Provider = Literal["aws", "gcp"]
Spot = Literal["gke", "eks", "aks", "karpenter"]
Manifest = dict[str, Any]

BASE_IMAGE = "python:3.11.14-slim-bookworm"

_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9][\w./:@-]*")
_EXACT_IMAGE = re.compile(r"[a-z0-9][\w./:-]*(:[\w.-]+|@sha256:[0-9a-f]{64})")
_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_TOLERATION = re.compile(
    r"(?P<key>[\w./-]+)(=(?P<value>[\w.-]*))?(:(?P<effect>NoSchedule|NoExecute|PreferNoSchedule))?"
)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SIZE = re.compile(r"[1-9]\d*(Mi|Gi|Ti)")
_PATH = re.compile(r"/[\w./-]+")


@dataclass(frozen=True)
class ClusterSpec:
    """A head that computes nothing, and workers that come and go."""

    name: str = "nst"
    image: str = "nst:latest"
    """Container image; the Dockerfile written builds it."""
    base_image: str = BASE_IMAGE
    """Image that the Dockerfile begins with.

    NAME@sha256:... is the same for ever."""
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
            ("--base-image", self.base_image, _EXACT_IMAGE, f"NAME:TAG such as {BASE_IMAGE}"),
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
class ComposeSpec:
    """What only docker compose has names for."""

    data: Path | None = None
    """Folder of this machine that all containers find under the same path."""

    def __post_init__(self) -> None:
        if self.data is not None and not self.data.is_dir():
            raise InputError(f"--data {self.data}: a folder that exists is needed")


@dataclass(frozen=True)
class KubernetesSpec:
    """What only Kubernetes has names for."""

    gpu_type: str | None = None
    """Label nvidia.com/gpu.product of the machines, such as NVIDIA-L4."""
    storage_class: str | None = None
    """Storage class of a volume that many nodes write (ReadWriteMany); None: the default one."""
    job: tuple[str, ...] = ("doctor",)
    """Command that the RayJob runs, without nst, in quotes."""
    namespace: str | None = None
    """Namespace that everything is in; default: the one in use."""
    service_account: str | None = None
    """Service account of all pods: what a bucket may know them by."""
    image_pull_secret: tuple[str, ...] = ()
    """Secret with which the image is fetched; may be given several times."""
    env: tuple[str, ...] = ()
    """NAME=VALUE in the environment of all pods; may be given several times."""
    env_secret: tuple[str, ...] = ()
    """Secret whose keys are variables in all pods, as for a bucket; may be given several times."""
    toleration: tuple[str, ...] = ()
    """KEY[=VALUE][:EFFECT], a taint that workers tolerate; may be given several times."""
    spot: Spot | None = None
    """Workers on spot machines, of which kind of cluster: they may be taken away."""

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
        names = [("--namespace", self.namespace), ("--service-account", self.service_account)]
        names += [("--image-pull-secret", name) for name in self.image_pull_secret]
        names += [("--env-secret", name) for name in self.env_secret]
        for option, name in names:
            if name is not None and not _DNS_NAME.fullmatch(name):
                raise InputError(f"{option} {name}: small letters, digits, - and . are allowed")
        for text in self.env:
            if not _VARIABLE.fullmatch(text):
                raise InputError(f"--env {text.partition('=')[0]}: NAME=VALUE is needed")
        for text in self.toleration:
            if not _TOLERATION.fullmatch(text):
                raise InputError(
                    f"--toleration {text}: KEY, KEY=VALUE or either with :NoSchedule, :NoExecute "
                    "or :PreferNoSchedule is needed"
                )

    def variables(self) -> dict[str, str]:
        """Return the variables of ``env`` by name."""
        return dict(text.split("=", 1) for text in self.env)

    def tolerations(self) -> list[dict[str, str]]:
        """Return what stands in ``toleration`` as Kubernetes writes it."""
        matches = [_TOLERATION.fullmatch(text) for text in self.toleration]
        return [
            {
                "key": match["key"],
                "operator": "Exists" if match["value"] is None else "Equal",
                **({} if match["value"] is None else {"value": match["value"]}),
                **({"effect": match["effect"]} if match["effect"] else {}),
            }
            for match in matches
            if match
        ]


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
    machine_image: str | None = None
    """Image of the machines: ami-... of AWS, projects/... of Google Cloud.

    With docker and a driver for the CUDA that torch is built with. Default: the provider's newest
    one for deep learning."""
    disk: int = 200
    """GB of each machine's own disk; the container's image takes some 20 of them."""
    instance_profile: str | None = None
    """Instance profile of AWS for all nodes.

    Default: NAME-node, which is made with the policy written beside the file."""
    bucket: tuple[str, ...] = ()
    """Bucket of S3 that the policy lets all nodes read and write; may be given several times."""
    service_account: str | None = None
    """Address of a service account of Google Cloud, which buckets know the workers by."""

    def __post_init__(self) -> None:
        if self.provider == "gcp" and not self.project:
            raise InputError("--provider gcp: --project names the project that is billed")
        for option, given, provider in (
            ("--project", self.project, "gcp"),
            ("--service-account", self.service_account, "gcp"),
            ("--instance-profile", self.instance_profile, "aws"),
            ("--bucket", self.bucket and self.bucket[0], "aws"),
        ):
            if given and provider != self.provider:
                raise InputError(f"{option} {given}: it belongs to --provider {provider}")
        if self.instance_profile and self.bucket:
            raise InputError(
                "--bucket and --instance-profile: a profile of your own has its own policy; use one"
            )
        if (self.region is None) != (self.zone is None):
            raise InputError("--region and --zone go together: name both, or neither")
        if self.region and self.zone and not self.zone.startswith(self.region):
            raise InputError(f"--zone {self.zone}: not in --region {self.region}")
        start = "projects/" if self.provider == "gcp" else ("ami-", "resolve:ssm:")
        if self.machine_image is not None and not self.machine_image.startswith(start):
            allowed = "projects/..." if self.provider == "gcp" else "ami-... or resolve:ssm:..."
            raise InputError(f"--machine-image {self.machine_image}: {allowed} is allowed")
        for bucket in self.bucket:
            if not _BUCKET.fullmatch(bucket):
                raise InputError(f"--bucket {bucket}: a name is allowed, without s3://")
        check_at_least(50, "--disk", self.disk)
