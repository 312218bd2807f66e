"""Nodes of a cluster on this machine: a head, or a worker that joins one; started and ended."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from cluster.auth_token import find_token, make_token, token_file, use_token
from cluster.connection import prepare_environment
from cluster.environment import HEAD_ENVIRONMENT, NODE_ENVIRONMENT
from cluster.head import (
    AUTO,
    DEFAULT_PORT,
    check_head,
    is_local_host,
    takes_connections,
    with_port,
)
from cluster.nodes.overview import addresses_of_this_machine, nodes_of
from cluster.nodes.records import (
    MARK,
    NO_PROCESS,
    NodeRecord,
    forget_record,
    processes_of,
    running_heads,
    write_record,
)
from cluster.ray_folder import make_ray_folder
from nst_core.errors import EnvironmentProblem, InputError

LOOPBACK = "127.0.0.1"
DASHBOARD_PORT = 8265
_START_SECONDS = 180.0
_ATTEMPTS = 3
_SECONDS_BETWEEN_SIGNS = 10.0
"""Seconds between signs of life while a node starts."""
_END_SECONDS = 6.0
_LOG = "start.log"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_NOT_A_REASON = re.compile(r"\b(INFO|DEBUG|WARNING) \S+\.py:\d+ -- ")
"""Lines of Ray's log that say nothing about why it ended."""


@dataclass(frozen=True)
class NodeSpec:
    """A node to start on this machine."""

    join: str | None = None
    """Be a worker node of the cluster of this head.

    None: be a head."""
    listen: str | None = None
    """Where other machines reach this one; default: a head is reached from here only. Ray then
    listens on all interfaces, and wants the token on each.

    An IP address or a name. None: for a worker the address from which it reaches the head."""
    port: int = DEFAULT_PORT
    """Port of the head; 0 for one that is free."""
    dashboard_listen: str = LOOPBACK
    """Where the dashboard and the Jobs API listen."""
    dashboard_port: int = DASHBOARD_PORT
    """Port of the dashboard and the Jobs API; 0 for one that is free."""
    cpus: int | None = None
    """To offer; 0 for a machine that only gives orders.

    None: as many as there are."""
    gpus: int | None = None
    """To offer; default all."""
    token: bool = True
    """False: let everybody on this machine use the cluster, which loopback alone allows."""

    def __post_init__(self) -> None:
        for name, count in (("--cpus", self.cpus), ("--gpus", self.gpus)):
            if count is not None and count < 0:
                raise InputError(f"{name} {count}: 0 or more is allowed")
        for name, port in (("--port", self.port), ("--dashboard-port", self.dashboard_port)):
            if not 0 <= port < 65536:
                raise InputError(f"{name} {port}: 1 to 65535 is allowed, 0 for one that is free")
        exposed = [host for host in (self.listen, self.dashboard_listen) if host]
        if not self.token and (self.join or not all(map(is_local_host, exposed))):
            raise InputError(
                "--no-token: whoever reaches a cluster without a token may run programs on it, so "
                f"it may listen on {LOOPBACK} only; leave out --no-token, or --listen and --join"
            )


def start_node(spec: NodeSpec, tell: Callable[[str], None] = lambda line: None) -> NodeRecord:
    """Start a node that outlives this process; returns once it is part of its cluster.

    ``tell`` gets a line now and then while it starts, and one for each further attempt. Raises
    EnvironmentProblem, with nothing left behind, where it cannot be started.
    """
    _prepare_token(spec)
    prepare_environment(AUTO)
    for attempt in range(2, _ATTEMPTS + 1):
        try:
            return _start(spec, tell)
        except _NotUp as problem:  # a busy machine may do better at the next
            tell(f"{problem}: attempt {attempt} of {_ATTEMPTS}")
    try:
        return _start(spec, tell)
    except _NotUp as problem:
        raise EnvironmentProblem(
            f"{problem}, in the last of {_ATTEMPTS} attempts; try again when more of this "
            "machine's processors and memory is free (`nst doctor` shows what is there)"
        ) from problem


class _NotUp(EnvironmentProblem):
    """A node's processes have been started, and it has not come up."""


def _start(spec: NodeSpec, tell: Callable[[str], None]) -> NodeRecord:
    name = secrets.token_hex(4)
    folder = make_ray_folder(name)  # 0700; Ray's own folders are open
    try:
        address, dashboard, arguments = _head(spec) if spec.join is None else _worker(spec)
        record = NodeRecord(
            name, address, spec.join is None, dashboard, str(folder), NO_PROCESS, time.time()
        )
        write_record(record)  # before there is a process: whoever ends this one, `down` finds it
        process = _launch(spec, name, folder, arguments)
        started = psutil.Process(process.pid).create_time()
        record = replace(record, pid=process.pid, started=started)
        write_record(record)
        _wait_until_up(record, process, tell)
    except BaseException as error:
        _clear(name, folder)
        if isinstance(error, OSError):
            raise EnvironmentProblem(f"the node cannot be started: {error}") from error
        raise
    return record


def end_node(record: NodeRecord) -> list[int]:
    """End a node that was started here: its processes, its temporary files, its record.

    Returns the pids of processes that live nevertheless: none.
    """
    processes = record.processes()
    # The first one tells its children itself; jobs leave work that can be resumed.
    first = [each for each in processes if each.pid == record.pid]
    for each in first or processes:
        _signal(each, signal.SIGTERM)
    psutil.wait_procs(processes, timeout=_END_SECONDS)
    _clear(record.name, Path(record.folder))
    return [process.pid for process in record.processes()]


def _clear(name: str, folder: Path) -> None:
    """Kill what a node still has of processes, and drop its files and record."""
    for _ in range(3):  # one may have started another meanwhile
        rest = processes_of(name)
        for each in rest:
            _signal(each, signal.SIGKILL)
        psutil.wait_procs(rest, timeout=5)
    shutil.rmtree(folder, ignore_errors=True)
    forget_record(name)


def join_command(record: NodeRecord) -> str | None:
    """Return the command, for this machine's shell, with which another machine joins a head.

    The token goes through the pipe: no list of processes shows it. None where only this machine
    reaches the head.
    """
    if is_local_host(record.address):
        return None
    return (
        "ssh WORKER 'umask 077; mkdir -p ~/.ray; cat > ~/.ray/auth_token; "
        f"nst cluster up --join {record.address}' < {shlex.quote(str(token_file()))}"
    )


def _prepare_token(spec: NodeSpec) -> None:
    if not spec.token:
        os.environ["RAY_AUTH_MODE"] = "disabled"
        return
    if spec.join is None:
        os.environ["RAY_AUTH_MODE"] = "token"
        make_token()
    elif find_token() is None:
        raise EnvironmentProblem(
            "--join: no token here; copy the head's ~/.ray/auth_token (mode 0600), "
            "or name its file in RAY_AUTH_TOKEN_PATH"
        )
    use_token()


def _head(spec: NodeSpec) -> tuple[str, str, list[str]]:
    """Return the cluster's address, the dashboard's URL and the arguments of `ray start`."""
    host = _address_here(spec.listen or LOOPBACK)
    port = _free_port("--port", host, spec.port)
    dashboard_host = _ip_address("--dashboard-listen", spec.dashboard_listen)
    dashboard_port = _free_port("--dashboard-port", dashboard_host, spec.dashboard_port)
    arguments = [
        "--head",
        f"--node-ip-address={host}",
        f"--port={port}",
        f"--dashboard-host={dashboard_host}",
        f"--dashboard-port={dashboard_port}",
        # Not used by us, and always there: it must not collide with another Ray's.
        f"--ray-client-server-port={_free_port('--listen', host, 0)}",
    ]
    return f"{host}:{port}", f"http://{dashboard_host}:{dashboard_port}", arguments


def _worker(spec: NodeSpec) -> tuple[str, None, list[str]]:
    assert spec.join is not None
    head = with_port(spec.join)
    if is_local_host(head):
        raise InputError(
            f"--join {spec.join}: a head on loopback is alone; start it with `nst cluster up "
            "--listen IP`, by an address that other machines reach"
        )
    check_head(head)
    host, _, port = head.rpartition(":")
    address = f"{_ip_address('--join', host)}:{port}"
    arguments = [f"--address={address}"]
    if spec.listen:
        arguments.append(f"--node-ip-address={_address_here(spec.listen)}")
    return address, None, arguments


def _launch(
    spec: NodeSpec, name: str, folder: Path, arguments: list[str]
) -> subprocess.Popen[bytes]:
    """Start `ray start`, which stays and holds all processes of the node."""
    command = [sys.executable, "-P", "-m", "ray.scripts.scripts", "start", *arguments]
    with (folder / _LOG).open("wb") as log:
        return subprocess.Popen(
            [*command, f"--temp-dir={folder / 'ray'}", *_amounts(spec)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**_environment(spec, name), "TMPDIR": str(folder)},
            cwd=folder,  # Ray lets its own actors import from there
        )


def _amounts(spec: NodeSpec) -> list[str]:
    amounts = [] if spec.cpus is None else [f"--num-cpus={spec.cpus}"]
    if spec.gpus is not None:
        amounts.append(f"--num-gpus={spec.gpus}")
    # 0: a free one; the usual one may be that of another Ray on this machine.
    return [*amounts, "--dashboard-agent-listen-port=0", "--disable-usage-stats", "--block"]


def _environment(spec: NodeSpec, name: str) -> dict[str, str]:
    own = NODE_ENVIRONMENT | (HEAD_ENVIRONMENT if spec.join is None else {})
    environment = {**own, **os.environ, MARK: name}  # what the user has set holds
    if spec.join is None and is_local_host(spec.listen or LOOPBACK):
        environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # all of Ray on loopback
    else:
        environment.pop("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", None)
    interface = _interface(spec)
    if interface is not None:
        # Else training's workers look up their own host's name, which is often 127.0.1.1.
        environment.setdefault("GLOO_SOCKET_IFNAME", interface)
        environment.setdefault("NCCL_SOCKET_IFNAME", interface)
    environment.pop("RAY_ADDRESS", None)
    if "RAY_AUTH_TOKEN_PATH" in environment:  # Ray is started in another folder
        environment["RAY_AUTH_TOKEN_PATH"] = str(token_file().absolute())
    # So that a job finds `nst`, wherever it is installed.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    return environment


def _interface(spec: NodeSpec) -> str | None:
    """Return the network interface by which the node and the others meet; None on loopback."""
    if spec.listen is not None:
        address = _ip_address("--listen", spec.listen)
    elif spec.join is not None:
        host, _, port = with_port(spec.join).rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as towards:
            towards.connect((host, int(port)))  # of UDP: nothing is sent
            address = towards.getsockname()[0]
    else:
        return None
    interfaces = psutil.net_if_addrs().items()
    names = [name for name, each in interfaces if address in (one.address for one in each)]
    return names[0] if names and not is_local_host(address) else None


def _wait_until_up(
    record: NodeRecord, process: subprocess.Popen[bytes], tell: Callable[[str], None]
) -> None:
    """Wait until the cluster counts the node among its own, and the head's Jobs API answers."""
    what = "head" if record.is_head else "worker node"
    begun = time.monotonic()
    waited, signs = 0.0, 1
    while process.poll() is None and waited < _START_SECONDS:
        if _is_up(record):
            return
        if waited >= signs * _SECONDS_BETWEEN_SIGNS:
            tell(f"the {what} is starting, {waited:.0f} s so far")
            signs += 1
        time.sleep(0.2)
        waited = time.monotonic() - begun
    if process.poll() is None:
        raise _NotUp(f"the machine is busy: the {what} is not up after {waited:.0f} s")
    reason = _last_words(Path(record.folder, _LOG))
    raise _NotUp(f"the {what} ended after {waited:.0f} s, before it was up{reason}")


def _is_up(record: NodeRecord) -> bool:
    import grpc

    try:
        nodes = nodes_of(record.address)
    except grpc.RpcError:
        return False
    mine = [node for node in nodes if node.alive and node.temp_folder.startswith(record.folder)]
    url = record.dashboard
    return bool(mine) and (url is None or takes_connections(url.rpartition("/")[2]))


def _last_words(log: Path) -> str:
    """Return the last line of a node's log that may say why it ended, in brackets; "" for none."""
    try:
        lines = _COLOUR.sub("", log.read_text(errors="replace")).splitlines()
    except OSError:
        return ""
    said = (line.strip() for line in reversed(lines) if not _NOT_A_REASON.search(line))
    words = next((line for line in said if line), "")
    return f" ({words})" if words else ""


def _ip_address(option: str, host: str) -> str:
    try:
        return str(socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise InputError(
            f"{option} {host}: no such host; an IP address or a name is allowed"
        ) from error


def _address_here(host: str) -> str:
    address = _ip_address("--listen", host)
    mine = addresses_of_this_machine()
    if address not in mine:
        known = ", ".join(sorted(each for each in mine if each.count(".") == 3))
        raise InputError(f"--listen {host}: no address of this machine, which has {known}")
    return address


def _free_port(option: str, host: str, port: int) -> int:
    """Return ``port``, or one that is free for 0. Raises InputError where it is not free."""
    try:
        with socket.create_server((host, port)) as server:
            return int(server.getsockname()[1])
    except OSError as error:
        if head := _head_at(port):
            raise InputError(
                f"{option} {port}: a head runs on this machine already ({head.address}); `nst "
                "cluster status` shows it, `nst cluster down` ends it, and `nst cluster up --port "
                "0 --dashboard-port 0` starts a second one"
            ) from error
        raise InputError(
            f"{option} {port}: {host}:{port} cannot be listened on ({error.strerror}); another "
            "server may run there: see `nst cluster status`, or choose another port, 0 for any"
        ) from error


def _head_at(port: int) -> NodeRecord | None:
    """The head that was started here and listens on a port; None: there is none."""
    ports = (
        (head, {part.rpartition(":")[2] for part in (head.address, head.dashboard or "")})
        for head in running_heads()
    )
    return next((head for head, its_ports in ports if str(port) in its_ports), None)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:  # gone meanwhile
        return
