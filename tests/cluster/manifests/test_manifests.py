from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.manifests import container
from cluster.manifests.container import constraints, extras_here
from cluster.manifests.spec import ClusterSpec
from jobs.cli.command_line import read_command_line
from nst_core.errors import EnvironmentProblem, InputError
from tests.kit.command_line import Ended, nst
from tests.kit.manifest_checks import check

_CHECKOUT = Path(__file__).parents[3]
_COMMANDS = {
    "kuberay": (*("--gpu-type", "NVIDIA-L4"), "--job", "stylize images a -o b --style wave"),
    "ray-up-aws": ("--provider", "aws"),
    "ray-up-gcp": ("--provider", "gcp", "--project", "my-project"),
    "compose": ("--workers", "2"),
}
_FILES = {
    "kuberay": ("storage.yaml", "raycluster.yaml", "rayjob.yaml", "podmonitor.yaml"),
    "ray-up-aws": ("nst.yaml",),
    "ray-up-gcp": ("nst.yaml",),
    "compose": ("compose.yaml",),
}
_EVERY_FILE = [
    (kind, name)
    for kind, names in _FILES.items()
    for name in (*names, "Dockerfile", ".dockerignore", "constraints.txt")
]


def _render(kind: str, folder: Path, *options: str) -> Ended:
    return nst("cluster", "render", kind, "-o", folder, *options)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for kind, options in _COMMANDS.items():
        folders[kind] = tmp_path_factory.mktemp("rendered") / kind
        result = _render(re.sub("-(aws|gcp)", "", kind), folders[kind], *options)
        assert result.code == 0, result.error
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
    "podmonitor.yaml": [_swap("podMetricsEndpoints", "podMetricsEndpoint"), _swap("nst-", "nts-")],
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
        _swap("apt-get install --yes", "apt-get install"),
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
    assert result.code == 0, result.error
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
    assert _render("compose", tmp_path, "--gpus", "0").code == 0
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
        result = nst(*command, "--help")
        assert result.code == 0, result.error


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
    assert result.code == 2
    assert result.error.splitlines() == [
        f"error: {tmp_path / 'compose.yaml'} exists; --overwrite replaces it"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["compose.yaml"]
    assert _render("compose", tmp_path, "--overwrite").code == 0
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
        ("kuberay", ("--namespace", "My films"), "--namespace My films: small letters"),
        ("kuberay", ("--env", "KEY"), "--env KEY: NAME=VALUE is needed"),
        ("kuberay", ("--env-secret", "a b"), "--env-secret a b"),
        ("kuberay", ("--toleration", "gpu:Never"), "--toleration gpu:Never: KEY"),
        ("kuberay", ("--base-image", "python"), "NAME:TAG such as python:3"),
        ("compose", ("--data", "missing"), "--data missing: a folder that exists"),
        ("ray-up", ("--provider", "aws", "--machine-image", "ubuntu"), "ami-... or resolve:ssm:"),
        ("ray-up", ("--provider", "aws", "--service-account", "a@b"), "--provider gcp"),
        ("ray-up", ("--provider", "aws", "--bucket", "s3://films"), "without s3://"),
        (
            "ray-up",
            ("--provider", "aws", "--bucket", "films", "--instance-profile", "mine"),
            "has its own policy",
        ),
        ("ray-up", ("--provider", "aws", "--disk", "20"), "--disk 20: at least 50 is needed"),
    ],
)
def test_options_that_cannot_be_are_one_line_and_write_nothing(
    kind: str, options: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    result = _render(kind, tmp_path / "out", *options)
    assert result.code == 2
    (line,) = result.error.splitlines()
    assert words in line
    assert "key:secret" not in line
    assert not (tmp_path / "out").exists()


def test_workers_on_demand_are_no_spot_machines(tmp_path: Path) -> None:
    for options, spot in (((), True), (("--on-demand",), False)):
        folder = tmp_path / str(spot)
        assert _render("ray-up", folder, "--provider", "aws", *options).code == 0
        assert ("MarketType: spot" in (folder / "nst.yaml").read_text()) == spot


def test_a_region_of_ones_own_is_in_the_file_with_its_zone(tmp_path: Path) -> None:
    where = ("--region", "europe-west4", "--zone", "europe-west4-b")
    _render("ray-up", tmp_path, "--provider", "gcp", "--project", "p", *where)
    text = (tmp_path / "nst.yaml").read_text()
    assert "availability_zone: europe-west4-b" in text
    assert "zones/europe-west4-b/diskTypes/pd-balanced" in text
    assert "us-central1" not in text


def test_containers_run_as_whoever_can_read_the_token(tmp_path: Path) -> None:
    assert _render("compose", tmp_path, "--shared", "/films").code == 0
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
        assert _render("compose", tmp_path, "--overwrite").code == 0
        assert (tmp_path / ".gitignore").read_text() == "mine\nauth_token\n"


def test_what_is_not_installed_here_cannot_be_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = metadata.distribution

    def without(*missing: str) -> None:
        def distribution(name: str) -> metadata.Distribution:
            if name in missing:
                raise metadata.PackageNotFoundError(name)
            return installed(name)

        monkeypatch.setattr(metadata, "distribution", distribution)
        monkeypatch.setattr(container, "_installed", cache(container._installed.__wrapped__))

    without("s3fs")
    assert "s3" not in extras_here()
    assert "s3fs" not in constraints()
    without("torchvision")
    with pytest.raises(EnvironmentProblem, match="torchvision: needed by nst"):
        constraints()


def test_what_a_company_wants_of_kubernetes_is_in_the_files(tmp_path: Path) -> None:
    who = ("--namespace", "films", "--service-account", "nst", "--image-pull-secret", "registry")
    what = ("--env", "AWS_REGION=eu-west-1", "--env-secret", "bucket", "--env", "A=b=c")
    where = ("--toleration", "team=films:NoSchedule", "--toleration", "slow", "--spot", "gke")
    result = _render("kuberay", tmp_path, *who, *what, *where, "--gpu-type", "NVIDIA-L4")
    assert result.code == 0, result.error
    contents = {path.name: yaml.safe_load(path.read_text()) for path in tmp_path.glob("*.yaml")}
    assert {each["metadata"]["namespace"] for each in contents.values()} == {"films"}
    for path in tmp_path.glob("*.yaml"):
        assert check(path, _CHECKOUT) == []
    cluster = contents["raycluster.yaml"]["spec"]
    worker = cluster["workerGroupSpecs"][0]["template"]
    for pod in (cluster["headGroupSpec"]["template"], worker):
        assert pod["spec"]["serviceAccountName"] == "nst"
        assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
        (container,) = pod["spec"]["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "bucket"}}]
        variables = {each["name"]: each["value"] for each in container["env"]}
        assert (variables["AWS_REGION"], variables["A"]) == ("eu-west-1", "b=c")
        monitor = contents["podmonitor.yaml"]["spec"]
        assert monitor["selector"]["matchLabels"] == pod["metadata"]["labels"]
        ports = {each["name"] for each in container["ports"]}
        assert {each["port"] for each in monitor["podMetricsEndpoints"]} <= ports
    spot = "cloud.google.com/gke-spot"
    assert worker["spec"]["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-L4", spot: "true"}
    tolerated = {each["key"]: each for each in worker["spec"]["tolerations"]}
    assert tolerated.keys() == {"team", "slow", "nvidia.com/gpu", spot}
    assert tolerated["team"] == {
        "key": "team",
        "operator": "Equal",
        "value": "films",
        "effect": "NoSchedule",
    }
    assert tolerated["slow"] == {"key": "slow", "operator": "Exists"}


def test_each_container_has_gpus_of_its_own_and_finds_the_folder(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    options = ("--workers", "3", "--gpus", "2", "--data", str(tmp_path / "films"))
    assert _render("compose", tmp_path / "out", *options).code == 0
    path = tmp_path / "out" / "compose.yaml"
    assert check(path, _CHECKOUT) == []
    services = yaml.safe_load(path.read_text())["services"]
    workers = [each for name, each in services.items() if name != "head"]
    devices = [each["deploy"]["resources"]["reservations"]["devices"][0] for each in workers]
    assert [each["device_ids"] for each in devices] == [["0", "1"], ["2", "3"], ["4", "5"]]
    folder = str(tmp_path / "films")
    for service in services.values():
        assert service["volumes"][1] == {"type": "bind", "source": folder, "target": folder}


def test_workers_without_gpus_are_replicas(tmp_path: Path) -> None:
    assert _render("compose", tmp_path, "--workers", "3", "--gpus", "0").code == 0
    services = yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]
    assert services["worker"]["deploy"]["replicas"] == 3


def test_all_nodes_of_aws_have_a_profile_whose_policy_is_beside_the_file(tmp_path: Path) -> None:
    assert _render("ray-up", tmp_path, "--provider", "aws", "--bucket", "films").code == 0
    text = (tmp_path / "nst.yaml").read_text()
    nodes = yaml.safe_load(text)["available_node_types"].values()
    assert {each["node_config"]["IamInstanceProfile"]["Name"] for each in nodes} == {"nst-node"}
    assert all("nvidia-driver" in each["node_config"]["ImageId"] for each in nodes)
    assert "aws iam put-role-policy --role-name nst-node" in text
    policy = json.loads((tmp_path / "nst-policy.json").read_text())
    allowed = {
        (action, resource)
        for statement in policy["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }
    assert ("s3:PutObject", "arn:aws:s3:::films/*") in allowed
    assert ("iam:PassRole", "arn:aws:iam::*:role/nst-node") in allowed
    assert ("ssm:GetParameters", "arn:aws:ssm:*::parameter/aws/service/deeplearning/*") in allowed
    assert not [action for action, resource in allowed if action[:2] == "s3" and resource == "*"]


def test_a_profile_of_ones_own_and_other_machines_are_taken(tmp_path: Path) -> None:
    own = ("--instance-profile", "mine", "--machine-image", "ami-0123", "--disk", "300")
    assert _render("ray-up", tmp_path / "aws", "--provider", "aws", *own).code == 0
    assert not list((tmp_path / "aws").glob("*.json"))
    text = (tmp_path / "aws" / "nst.yaml").read_text()
    assert text.count("Name: mine") == text.count("ami-0123") == text.count("VolumeSize: 300") == 2
    google = ("--project", "p", "--service-account", "nst@p.iam.gserviceaccount.com")
    assert _render("ray-up", tmp_path / "gcp", "--provider", "gcp", *google).code == 0
    assert "email: nst@p.iam" in (tmp_path / "gcp" / "nst.yaml").read_text()


def test_what_users_change_outlasts_another_rendering(tmp_path: Path) -> None:
    """Mappings and lists of named items are merged, null takes away, all else is replaced."""
    assert _render("kuberay", tmp_path).code == 0
    (tmp_path / "overlay.yaml").write_text(
        "storage.yaml:  # nothing yet\n"
        "raycluster.yaml:\n"
        "  metadata: {labels: {team: films}}\n"
        "  spec:\n"
        "    enableInTreeAutoscaling: null\n"
        "    headGroupSpec:\n"
        "      template:\n"
        "        spec:\n"
        "          containers:\n"
        "          - name: ray-head\n"
        "            env: [{name: RAY_worker_niceness, value: '5'}, {name: MINE, value: x}]\n"
        "            securityContext: {capabilities: {drop: [NET_RAW]}}\n"
        "          - {name: sidecar, image: 'busybox:1'}\n"
    )
    assert _render("kuberay", tmp_path, "--max-workers", "7", "--overwrite").code == 0
    assert yaml.safe_load((tmp_path / "storage.yaml").read_text())
    content = yaml.safe_load((tmp_path / "raycluster.yaml").read_text())
    assert content["metadata"] == {"name": "nst", "labels": {"team": "films"}}
    assert "enableInTreeAutoscaling" not in content["spec"]
    assert content["spec"]["workerGroupSpecs"][0]["maxReplicas"] == 7
    ours, sidecar = content["spec"]["headGroupSpec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each["value"] for each in ours["env"]}
    assert (variables["RAY_worker_niceness"], variables["MINE"]) == ("5", "x")
    assert variables["RAY_USAGE_STATS_ENABLED"] == "0"
    assert ours["securityContext"]["capabilities"] == {"drop": ["NET_RAW"]}
    assert sidecar["name"] == "sidecar"
    assert ours["image"] == "nst:latest"


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ("rayclusters.yaml: {}", "parts of rendered files by their names are allowed (storage"),
        ("- a", "parts of rendered files"),
        ("a: [", "cannot be read as YAML"),
    ],
)
def test_an_overlay_that_cannot_be_is_one_line(overlay: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "overlay.yaml").write_text(overlay)
    result = _render("kuberay", tmp_path)
    assert result.code == 2
    (line,) = result.error.splitlines()
    assert words in line
    assert [path.name for path in tmp_path.iterdir()] == ["overlay.yaml"]


def test_a_changed_cloud_file_is_checked_again(tmp_path: Path) -> None:
    (tmp_path / "overlay.yaml").write_text("nst.yaml: {max_workers: many}")
    result = _render("ray-up", tmp_path, "--provider", "aws")
    assert result.code == 2
    assert "max_workers" in result.error
