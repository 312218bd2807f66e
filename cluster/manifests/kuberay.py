"""Kubernetes: a RayCluster or a RayJob for the KubeRay operator (1.7), and their shared volume."""

from __future__ import annotations

import shlex
from typing import Any

import ray

from cluster.manifests.container import USER
from cluster.manifests.spec import ClusterSpec, KubernetesSpec, Manifest

_API = "ray.io/v1"
_VOLUME = "shared"
_IDLE_SECONDS = 120
_JOB_KEPT_SECONDS = 600
_PORTS = {"gcs-server": 6379, "dashboard": 8265}


def kuberay_files(spec: ClusterSpec, kubernetes: KubernetesSpec) -> dict[str, Manifest]:
    """Return the manifests by file name."""
    claim = f"{spec.name}-{_VOLUME}"
    cluster = _cluster(spec, kubernetes, claim)
    return {
        "storage.yaml": _storage(spec, kubernetes, claim),
        "raycluster.yaml": {
            "apiVersion": _API,
            "kind": "RayCluster",
            "metadata": {"name": spec.name},
            "spec": cluster,
        },
        "rayjob.yaml": {
            "apiVersion": _API,
            "kind": "RayJob",
            "metadata": {"name": f"{spec.name}-job"},
            "spec": {
                "entrypoint": shlex.join(("env", "NST_ADDRESS=auto", "nst", *kubernetes.job)),
                "shutdownAfterJobFinishes": True,
                "ttlSecondsAfterFinished": _JOB_KEPT_SECONDS,
                "rayClusterSpec": cluster,
            },
        },
    }


def _storage(spec: ClusterSpec, kubernetes: KubernetesSpec, claim: str) -> Manifest:
    wanted: Manifest = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": spec.storage}},
    }
    if kubernetes.storage_class is not None:
        wanted["storageClassName"] = kubernetes.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim},
        "spec": wanted,
    }


def _cluster(spec: ClusterSpec, kubernetes: KubernetesSpec, claim: str) -> Manifest:
    head = _container(
        "ray-head",
        spec,
        spec.head_environment(),
        {"cpu": spec.head_cpus, "memory": spec.head_memory},
    )
    head["ports"] = [{"name": name, "containerPort": port} for name, port in _PORTS.items()]
    amounts: dict[str, Any] = {"cpu": spec.worker_cpus, "memory": spec.worker_memory}
    if spec.gpus:
        amounts["nvidia.com/gpu"] = spec.gpus
    worker = _pod(_container("ray-worker", spec, spec.node_environment(), amounts), claim)
    if spec.gpus:
        worker["spec"]["tolerations"] = [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
        ]
    if kubernetes.gpu_type is not None:
        worker["spec"]["nodeSelector"] = {"nvidia.com/gpu.product": kubernetes.gpu_type}
    return {
        "rayVersion": ray.__version__,
        "authOptions": {"mode": "token"},
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {"version": "v2", "idleTimeoutSeconds": _IDLE_SECONDS},
        "headGroupSpec": {
            # In its pod; a Service inside the cluster leads there, and asks for the token.
            "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},  # noqa: S104
            "template": _pod(head, claim),
        },
        "workerGroupSpecs": [
            {
                "groupName": "gpu" if spec.gpus else "cpu",
                "replicas": spec.min_workers,
                "minReplicas": spec.min_workers,
                "maxReplicas": spec.max_workers,
                "rayStartParams": {"num-cpus": str(spec.worker_cpus)},
                "template": worker,
            }
        ],
    }


def _pod(container: Manifest, claim: str) -> Manifest:
    return {
        "spec": {
            "restartPolicy": "Never",  # the autoscaler replaces pods
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
            },
            "containers": [container],
            "volumes": [{"name": _VOLUME, "persistentVolumeClaim": {"claimName": claim}}],
        }
    }


def _container(
    name: str, spec: ClusterSpec, environment: dict[str, str], amounts: dict[str, Any]
) -> Manifest:
    quantities = {what: str(amount) for what, amount in amounts.items()}
    return {
        "name": name,
        "image": spec.image,
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "resources": {"requests": dict(quantities), "limits": dict(quantities)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": _VOLUME, "mountPath": spec.shared}],
    }
