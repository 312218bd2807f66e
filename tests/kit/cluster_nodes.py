"""A cluster of `nst cluster up` for tests: on loopback, or of machines made of namespaces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.nodes.records import NodeRecord

_NST = (sys.executable, "-m", "jobs.cli")
_SECONDS = 600  # of a command that hangs; on a busy machine one takes minutes


class Machine:
    """Where commands run: this machine, with a home and state of its own."""

    def __init__(self, home: Path, prefix: Sequence[str] = ()) -> None:
        self.home = home
        self._prefix = tuple(prefix)
        own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self.environment = {
            **own,
            "HOME": str(home),
            "NST_STATE_DIR": str(home / "state"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        home.mkdir(parents=True, exist_ok=True)

    def start(self, *arguments: str, folder: Path | None = None) -> subprocess.Popen[str]:
        """Start a command of ours."""
        return subprocess.Popen(
            [*self._prefix, *_NST, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder or self.home,
            env=self.environment,
        )

    def nst(self, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of ours to its end."""
        process = self.start(*arguments, folder=folder)
        try:
            stdout, stderr = process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def up(self, *arguments: str) -> NodeRecord:
        """Start a node."""
        result = self.nst("cluster", "up", *arguments, "--json")
        assert result.returncode == 0, result.stderr
        return NodeRecord(**json.loads(result.stdout))

    def down(self) -> dict[str, Any]:
        """End all nodes of this machine."""
        result = self.nst("cluster", "down", "--json")
        assert result.returncode == 0, result.stderr
        ended: dict[str, Any] = json.loads(result.stdout)
        return ended


class Network:
    """Machines of a network of their own, each a network namespace; they share a file system.

    The first has the bridge that joins them; no server in them can be reached from outside.
    Raises OSError where this user or system cannot make such.
    """

    def __init__(self, home: Path, machines: int) -> None:
        if shutil.which("ip") is None or os.geteuid() != 0:
            raise OSError("network namespaces need root and the command ip")
        self._home = home
        self._names = [f"nst{os.getpid()}-{number}" for number in range(machines)]
        try:
            self._connect()
        except OSError:
            self.close()
            raise

    def machine(self, number: int, hidden: Path | None = None) -> Machine:
        """Return a machine; ``hidden`` is a folder whose content it does not see."""
        prefix = ["ip", "netns", "exec", self._names[number]]
        if hidden is not None:  # `ip netns exec` has a mount namespace of its own
            prefix += ["sh", "-c", f'mount -t tmpfs none {hidden} && exec "$@"', "sh"]
        machine = Machine(self._home / f"machine-{number}", prefix)
        # All have the token of the first, as if somebody had copied it.
        machine.environment["RAY_AUTH_TOKEN_PATH"] = str(self._home / "token")
        return machine

    def address(self, number: int) -> str:
        """Return a machine's IP address."""
        return f"10.77.0.{number + 1}"

    def cut(self, number: int) -> None:
        """Take a machine's link down, without a word to anybody."""
        _ip("-n", self._names[number], "link", "set", "eth0", "down")

    def down(self) -> None:
        """End all nodes, those that work before the head."""
        for number in reversed(range(len(self._names))):
            self.machine(number).down()

    def close(self) -> None:
        """Remove all namespaces that were made, and with them their links."""
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def _connect(self) -> None:
        first, *others = self._names
        _ip("netns", "add", first)
        _ip("-n", first, "link", "add", "bridge", "type", "bridge")
        _ip("-n", first, "addr", "add", f"{self.address(0)}/24", "dev", "bridge")
        for link in ("bridge", "lo"):
            _ip("-n", first, "link", "set", link, "up")
        for number, name in enumerate(others, 1):
            _ip("netns", "add", name)
            port = f"port{number}"
            _ip("-n", first, "link", "add", port, "type", "veth", "peer", "eth0", "netns", name)
            _ip("-n", first, "link", "set", port, "master", "bridge", "up")
            _ip("-n", name, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
            for link in ("eth0", "lo"):
                _ip("-n", name, "link", "set", link, "up")


def _ip(*arguments: str) -> None:
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {result.stderr.strip()}")
