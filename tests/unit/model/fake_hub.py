"""A hub on this machine: the two addresses that are asked, well or badly behaved."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PIECE = 65_536


@dataclass(frozen=True)
class Stored:
    """A file of the hub: its beginning, then zeros up to its size."""

    start: bytes
    size: int

    def part(self, start: int, end: int) -> Iterator[bytes]:
        """Its bytes from `start` to before `end`, in pieces."""
        for at in range(start, end, PIECE):
            stop = min(at + PIECE, end)
            piece = self.start[at:stop]
            yield piece + bytes(stop - at - len(piece))


@dataclass
class FakeHub:
    """One repository, and how the server behaves."""

    address: str = ""
    files: dict[str, Stored] = field(default_factory=dict)
    commit: str = COMMIT
    listed: bytes | None = None
    """The listing, in place of one of the files."""
    status: int = 200
    error_code: str = ""
    ranges: bool = True
    sizes: bool = True
    """Whether an answer says how long the file is."""
    cut_files: int | None = None
    """Bytes after which the answer that brings a file breaks off."""
    changing: bool = False
    """Whether a file grows from answer to answer."""
    head: dict[str, str] = field(default_factory=dict)
    """Headers in place of those of a file's answer."""
    pause: float = 0.0
    """Seconds before the body."""
    asked: list[str] = field(default_factory=list)
    sent: int = 0
    """Bytes of bodies of files."""
    tokens: set[str] = field(default_factory=set)

    def put(self, name: str, content: bytes, size: int | None = None) -> None:
        """Adds a file of `content` and zeros up to `size`."""
        self.files[name] = Stored(content, len(content) if size is None else size)

    def listing(self) -> bytes:
        """What the hub says the repository holds."""
        siblings = [{"rfilename": name, "size": file.size} for name, file in self.files.items()]
        return json.dumps({"id": "owner/name", "sha": self.commit, "siblings": siblings}).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(path)
        self.hub.tokens.add(self.headers.get("authorization", ""))
        with contextlib.suppress(ConnectionError):
            self._answer(path)

    def _answer(self, path: str) -> None:
        hub = self.hub
        if hub.status != 200:
            self._send(hub.status, {"x-error-code": hub.error_code}, Stored(b"no\x1b[31m", 7), 0, 7)
            return
        if re.fullmatch(r"/api/models/owner/name(/revision/.+)?", path):
            text = hub.listing() if hub.listed is None else hub.listed
            self._send(200, {}, Stored(text, len(text)), 0, len(text))
            return
        found = re.fullmatch(rf"/owner/name/resolve/{re.escape(hub.commit)}/(.+)", path)
        file = hub.files.get(found[1]) if found else None
        if file is None:
            self._send(404, {}, Stored(b"", 0), 0, 0)
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        if asked is None or not hub.ranges:
            self._send(200, hub.head, file, 0, file.size)
        elif int(asked[1]) >= file.size:
            self._send(416, {"content-range": f"bytes */{file.size}"}, Stored(b"", 0), 0, 0)
        else:
            start, end = int(asked[1]), min(int(asked[2]) + 1, file.size)
            size = file.size + (start if hub.changing else 0)
            place = {"content-range": f"bytes {start}-{end - 1}/{size}"}
            self._send(206, place | hub.head, file, start, end)

    def _send(self, status: int, head: dict[str, str], file: Stored, start: int, end: int) -> None:
        hub = self.hub
        self.send_response(status)
        if hub.sizes or status != 200:
            head = {"content-length": str(end - start)} | head
        else:
            self.close_connection = True
        for name, value in head.items():
            self.send_header(name, value)
        self.end_headers()
        time.sleep(hub.pause)
        cut = hub.cut_files if "/resolve/" in self.path else None
        left = end - start if cut is None else min(cut, end - start)
        for piece in file.part(start, start + left):
            self.wfile.write(piece)
            hub.sent += len(piece) if "/resolve/" in self.path else 0
        if left < end - start:
            self.close_connection = True


@contextlib.contextmanager
def serving() -> Iterator[FakeHub]:
    """A hub that answers until the end of the block."""
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
