from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.manifests.container import constraints, extras_here
from cluster.manifests.spec import ClusterSpec
from jobs.cli.command_line import read_command_line
from nst_core.errors import EnvironmentProblem, InputError
from tests.kit.manifest_checks import check

_CHECKOUT = Path(__file__).parents[3]
_COMMANDS = {
    "kuberay": (*("--gpu-type", "NVIDIA-L4"), "--job", "stylize images a -o b --style wave"),
    "ray-up-aws": ("--provider", "aws"),
    "ray-up-gcp": ("--provider", "gcp", "--project", "my-project"),
    "compose": ("--workers", "2"),
}
_FILES = {
    "kuberay": ("storage.yaml", "raycluster.yaml", "rayjob.yaml"),
    "ray-up-aws": ("nst.yaml",),
    "ray-up-gcp": ("nst.yaml",),
    "compose": ("compose.yaml",),
}
_EVERY_FILE = [
    (kind, name)
    for kind, names in _FILES.items()
    for name in (*names, "Dockerfile", ".dockerignore", "constraints.txt")
]


def _render(kind: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jobs.cli", "cluster", "render", kind, "-o", str(folder)]
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, check=False, cwd=_CHECKOUT
    )


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for kind, options in _COMMANDS.items():
        folders[kind] = tmp_path_factory.mktemp("rendered") / kind
        result = _render(re.sub("-(aws|gcp)", "", kind), folders[kind], *options)
        assert result.returncode == 0, result.stderr
    return folders


@pytest.mark.parametrize(("kind", "name"), _EVERY_FILE)
def test_every_file_passes_its_check(kind: str, name: str, rendered: dict[str, Path]) -> None:
    assert check(rendered[kind] / name, _CHECKOUT) == []


def _swap(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


_TYPOS: dict[str, list[Callable[[str], str]]] = {
    "storage.yaml": [_swap("accessModes", "accesModes"), _swap("ReadWriteMany", "ReadWriteAll")],
    "raycluster.yaml": [
        _swap("workerGroupSpecs", "workerGroupSpec"),
        _swap("num-cpus: '0'", "num-cpus: 0"),
        _swap("mode: token", "mode: tokens"),
        _swap("restartPolicy: Never", "restartPolicy: Nver"),
        _swap("nvidia.com/gpu:", "nvidia.com/gpus:"),
        _swap("maxReplicas: 4", "maxReplicas: four"),
        _swap("rayVersion", "rayVersions"),
    ],
    "rayjob.yaml": [
        _swap("entrypoint", "entryPoint"),
        _swap("rayClusterSpec", "rayclusterSpec"),
        _swap("runAsNonRoot: true", "runAsNonRoot: false"),
    ],
    "nst.yaml": [
        _swap("available_node_types", "available_node_type"),
        _swap("max_workers: 4", "max_workers: four"),
        _swap("head_node_type: head", "head_node_type: haed"),
        _swap("cluster_name", "clustername"),
        _swap("type: ", "typ: "),
    ],
    "compose.yaml": [
        _swap("services:", "service:"),
        _swap("healthcheck:", "healthchek:"),
        _swap("- auth_token", "- auth_tokn"),
        _swap("condition: service_healthy", "condition: healthy"),
        _swap("127.0.0.1:8265", "0.0.0.0:8265"),
        _swap("capabilities:", "capability:"),
    ],
    "Dockerfile": [
        _swap("nst pipeline", "nst pipelines"),
        _swap("USER 1000", "USER root"),
        _swap("WORKDIR", "WROKDIR"),
        lambda text: re.sub(r"FROM (\w+):\S+", r"FROM \1:latest", text),
    ],
    ".dockerignore": [_swap("*", "")],
    "constraints.txt": [
        _swap("torch==", "torch="),
        _swap("ray==", "ray>="),
        _swap("av==", "aw=="),
        _swap("s3fs==", "s4fs=="),
        _swap("botocore==", "botocores=="),
    ],
}


@pytest.mark.parametrize(("kind", "name"), _EVERY_FILE)
def test_a_typo_in_any_file_is_caught(
    kind: str, name: str, rendered: dict[str, Path], tmp_path: Path
) -> None:
    for typo in _TYPOS[name]:
        path = tmp_path / name
        path.write_text(typo((rendered[kind] / name).read_text()))
        assert check(path, _CHECKOUT), path.read_text()


def test_options_reach_the_files(tmp_path: Path) -> None:
    options = ("--name", "films", "--image", "registry.example/nst:0.1", "--max-workers", "9")
    amounts = (
        "--gpus",
        "2",
        "--worker-cpus",
        "16",
        "--worker-memory",
        "64Gi",
        "--shared",
        "/films",
    )
    result = _render("kuberay", tmp_path, *options, *amounts, "--storage-class", "fast")
    assert result.returncode == 0, result.stderr
    content = yaml.safe_load((tmp_path / "raycluster.yaml").read_text())
    (group,) = content["spec"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    assert (content["metadata"]["name"], group["maxReplicas"]) == ("films", 9)
    assert container["image"] == "registry.example/nst:0.1"
    wanted = {"cpu": "16", "memory": "64Gi", "nvidia.com/gpu": "2"}
    assert container["resources"] == {"requests": wanted, "limits": wanted}
    assert container["volumeMounts"] == [{"name": "shared", "mountPath": "/films"}]
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert environment["NST_AUTOSCALES_TO"] == '[{"CPU": 16, "GPU": 2, "nodes": 9}]'
    claim = yaml.safe_load((tmp_path / "storage.yaml").read_text())
    assert claim["spec"]["storageClassName"] == "fast"


def test_workers_without_gpus_ask_for_none(tmp_path: Path) -> None:
    assert _render("compose", tmp_path, "--gpus", "0").returncode == 0
    text = (tmp_path / "compose.yaml").read_text()
    assert "nvidia" not in text
    assert check(tmp_path / "compose.yaml", _CHECKOUT) == []


def test_every_command_of_ours_in_the_files_can_be_read(rendered: dict[str, Path]) -> None:
    job = yaml.safe_load((rendered["kuberay"] / "rayjob.yaml").read_text())["spec"]["entrypoint"]
    words = shlex.split(job)
    assert words[:3] == ["env", "NST_ADDRESS=auto", "nst"]
    assert read_command_line(words[3:]).words == ("stylize", "images")
    services: dict[str, Any] = yaml.safe_load((rendered["compose"] / "compose.yaml").read_text())
    commands = [each["command"] for each in services["services"].values()]
    commands.append(services["services"]["head"]["healthcheck"]["test"][2:])
    for command in commands:
        result = subprocess.run(
            [sys.executable, "-m", "jobs.cli", *command, "--help"], capture_output=True, check=False
        )
        assert result.returncode == 0, result.stderr


def test_the_token_is_in_one_file_that_its_owner_alone_reads(rendered: dict[str, Path]) -> None:
    path = rendered["compose"] / "auth_token"
    assert path.stat().st_mode & 0o777 == 0o600
    token = path.read_text()
    assert re.fullmatch(r"[0-9a-f]{64}", token)
    others = [file for file in rendered["compose"].iterdir() if file != path]
    assert len(others) == 5
    assert not any(token in file.read_text() for file in others)
    assert (rendered["compose"] / ".gitignore").read_text() == "auth_token\n"


def test_existing_files_stay_and_nothing_is_half_written(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("mine")
    result = _render("compose", tmp_path)
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        f"error: {tmp_path / 'compose.yaml'} exists; --overwrite replaces it"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["compose.yaml"]
    assert _render("compose", tmp_path, "--overwrite").returncode == 0
    assert check(tmp_path / "compose.yaml", _CHECKOUT) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "My Cluster"}, "--name My Cluster: small letters"),
        ({"image": "nst latest"}, "--image nst latest"),
        ({"worker_memory": "32 GB"}, "such as 32Gi is allowed"),
        ({"min_workers": 5}, "not more than --max-workers 4"),
        ({"max_workers": 0}, "at least 1 is needed"),
        ({"shared": "films"}, "an absolute path"),
    ],
)
def test_what_cannot_be_is_one_line(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        ClusterSpec(**fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("ray-up", ("--provider", "gcp"), "--project names the project"),
        ("ray-up", ("--provider", "aws", "--project", "p"), "belongs to --provider gcp"),
        ("ray-up", ("--provider", "aws", "--region", "eu-west-1"), "go together"),
        (
            "ray-up",
            (*("--provider", "aws", "--region", "eu-west-1"), "--zone", "us-east-1a"),
            "--zone us-east-1a: not in --region eu-west-1",
        ),
        ("kuberay", ("--job", 'stylize "x'), "No closing quotation"),
        ("kuberay", ("--job", "stylise x"), "No such command 'stylise'"),
        (
            "kuberay",
            ("--job", "stylize images s3://key:secret@b/x -o /y --style wave"),
            "a URI with a user name or password",
        ),
        ("kuberay", ("--gpu-type", "NVIDIA L4"), "a label's value is allowed"),
        ("kuberay", ("--storage-class", "a b"), "--storage-class a b"),
    ],
)
def test_options_that_cannot_be_are_one_line_and_write_nothing(
    kind: str, options: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    result = _render(kind, tmp_path / "out", *options)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert words in line
    assert "secret" not in line
    assert not (tmp_path / "out").exists()


def test_workers_on_demand_are_no_spot_machines(tmp_path: Path) -> None:
    for options, spot in (((), True), (("--on-demand",), False)):
        folder = tmp_path / str(spot)
        assert _render("ray-up", folder, "--provider", "aws", *options).returncode == 0
        assert ("MarketType: spot" in (folder / "nst.yaml").read_text()) == spot


def test_a_region_of_ones_own_is_in_the_file_with_its_zone(tmp_path: Path) -> None:
    where = ("--region", "europe-west4", "--zone", "europe-west4-b")
    _render("ray-up", tmp_path, "--provider", "gcp", "--project", "p", *where)
    text = (tmp_path / "nst.yaml").read_text()
    assert "availability_zone: europe-west4-b" in text
    assert "zones/europe-west4-b/diskTypes/pd-balanced" in text
    assert "us-central1" not in text


def test_containers_run_as_whoever_can_read_the_token(tmp_path: Path) -> None:
    assert _render("compose", tmp_path, "--shared", "/films").returncode == 0
    owner = (tmp_path / "auth_token").stat()
    services = yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]
    users = {service["user"] for service in services.values()}
    assert users == {f"{owner.st_uid}:{owner.st_gid}"}
    assert not any(user.startswith("0:") for user in users)
    # A new volume takes on the rights of this folder.
    assert "install -d -m 1777 /films" in (tmp_path / "Dockerfile").read_text()


def test_a_gitignore_that_is_there_is_kept_and_gets_the_tokens_line(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine")
    for _ in range(2):
        assert _render("compose", tmp_path, "--overwrite").returncode == 0
        assert (tmp_path / ".gitignore").read_text() == "mine\nauth_token\n"


def test_what_is_not_installed_here_cannot_be_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = metadata.distribution

    def without(*missing: str) -> None:
        def distribution(name: str) -> metadata.Distribution:
            if name in missing:
                raise metadata.PackageNotFoundError(name)
            return installed(name)

        monkeypatch.setattr(metadata, "distribution", distribution)

    without("s3fs")
    assert "s3" not in extras_here()
    assert "s3fs" not in constraints()
    without("torchvision")
    with pytest.raises(EnvironmentProblem, match="torchvision: needed by nst"):
        constraints()
