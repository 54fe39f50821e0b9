"""A server on the loopback that breaks off, redirects and lies, as it is told."""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """One file, and how it is served.

    Attributes:
        content: The file.
        breaks_after: Bytes after which the connection is closed; None: never.
        ranges: It can send a part.
        validators: It marks the version: "etag", "weak", "date".
        ignores_if_range: It sends the part that was asked for though the file is another one.
        shift: By how much it sends another part than was asked for.
        chunked: It does not say how much will come.
        answers: Path to status and headers, for all but the file.
        asked: For each request the range that was asked for, or None.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.breaks_after: int | None = None
        self.ranges = True
        self.validators = {"etag"}
        self.ignores_if_range = False
        self.shift = 0
        self.chunked = False
        self.answers: dict[str, tuple[int, dict[str, str]]] = {}
        self.asked: list[str | None] = []
        self.url = ""

    def marks(self) -> dict[str, str]:
        tag = f'"{hashlib.md5(self.content).hexdigest()}"'
        marks = {}
        if "etag" in self.validators:
            marks["ETag"] = tag
        if "weak" in self.validators:
            marks["ETag"] = f"W/{tag}"
        if "date" in self.validators:
            marks["Last-Modified"] = "Sat, 31 Jan 2026 10:00:00 GMT"
        return marks


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        site = self.server.site
        asked = self.headers.get("Range")
        site.asked.append(asked)
        self.close_connection = True
        if self.path in site.answers:
            status, headers = site.answers[self.path]
            self._begin(status, {"Content-Length": "0", **headers})
            return
        marks = site.marks()
        same = self.headers.get("If-Range") in marks.values() or site.ignores_if_range
        start = int(asked[6:-1]) if asked and site.ranges and same else 0
        if start and start >= len(site.content):
            self._begin(416, {"Content-Length": "0"})
            return
        start += site.shift if start else 0
        self._send(site.content[start:], start, marks)

    def _send(self, body: bytes, start: int, marks: dict[str, str]) -> None:
        site = self.server.site
        headers = {**marks, "Content-Length": str(len(body))}
        if site.chunked:
            del headers["Content-Length"]
            headers["Transfer-Encoding"] = "chunked"
        if start:
            total = len(site.content)
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        self._begin(206 if start else 200, headers)
        body = body[: site.breaks_after]
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body) if site.chunked else body)
        if site.chunked and site.breaks_after is None:
            self.wfile.write(b"0\r\n\r\n")

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(site: Site):
    """Serve on a free port until the block ends; `site.url` says where."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.site = site
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
