"""`nst cluster render`: files for Kubernetes, clouds and docker compose."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from cluster.manifests.spec import ClusterSpec
from jobs.cli import console, options
from nst_core.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Write the files that build a cluster elsewhere.")

_Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write into.")
]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
_Name = Annotated[str, typer.Option(help="Of the cluster.")]
_Image = Annotated[str, typer.Option(help="Container image; the Dockerfile written builds it.")]
_MinWorkers = Annotated[int, typer.Option(help="Worker nodes that are always there.")]
_MaxWorkers = Annotated[int, typer.Option(help="Worker nodes at most.")]
_Gpus = Annotated[int, typer.Option(help="Of each worker node; 0 for workers without.")]
_WorkerCpus = Annotated[int, typer.Option(help="Of each worker node.")]
_WorkerMemory = Annotated[str, typer.Option(help="Of each worker node, such as 32Gi.")]
_HeadCpus = Annotated[int, typer.Option(help="Of the head, for commands; no worker runs there.")]
_HeadMemory = Annotated[str, typer.Option(help="Of the head.")]
_Shared = Annotated[str, typer.Option(help="Folder at which all nodes find the shared storage.")]


@app.command()
def kuberay(
    output: _Output,
    name: _Name = ClusterSpec.name,
    image: _Image = ClusterSpec.image,
    min_workers: _MinWorkers = ClusterSpec.min_workers,
    max_workers: _MaxWorkers = ClusterSpec.max_workers,
    gpus: _Gpus = ClusterSpec.gpus,
    gpu_type: Annotated[
        str | None,
        typer.Option(help="Label nvidia.com/gpu.product of the machines, such as NVIDIA-L4."),
    ] = None,
    worker_cpus: _WorkerCpus = ClusterSpec.worker_cpus,
    worker_memory: _WorkerMemory = ClusterSpec.worker_memory,
    head_cpus: _HeadCpus = ClusterSpec.head_cpus,
    head_memory: _HeadMemory = ClusterSpec.head_memory,
    storage: Annotated[str, typer.Option(help="Size of the shared storage.")] = ClusterSpec.storage,
    storage_class: Annotated[
        str | None, typer.Option(help="Of storage that many nodes write; default the cluster's.")
    ] = None,
    shared: _Shared = ClusterSpec.shared,
    job: Annotated[
        str, typer.Option(help="Command that the RayJob runs, without nst, in quotes.")
    ] = "doctor",
    overwrite: _Overwrite = False,
) -> None:
    """Write a RayCluster and a RayJob for the KubeRay operator, and their shared storage.

    Example: nst cluster render kuberay -o kube --image registry.example/nst:0.1
    """
    from cluster.manifests.kuberay import KubernetesSpec, kuberay_files
    from cluster.manifests.rendering import as_yaml
    from jobs.cli.command_line import read_command_line

    try:
        line = read_command_line(shlex.split(job))
    except ValueError as error:
        raise InputError(f"--job {job}: {error}; give the command in one pair of quotes") from error
    spec = ClusterSpec(
        name=name,
        image=image,
        min_workers=min_workers,
        max_workers=max_workers,
        gpus=gpus,
        worker_cpus=worker_cpus,
        worker_memory=worker_memory,
        head_cpus=head_cpus,
        head_memory=head_memory,
        storage=storage,
        shared=shared,
    )
    kubernetes = KubernetesSpec(gpu_type, storage_class, line.arguments)
    manifests = kuberay_files(spec, kubernetes)
    files = {
        file: as_yaml(manifest, use=f"kubectl apply -f {file}")
        for file, manifest in manifests.items()
    }
    _write(output, spec, files, overwrite=overwrite)


@app.command("ray-up")
def ray_up(
    output: _Output,
    provider: Annotated[Literal["aws", "gcp"], typer.Option(help="The cloud.")],
    name: _Name = ClusterSpec.name,
    image: _Image = ClusterSpec.image,
    region: Annotated[str | None, typer.Option(help="Default: one of the provider's.")] = None,
    zone: Annotated[str | None, typer.Option(help="In that region.")] = None,
    head_type: Annotated[str | None, typer.Option(help="Machine type of the head.")] = None,
    worker_type: Annotated[
        str | None, typer.Option(help="Machine type of the workers, with its GPUs.")
    ] = None,
    project: Annotated[str | None, typer.Option(help="Of Google Cloud.")] = None,
    on_demand: Annotated[
        bool, typer.Option("--on-demand", help="Workers at the full price, not spot machines.")
    ] = False,
    min_workers: _MinWorkers = ClusterSpec.min_workers,
    max_workers: _MaxWorkers = ClusterSpec.max_workers,
    gpus: _Gpus = ClusterSpec.gpus,
    worker_cpus: _WorkerCpus = ClusterSpec.worker_cpus,
    overwrite: _Overwrite = False,
) -> None:
    """Write a cluster file for `ray up`; its workers are spot machines by default.

    Example: nst cluster render ray-up -o cloud --provider aws --image registry.example/nst:0.1
    """
    from cluster.manifests.ray_up import CloudSpec, ray_up_file
    from cluster.manifests.rendering import as_yaml

    spec = ClusterSpec(
        name=name,
        image=image,
        min_workers=min_workers,
        max_workers=max_workers,
        gpus=gpus,
        worker_cpus=worker_cpus,
    )
    cloud = CloudSpec(provider, region, zone, head_type, worker_type, project, on_demand)
    use = (
        f"ray up {name}.yaml\nray dashboard {name}.yaml   (the Jobs API at http://127.0.0.1:8265)\n"
        f"nst jobs submit --follow -- ...\nray down {name}.yaml"
    )
    files = {f"{name}.yaml": as_yaml(ray_up_file(spec, cloud), use=use)}
    _write(output, spec, files, overwrite=overwrite)


@app.command()
def compose(
    output: _Output,
    name: _Name = ClusterSpec.name,
    image: _Image = ClusterSpec.image,
    workers: Annotated[int, typer.Option(help="Worker containers.")] = 1,
    gpus: _Gpus = ClusterSpec.gpus,
    worker_cpus: _WorkerCpus = ClusterSpec.worker_cpus,
    worker_memory: _WorkerMemory = ClusterSpec.worker_memory,
    shared: _Shared = ClusterSpec.shared,
    overwrite: _Overwrite = False,
) -> None:
    """Write a compose file with a head and GPU workers, and a new token of its own.

    Example: nst cluster render compose -o compose --gpus 1
    """
    import secrets

    from cluster.manifests.compose import TOKEN_FILE, compose_file
    from cluster.manifests.rendering import as_yaml, container_user

    spec = ClusterSpec(
        name=name,
        image=image,
        min_workers=workers,
        max_workers=max(1, workers),
        gpus=gpus,
        worker_cpus=worker_cpus,
        worker_memory=worker_memory,
        shared=shared,
    )
    use = (
        "docker compose up --detach\n"
        f"RAY_AUTH_TOKEN_PATH=./{TOKEN_FILE} nst jobs submit --follow -- ..."
    )
    files = {"compose.yaml": as_yaml(compose_file(spec, container_user()), use=use)}
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
