"""`nst cluster render`: files for Kubernetes, clouds and docker compose."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cluster.manifests.spec import CloudSpec, ClusterSpec, ComposeSpec, KubernetesSpec
from jobs.cli import console, options
from jobs.cli.spec_options import Looks, from_specifications
from jobs.specs.flat import Given
from nst_core.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Write the files that build a cluster elsewhere.")

_Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write into.")
]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]


def _command(job: str) -> tuple[str, ...]:
    from jobs.cli.command_line import read_command_line

    try:
        return read_command_line(shlex.split(job)).arguments
    except ValueError as error:
        raise InputError(f"--job {job}: {error}; give the command in one pair of quotes") from error


_LOOKS: Looks = {
    "name": {"help": "Of the cluster."},
    "gpus": {"help": "Of each worker node; 0 for workers without."},
    "worker_cpus": {"help": "Of each worker node."},
    "worker_memory": {"help": "Of each worker node, such as 32Gi."},
    "head_cpus": {"help": "Of the head, for commands; no worker runs there."},
    "head_memory": {"help": "Of the head."},
    "storage_class": {"help": "Of storage that many nodes write; default the cluster's."},
    "job": {"kind": str, "default": "doctor", "read": _command},
    "project": {"help": "Of Google Cloud."},
}


@app.command()
@from_specifications(_LOOKS)
def kuberay(
    output: _Output, spec: ClusterSpec, kubernetes: KubernetesSpec, overwrite: _Overwrite = False
) -> None:
    """Write a RayCluster and a RayJob for the KubeRay operator, their storage and a PodMonitor.

    Example: nst cluster render kuberay -o kube --image registry.example/nst:0.1
    """
    from cluster.manifests.kuberay import kuberay_files
    from cluster.manifests.rendering import as_yaml, overlaid

    manifests = overlaid(kuberay_files(spec, kubernetes), output)
    files = {
        file: as_yaml(manifest, use=f"kubectl apply -f {file}")
        for file, manifest in manifests.items()
    }
    _write(output, spec, files, overwrite=overwrite)


@app.command("ray-up")
@from_specifications(_LOOKS, without="worker_memory head_cpus head_memory storage shared")
def ray_up(
    output: _Output, cloud: CloudSpec, spec: ClusterSpec, overwrite: _Overwrite = False
) -> None:
    """Write a cluster file for `ray up`; its workers are spot machines by default.

    Example: nst cluster render ray-up -o cloud --provider aws --image registry.example/nst:0.1
    """
    from cluster.manifests.ray_up import (
        check_ray_up,
        instance_profile,
        node_policies,
        ray_up_file,
    )
    from cluster.manifests.rendering import as_json, as_yaml, overlaid

    name = spec.name
    manifest = overlaid({f"{name}.yaml": ray_up_file(spec, cloud)}, output)[f"{name}.yaml"]
    check_ray_up(manifest)
    own_profile = cloud.provider == "aws" and cloud.instance_profile is None
    policies = node_policies(spec, cloud) if own_profile else {}
    use = (
        f"ray up {name}.yaml\nray dashboard {name}.yaml   (the Jobs API at http://127.0.0.1:8265)\n"
        f"nst jobs submit --follow -- ...\nray down {name}.yaml"
    )
    if own_profile:
        role = instance_profile(spec, cloud)
        profile = f"--instance-profile-name {role}"
        use = (
            "once, in this folder:\n"
            f"aws iam create-role --role-name {role} "
            f"--assume-role-policy-document file://{name}-trust.json\n"
            f"aws iam put-role-policy --role-name {role} --policy-name {role} "
            f"--policy-document file://{name}-policy.json\n"
            f"aws iam create-instance-profile {profile}\n"
            f"aws iam add-role-to-instance-profile {profile} --role-name {role}\n"
            f"then:\n{use}"
        )
    files = {f"{name}.yaml": as_yaml(manifest, use=use)}
    files |= {file: as_json(policy) for file, policy in policies.items()}
    _write(output, spec, files, overwrite=overwrite)


@app.command("compose")
@from_specifications(_LOOKS, without="min_workers max_workers head_cpus head_memory storage")
def compose_command(
    output: _Output,
    given: Given[ClusterSpec],
    compose: ComposeSpec,
    workers: Annotated[int, typer.Option(help="Worker containers.")] = 1,
    overwrite: _Overwrite = False,
) -> None:
    """Write a compose file with a head and GPU workers, and a new token of its own.

    Example: nst cluster render compose -o compose --gpus 1
    """
    import secrets

    from cluster.manifests.compose import TOKEN_FILE, compose_file
    from cluster.manifests.rendering import as_yaml, container_user, overlaid

    spec = given.build(min_workers=workers, max_workers=max(1, workers))
    use = (
        "docker compose up --detach\n"
        f"RAY_AUTH_TOKEN_PATH=./{TOKEN_FILE} nst jobs submit --follow -- ..."
    )
    manifest = compose_file(spec, compose, container_user())
    manifest = overlaid({"compose.yaml": manifest}, output)["compose.yaml"]
    files = {"compose.yaml": as_yaml(manifest, use=use)}
    secret = {TOKEN_FILE: secrets.token_hex(32)}
    _write(output, spec, files, secret=secret, overwrite=overwrite)


def _write(
    folder: Path,
    spec: ClusterSpec,
    files: dict[str, str],
    *,
    secret: dict[str, str] | None = None,
    overwrite: bool,
) -> None:
    from cluster.manifests.rendering import container_files, write_files

    options.check_folder_name(folder)
    everything = {**files, **container_files(spec)}
    write_files(folder, everything, secret=secret or {}, overwrite=overwrite)
    for name in (*everything, *(secret or {})):
        console.say(str(folder / name))
