"""A gateway before the rig: it refuses requests, and passes replies on in forms of its own, as other servers do."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Optional
from urllib.parse import parse_qs, unquote, urlsplit

#: Headers that belong to one connection.
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_CHUNK = 50_000


@dataclass
class Request:
    """What a client asks for."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        """The parameters, with those that have no value."""
        pairs = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: values[0] for name, values in pairs.items()}

    @property
    def key(self) -> str:
        """The object's key; empty for requests to a bucket."""
        return unquote(urlsplit(self.target).path).lstrip("/").partition("/")[2]

    @property
    def operation(self) -> str:
        """S3's name of it, of those that job attachments make."""
        query = self.query
        if self.method == "POST":
            return "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
        if self.method == "PUT":
            return "UploadPart" if "uploadId" in query else "PutObject"
        if self.method == "DELETE":
            return "AbortMultipartUpload"
        if self.method == "HEAD":
            return "HeadObject"
        if "uploads" in query:
            return "ListMultipartUploads"
        if "uploadId" in query:
            return "ListParts"
        return "GetObject" if self.key else "ListObjectsV2"

    @property
    def access_key(self) -> str:
        """Whose request it is."""
        found = re.search(r"Credential=([^/]+)/", self.headers.get("authorization", ""))
        return found.group(1) if found else ""


@dataclass
class Reply:
    """What it is told."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    #: `length`, `chunked`, or `close`: how the body ends.
    framing: str = "length"
    #: What `Content-Length` says, if not the body's length.
    length: Optional[str] = None

    def replace(self, pattern: str, by: str) -> None:
        """Replaces text of the body."""
        self.body = re.sub(pattern, by, self.body.decode(), flags=re.DOTALL).encode()


def refusal(status: int, code: str, message: str = "told to refuse") -> Reply:
    """An error as S3 writes it."""
    document = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Reply(status, {"content-type": "application/xml"}, document.encode())


class Gateway:
    """The gateway, on 127.0.0.1; it ends with `close`.

    Args:
        endpoint: The rig's.
        before: Told each request; what it returns is the reply, and the rig is not asked.
        after: Told each request and the rig's reply, which it may change.
    """

    def __init__(
        self,
        endpoint: str,
        before: Callable[[Request], Optional[Reply]] = lambda _: None,
        after: Callable[[Request, Reply], None] = lambda *_: None,
    ) -> None:
        self.requests: list[Request] = []
        self._rig = urlsplit(endpoint).netloc
        self.before, self.after = before, after
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def log_message(self, *_: object) -> None:
                pass

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                gateway._answer(self, Request(self.command, self.path, headers, body))

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """A client that goes away is none of the gateway's errors."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def environment(self) -> dict[str, str]:
        """What leads a client here."""
        return {"AWS_ENDPOINT_URL": self.endpoint}

    def count(self, operation: str) -> int:
        """Requests of one operation."""
        return sum(request.operation == operation for request in self.requests)

    def _answer(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        self.requests.append(request)
        reply = self.before(request)
        if reply is None:
            reply = self._forward(request)
            self.after(request, reply)
        lines = [f"HTTP/1.1 {reply.status} told"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        if reply.framing == "length":
            lines.append(f"content-length: {len(reply.body) if reply.length is None else reply.length}")
        elif reply.framing == "chunked":
            lines.append("transfer-encoding: chunked")
        else:
            lines.append("connection: close")
        handler.close_connection = reply.framing == "close" or reply.length is not None
        handler.wfile.write("\r\n".join([*lines, "", ""]).encode())
        if request.method == "HEAD":
            return
        if reply.framing == "chunked":
            for start in range(0, len(reply.body), _CHUNK):
                piece = reply.body[start : start + _CHUNK]
                handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            handler.wfile.write(b"0\r\n\r\n")
        else:
            handler.wfile.write(reply.body)
        handler.wfile.flush()

    def _forward(self, request: Request) -> Reply:
        connection = http.client.HTTPConnection(self._rig, timeout=600)
        try:
            kept = {name: value for name, value in request.headers.items() if name not in _HOP}
            connection.request(request.method, request.target, request.body, kept)
            answer = connection.getresponse()
            body = answer.read()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            length = headers.get("content-length") if request.method == "HEAD" else None
            return Reply(
                answer.status, {n: v for n, v in headers.items() if n not in _HOP}, body, length=length
            )
        finally:
            connection.close()
