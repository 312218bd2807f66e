"""As much of the Hugging Face Hub as we ask of it, on the loopback: a repository, user/name."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hub:
    """What the repository has, and what was asked for."""

    files: dict[str, bytes]
    """By their names; commits change them."""
    exists: bool = True
    may_write: bool = True
    breaks_at_commit: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and authorization of each request."""
    url: str = ""

    def post(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Return status and answer."""
        if path == "/api/validate-yaml":
            return 200, {}
        if not self.may_write:
            return 403, {"error": "You don't have the rights"}
        if path == "/api/repos/create":
            created, self.exists = not self.exists, True
            return (200 if created else 409), {"url": f"{self.url}/user/name"}
        if path.startswith("/api/models/user/name/preupload/"):
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            wanted = json.loads(body)["files"]
            return 200, {"files": [{"path": each["path"], **modes} for each in wanted]}
        if self.breaks_at_commit:
            return 500, {"error": "out of order"}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del self.files[value["path"]]
        return 200, {"commitUrl": f"{self.url}/user/name/commit/abc", "commitOid": "abc"}


@contextmanager
def serve_hub(files: dict[str, bytes], elsewhere: str) -> Iterator[Hub]:
    """Serve a repository until the end of the block; its files come from ``elsewhere``."""
    hub = Hub(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.asked.append((self.path, self.headers.get("Authorization", "")))
            if self.path.startswith("/api/models/user/name") and hub.exists:
                self._answer(
                    200, [{"type": "file", "path": name, "size": 1, "oid": ""} for name in files]
                )
                return
            name = self.path.partition("/resolve/")[2].partition("/")[2]
            self.send_response(302 if name in files else 404)
            self.send_header("Location", f"{elsewhere}/{name}")
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            hub.asked.append((self.path, self.headers.get("Authorization", "")))
            self._answer(*hub.post(self.path, self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, status: int, fields: Any) -> None:
            body = json.dumps(fields).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
