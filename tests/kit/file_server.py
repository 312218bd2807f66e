"""A server of files on the loopback that misbehaves as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """What it serves, and what it was asked for."""

    files: dict[str, bytes]
    """By their names."""
    knows_ranges: bool = True
    cuts_after: list[int] = field(default_factory=list)
    """Bytes after which each of the next connections is cut."""
    asked: list[str] = field(default_factory=list)
    """A line for each request: the file, and the range."""
    tokens: list[str | None] = field(default_factory=list)
    """What each request had as its authorization."""
    url: str = ""


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[FileServer]:
    """Serve ``files`` until the end of the block."""
    state = FileServer(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, wanted = self.path.lstrip("/"), self.headers.get("Range", "")
            state.asked.append(f"{name} {wanted}".strip())
            state.tokens.append(self.headers.get("Authorization"))
            content = state.files.get(name)
            if content is None:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            if not state.knows_ranges:
                start = 0
            if start and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end = start + state.cuts_after.pop(0) if state.cuts_after else len(content)
            self.wfile.write(content[start:end])

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
