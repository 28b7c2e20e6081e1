"""A server that answers every GET with the same bytes and remembers what was asked; as a proxy, it connects nothing."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Seen:
    """What one request said.

    Attributes:
        host: Host and port that were asked.
        path: The path, or nothing where only a tunnel was asked for.
        access_key: Of the signature.
        region: Of the signature.
        token: The session token.
        proxied: Whether it came as a proxy is asked.
    """

    host: str
    path: str
    access_key: Optional[str]
    region: Optional[str]
    token: Optional[str]
    proxied: bool


_SCOPE = re.compile(r"Credential=(?P<key>[^/]*)/\d+/(?P<region>[^/]*)/s3/")


class Recorder:
    """The server, running until it is closed."""

    def __init__(self, body: bytes) -> None:
        self.seen: list[Seen] = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Nothing on the screen."""

            def do_GET(self) -> None:
                recorder.note(self)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                """STS: nobody is anybody."""
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.refuse()

            def do_CONNECT(self) -> None:
                recorder.note(self)
                self.refuse()

            def refuse(self) -> None:
                self.send_response(403)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def note(self, request: BaseHTTPRequestHandler) -> None:
        """Remembers a request."""
        scope = _SCOPE.search(request.headers.get("Authorization", ""))
        is_tunnel = request.command == "CONNECT"
        url = urlsplit(request.path)
        self.seen.append(
            Seen(
                host=request.path if is_tunnel else request.headers["Host"],
                path="" if is_tunnel else url.path,
                access_key=scope and scope["key"],
                region=scope and scope["region"],
                token=request.headers.get("x-amz-security-token"),
                proxied=is_tunnel or bool(url.netloc),
            )
        )

    def first_of_s3(self) -> Optional[Seen]:
        """The first request that was not for STS."""
        return next((seen for seen in self.seen if not seen.host.startswith("sts")), None)

    def close(self) -> None:
        """Stops it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
