"""AWS and Google Cloud: the file for `ray up`, with spot machines as workers."""

from __future__ import annotations

import copy
from functools import partial

from cluster.manifests.spec import CloudSpec, ClusterSpec, Manifest
from nst_core.errors import InputError

_POLICY_LANGUAGE = "2012-10-17"
_TOKEN_IN_CONTAINER = "/home/nst/.ray/auth_token"  # noqa: S105 - a path
_IDLE_MINUTES = 5
_IMAGES = {
    # The newest one, looked up when a machine starts: its driver is of CUDA 13 or later.
    "aws": "resolve:ssm:/aws/service/deeplearning/ami/x86_64/"
    "base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id",
    "gcp": "projects/deeplearning-platform-release/global/images/family/"
    "common-cu129-ubuntu-2204-nvidia-580",
}
_IMAGE_PARAMETERS = "arn:aws:ssm:*::parameter/aws/service/deeplearning/*"
_DEFAULTS = {
    "aws": ("us-east-1", "us-east-1a", "m6i.xlarge", "g6.2xlarge", "ubuntu"),
    "gcp": ("us-central1", "us-central1-a", "n2-standard-4", "g2-standard-8", "ubuntu"),
}


def ray_up_file(spec: ClusterSpec, cloud: CloudSpec) -> Manifest:
    """Return the cluster file, which ``check_ray_up`` checks."""
    region, zone, head_type, worker_type, user = _DEFAULTS[cloud.provider]
    region, zone = cloud.region or region, cloud.zone or zone
    zones = {"region": region, "availability_zone": zone}
    node = partial(_aws_node, spec, cloud)
    if cloud.provider == "gcp":
        node = partial(_gcp_node, cloud, zone)
    environment = {**spec.head_environment(), "RAY_AUTH_MODE": "token"}
    variables = " ".join(f"-e {name}='{value}'" for name, value in environment.items())
    manifest: Manifest = {
        "cluster_name": spec.name,
        "max_workers": spec.max_workers,
        "idle_timeout_minutes": _IDLE_MINUTES,
        "upscaling_speed": 1.0,
        "provider": {"type": cloud.provider, **zones, "cache_stopped_nodes": False},
        "auth": {"ssh_user": user},
        "docker": {
            "image": spec.image,
            "container_name": spec.name,
            "pull_before_run": True,
            "run_options": [f"--ulimit nofile=65536:65536 {variables}"],
            "worker_run_options": ["--gpus all"] if spec.gpus else [],
        },
        "available_node_types": {
            "head": {
                "max_workers": 0,
                "resources": {"CPU": 0},
                "node_config": node(cloud.head_type or head_type, spot=False),
            },
            "worker": {
                "min_workers": spec.min_workers,
                "max_workers": spec.max_workers,
                "resources": {"CPU": spec.worker_cpus, **_gpus(spec)},
                "node_config": node(cloud.worker_type or worker_type, spot=not cloud.on_demand),
            },
        },
        "head_node_type": "head",
        # The token goes over ssh; the container's user has it where Ray looks for it.
        "file_mounts": {_TOKEN_IN_CONTAINER: "~/.ray/auth_token"},
        "setup_commands": [f"chmod 600 {_TOKEN_IN_CONTAINER}"],
        "head_start_ray_commands": [
            "ray stop",
            "ray start --head --port=6379 --dashboard-host=127.0.0.1 "
            "--autoscaling-config=~/ray_bootstrap_config.yaml --disable-usage-stats",
        ],
        "worker_start_ray_commands": [
            "ray stop",
            "ray start --address=$RAY_HEAD_IP:6379 --disable-usage-stats",
        ],
    }
    if cloud.provider == "gcp":
        manifest["provider"]["project_id"] = cloud.project
        if cloud.service_account is not None:  # the head has one that Ray makes
            scopes = ["https://www.googleapis.com/auth/cloud-platform"]
            account = {"email": cloud.service_account, "scopes": scopes}
            worker = manifest["available_node_types"]["worker"]["node_config"]
            worker["serviceAccounts"] = [account]
    return manifest


def instance_profile(spec: ClusterSpec, cloud: CloudSpec) -> str:
    """Return the instance profile of all nodes on AWS."""
    return cloud.instance_profile or f"{spec.name}-node"


def node_policies(spec: ClusterSpec, cloud: CloudSpec) -> dict[str, Manifest]:
    """Return what the nodes' own instance profile is made of, by file name: who, and what for.

    The head starts and ends machines; workers read and write the buckets that were named.
    """
    name = instance_profile(spec, cloud)
    statements = [
        _allow(
            ["ec2:Describe*", "ec2:RunInstances", "ec2:CreateTags", "ec2:TerminateInstances"], ["*"]
        ),
        _allow(["ssm:GetParameters"], [_IMAGE_PARAMETERS]),
        _allow(["iam:PassRole"], [f"arn:aws:iam::*:role/{name}"]),
    ]
    if cloud.bucket:
        buckets = [f"arn:aws:s3:::{bucket}" for bucket in cloud.bucket]
        objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        statements += [
            _allow(["s3:ListBucket", "s3:GetBucketLocation"], buckets),
            _allow(objects, [f"{bucket}/*" for bucket in buckets]),
        ]
    machines = {
        "Effect": "Allow",
        "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    return {
        f"{spec.name}-trust.json": {"Version": _POLICY_LANGUAGE, "Statement": [machines]},
        f"{spec.name}-policy.json": {"Version": _POLICY_LANGUAGE, "Statement": statements},
    }


def _allow(actions: list[str], resources: list[str]) -> Manifest:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def check_ray_up(manifest: Manifest) -> None:
    """Let Ray check a cluster file, without a cloud. Raises InputError."""
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    try:
        validate_config(prepare_config(copy.deepcopy(manifest)))
    except ValidationError as error:
        where = ".".join(map(str, error.absolute_path)) or "the file"
        raise InputError(f"ray up: {where}: {error.message}") from error
    except Exception as error:  # of every kind, from within Ray's preparation
        raise InputError(f"ray up: {type(error).__name__}: {error}") from error


def _gpus(spec: ClusterSpec) -> dict[str, int]:
    return {"GPU": spec.gpus} if spec.gpus else {}


def _aws_node(spec: ClusterSpec, cloud: CloudSpec, machine: str, *, spot: bool) -> Manifest:
    disk = {"VolumeSize": cloud.disk, "VolumeType": "gp3", "DeleteOnTermination": True}
    node: Manifest = {
        "InstanceType": machine,
        "ImageId": cloud.machine_image or _IMAGES["aws"],
        "IamInstanceProfile": {"Name": instance_profile(spec, cloud)},
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": disk}],
    }
    if spot:
        node["InstanceMarketOptions"] = {"MarketType": "spot"}
    return node


def _gcp_node(cloud: CloudSpec, zone: str, machine: str, *, spot: bool) -> Manifest:
    node: Manifest = {
        "machineType": machine,
        "disks": [
            {
                "boot": True,
                "autoDelete": True,
                "type": "PERSISTENT",
                "initializeParams": {
                    "diskSizeGb": cloud.disk,
                    "diskType": f"zones/{zone}/diskTypes/pd-balanced",  # G2 takes no other kind
                    "sourceImage": cloud.machine_image or _IMAGES["gcp"],
                },
            }
        ],
    }
    if spot:
        node["scheduling"] = {"preemptible": True, "onHostMaintenance": "TERMINATE"}
    return node
