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
_METRICS = {"name": "metrics", "containerPort": 8080}
_PORTS = {"gcs-server": 6379, "dashboard": 8265}
_LABEL = "nst-cluster"
_SPOT = {
    "gke": ("cloud.google.com/gke-spot", "true"),
    "eks": ("eks.amazonaws.com/capacityType", "SPOT"),
    "aks": ("kubernetes.azure.com/scalesetpriority", "spot"),
    "karpenter": ("karpenter.sh/capacity-type", "spot"),
}
"""Labels of spot machines; those of GKE and AKS are taints, too."""


def kuberay_files(spec: ClusterSpec, kubernetes: KubernetesSpec) -> dict[str, Manifest]:
    """Return the manifests by file name."""
    claim = f"{spec.name}-{_VOLUME}"
    cluster = _cluster(spec, kubernetes, claim)
    return {
        "storage.yaml": _storage(spec, kubernetes, claim),
        "raycluster.yaml": {
            "apiVersion": _API,
            "kind": "RayCluster",
            "metadata": _metadata(spec.name, kubernetes),
            "spec": cluster,
        },
        "rayjob.yaml": {
            "apiVersion": _API,
            "kind": "RayJob",
            "metadata": _metadata(f"{spec.name}-job", kubernetes),
            "spec": {
                "entrypoint": shlex.join(("env", "NST_ADDRESS=auto", "nst", *kubernetes.job)),
                "shutdownAfterJobFinishes": True,
                "ttlSecondsAfterFinished": _JOB_KEPT_SECONDS,
                "rayClusterSpec": cluster,
            },
        },
        "podmonitor.yaml": {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PodMonitor",
            "metadata": _metadata(spec.name, kubernetes),
            "spec": {
                "selector": {"matchLabels": {_LABEL: spec.name}},
                "podMetricsEndpoints": [{"port": _METRICS["name"]}],
            },
        },
    }


def _metadata(name: str, kubernetes: KubernetesSpec) -> Manifest:
    where = {} if kubernetes.namespace is None else {"namespace": kubernetes.namespace}
    return {"name": name, **where}


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
        "metadata": _metadata(claim, kubernetes),
        "spec": wanted,
    }


def _cluster(spec: ClusterSpec, kubernetes: KubernetesSpec, claim: str) -> Manifest:
    amounts: dict[str, Any] = {"cpu": spec.head_cpus, "memory": spec.head_memory}
    head = _pod(spec, kubernetes, claim, "ray-head", spec.head_environment(), amounts)
    ports = head["spec"]["containers"][0]["ports"]
    ports += [{"name": name, "containerPort": port} for name, port in _PORTS.items()]
    amounts = {"cpu": spec.worker_cpus, "memory": spec.worker_memory}
    tolerations: list[dict[str, str]] = kubernetes.tolerations()
    labels: dict[str, str] = {}
    if spec.gpus:
        amounts["nvidia.com/gpu"] = spec.gpus
        tolerations.append({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"})
    if kubernetes.gpu_type is not None:
        labels["nvidia.com/gpu.product"] = kubernetes.gpu_type
    if kubernetes.spot is not None:
        key, value = _SPOT[kubernetes.spot]
        labels[key] = value
        if kubernetes.spot in ("gke", "aks"):
            tolerations.append(
                {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
            )
    worker = _pod(spec, kubernetes, claim, "ray-worker", spec.node_environment(), amounts)
    worker["spec"] |= {"tolerations": tolerations} if tolerations else {}
    worker["spec"] |= {"nodeSelector": labels} if labels else {}
    return {
        "rayVersion": ray.__version__,
        "authOptions": {"mode": "token"},
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {"version": "v2", "idleTimeoutSeconds": _IDLE_SECONDS},
        "headGroupSpec": {
            # In its pod; a Service inside the cluster leads there, and asks for the token.
            "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},  # noqa: S104
            "template": head,
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


def _pod(
    spec: ClusterSpec,
    kubernetes: KubernetesSpec,
    claim: str,
    name: str,
    environment: dict[str, str],
    amounts: dict[str, Any],
) -> Manifest:
    quantities = {what: str(amount) for what, amount in amounts.items()}
    variables = {**environment, **kubernetes.variables()}
    container: Manifest = {
        "name": name,
        "image": spec.image,
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "resources": {"requests": dict(quantities), "limits": dict(quantities)},
        "ports": [dict(_METRICS)],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": _VOLUME, "mountPath": spec.shared}],
    }
    if kubernetes.env_secret:
        container["envFrom"] = [{"secretRef": {"name": name}} for name in kubernetes.env_secret]
    content: Manifest = {
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
    if kubernetes.service_account is not None:
        content["serviceAccountName"] = kubernetes.service_account
    if kubernetes.image_pull_secret:
        content["imagePullSecrets"] = [{"name": name} for name in kubernetes.image_pull_secret]
    return {"metadata": {"labels": {_LABEL: spec.name}}, "spec": content}
