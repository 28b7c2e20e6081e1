"""How many small PUTs and GETs a second the rig serves to one client: the floor under the benchmark.

`python bench/rig_speed.py [--seconds S]`: one process, keep-alive connections, requests written by hand, so
that the client costs next to nothing.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests_py"))

from rig.server import RELEASE, RigServer

CONNECTIONS = 16
#: What the rig must serve, so that it is not what a benchmark measures.
FLOOR_PUTS_PER_SECOND = 5_000


def requests(method: str, body: bytes):
    """Requests for object after object."""
    number = 0
    while True:
        number += 1
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        yield (
            f"{method} /bucket/Data/{number % 100_000:032x} HTTP/1.1\r\nHost: rig\r\n{length}\r\n".encode()
            + body
        )


def rate(server: RigServer, method: str, body: bytes, seconds: float) -> float:
    """Requests per second, over some connections at once."""
    selector = selectors.DefaultSelector()
    upcoming = requests(method, body)
    for _ in range(CONNECTIONS):
        connection = socket.create_connection((server.host, server.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        connection.sendall(next(upcoming))
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for key, _ in selector.select(1):
            reply = key.fileobj.recv(65_536)
            if not reply.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(reply[:500])
            done += 1
            key.fileobj.sendall(next(upcoming))
    elapsed = time.perf_counter() - start
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    return done / elapsed


def main() -> int:
    """Prints both rates; fails below the floor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    seconds = parser.parse_args().seconds
    with RigServer("--bucket", "bucket", profiles=RELEASE) as server:
        puts = rate(server, "PUT", b"x" * 1024, seconds)
        gets = rate(server, "GET", b"", seconds)
    print(f"rig: {puts:,.0f} PUT/s, {gets:,.0f} GET/s of 1 KiB")
    return 0 if puts >= FLOOR_PUTS_PER_SECOND else 1


if __name__ == "__main__":
    sys.exit(main())
