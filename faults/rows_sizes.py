"""F20, more: lengths that the network or a manifest says, and that no memory has."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from case import Case, case
from rows_python import with_peak

TIB = 2**40
#: Lengths that a reply may say it has: more than an address space, more than memory, and a little more than the body.
LENGTHS = (128 * TIB, 3 * TIB, 2**62, 2**34, 2**31 + 1, 4_096)


@contextlib.contextmanager
def promising(length: int) -> Iterator[str]:
    """A server that answers each GET with a few bytes of a body that is said to have `length`; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.send_header("ETag", '"0"')
            self.send_header("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(b"{}")
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _promised(length: int) -> None:
    @case("F20", f"a manifest of {length} bytes, of which two come", quick=length != 2**34)
    def manifest(this: Case) -> None:
        with promising(length) as endpoint:
            environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_ENDPOINT_URL_S3": endpoint}
            peak, outcome = with_peak(this, "fetch_manifest", key="root/Manifests/m", environment=environment)
        this.expect_error(outcome, "root/Manifests/m")
        this.surprise_unless(peak < 300, f"peak RSS {peak:.0f} MB")

    @case(
        "F20", f"contents of {length} bytes where three were wanted", quick=length in (128 * TIB, 2**31 + 1)
    )
    def contents(this: Case) -> None:
        wanted = this.store({"f": b"abc"})
        for verify in ("off", "size", "hash"):
            with promising(length) as endpoint:
                environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_ENDPOINT_URL_S3": endpoint}
                peak, outcome = with_peak(
                    this, "download", manifest=wanted, verify=verify, environment=environment
                )
            this.expect_error(outcome)
            this.check_download({"f": b"abc"}, outcome)
            this.surprise_unless(peak < 300, f"{verify}: peak RSS {peak:.0f} MB")
        this.score.cases += 2


for _length in LENGTHS:
    _promised(_length)


def _said_by_a_manifest(size: int) -> None:
    @case("F20", f"a file of {size} bytes by its manifest, of which three are there")
    def said(this: Case) -> None:
        digest = this.rig.store(b"abc", this.bucket, "root/Data/")
        row = {"hash": digest, "mtime": 1_700_000_000_000_000, "path": "f", "size": size}
        wanted = this.manifest([row])
        peak, outcome = with_peak(this, "download", manifest=wanted)
        this.expect_error(outcome)
        this.surprise_unless(peak < 300, f"peak RSS {peak:.0f} MB")
        this.score.leftovers += sum(1 for path in this.target.rglob("*"))


for _size in (128 * TIB, 3 * TIB, 2**63 - 1, 2**40, 9 * 2**20):
    _said_by_a_manifest(_size)


def _time(name: str, micros: int) -> None:
    @case("F20", f"a file of the year {name}")
    def of_the_year(this: Case) -> None:
        contents = {"f": b"abc"}
        digest = this.rig.store(b"abc", this.bucket, "root/Data/")
        row = {"hash": digest, "mtime": micros, "path": "f", "size": 3}
        outcome = this.run("download", manifest=this.manifest([row]))
        this.check_download(contents, outcome, must_succeed=True)
        before = (this.target / "f").stat()
        # A worker that tries again finds it right, and its snapshot has the time that the disk has.
        again = this.run("download", manifest=this.manifest([row]), again=True)
        this.check_download(contents, again, must_succeed=True)
        snapshot = this.run("snapshot_times", root=str(this.target), destination=str(this.home / "made"))
        this.surprise_unless(snapshot.ok, f"{snapshot.classes[:1]} {snapshot.text[:200]}")
        this.surprise_unless(
            snapshot.value == {"f": before.st_mtime_ns // 1000},
            f"the snapshot has {snapshot.value}, the disk {before.st_mtime_ns // 1000}",
        )


_time("1601", -11_644_473_600_000_000)
_time("1677", -9_223_372_036_854_776)
_time("2262", 9_223_372_036_854_776)
_time("2400", 13_569_465_600_123_456)
_time("9999", 253_402_300_799_000_000)
