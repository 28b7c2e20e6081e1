"""F24: slow links, as a network namespace whose loopback interface has the rate of one."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Callable, Optional

from case import MIB, NOT_RUN, Case, Outcome, case, row
from rig.server import RigServer

row("F24", "links of 256 kbit/s to 40 Mbit/s, 300 ms, bursts of loss, 1 or 128 bodies")

_CLONE_NEWNET = 0x40000000
#: An Ethernet frame of 1,514 bytes carries 1,448 bytes of a body.
_PAYLOAD = 1448 / 1514
#: What of the link's rate a transfer must reach, from its first request to its last.
_SHARE = 0.9


def _why_not() -> Optional[str]:
    """Why no link can be made here."""
    missing = [name for name in ("tc", "ip", "unshare") if shutil.which(name) is None]
    if missing:
        return f"{missing[0]} is not installed"
    trial = ["unshare", "-n", "tc", "qdisc", "add", "dev", "lo", "root", *_shape(8_000)]
    made = subprocess.run(trial, capture_output=True, text=True, check=False)
    return None if made.returncode == 0 else f"no link can be shaped: {made.stderr.strip()[:80]}"


def _shape(kbit: int, lossy: bool = False) -> list[str]:
    """A token bucket of that rate with a queue of 300 ms; while it is lossy, most packets are dropped."""
    if lossy:
        return ["tbf", "rate", "16kbit", "burst", "1600", "limit", "1600"]
    return ["tbf", "rate", f"{kbit}kbit", "burst", "32kb", "latency", "300ms"]


class Link:
    """A network namespace of this thread's own, and of the processes that it starts."""

    def __init__(self, kbit: int) -> None:
        self.kbit = kbit
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "no network namespace could be made")
        self._run("ip", "link", "set", "lo", "mtu", "1500")
        self._run("ip", "link", "set", "lo", "up")

    def _run(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True)

    def begin(self) -> None:
        """From now on the link has its rate."""
        self._run("tc", "qdisc", "add", "dev", "lo", "root", *_shape(self.kbit))

    def end(self) -> None:
        """The link is fast again: the oracle looks at what is left."""
        self._run("tc", "qdisc", "del", "dev", "lo", "root")

    @contextlib.contextmanager
    def losing(self, every_s: float, for_s: float) -> Iterator[None]:
        """Loses most packets for a while, again and again."""
        done = threading.Event()

        def work() -> None:
            # A thread that was made here is in the same namespace.
            while not done.wait(every_s):
                self._run("tc", "qdisc", "change", "dev", "lo", "root", *_shape(self.kbit, lossy=True))
                done.wait(for_s)
                self._run("tc", "qdisc", "change", "dev", "lo", "root", *_shape(self.kbit))

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def on_a_link(name: str, kbit: int, quick: bool = False, patience: float = 600) -> Callable:
    """Registers a case that runs with a server of its own behind a link of that rate."""

    def register(function: Callable[[Case, Link], None]) -> None:
        def run(this: Case) -> None:
            failed: list[BaseException] = []

            def work() -> None:
                try:
                    link = Link(kbit)
                    this.rig.close()
                    this.rig = RigServer()
                    this.bucket = this.rig.create_bucket("bucket")
                    function(this, link)
                except BaseException as error:
                    failed.append(error)

            # The namespace goes with the thread and with what was started in it.
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            if failed:
                raise failed[0]

        case("F24", name, quick=quick, patience=patience)(run)

    return register


def _files(this: Case, count: int, size: int) -> dict[str, bytes]:
    return {f"folder {number % 7}/frame {number}.exr": this.bytes(size) for number in range(count)}


def _judge(this: Case, link: Link, outcome: Outcome, moved: int, seconds: float) -> None:
    """Everything moved once, at nearly the link's rate."""
    reached = moved / (seconds * link.kbit * 125 * _PAYLOAD)
    this.surprise_unless(
        not outcome.ok or reached >= _SHARE,
        f"{reached:.2f} of the link's rate were used: {moved} bytes in {seconds:.1f} s",
    )


def upload(this: Case, link: Link, count: int, size: int) -> None:
    """Uploads over the link; no body is sent twice."""
    contents = this.write(_files(this, count, size))
    link.begin()
    start = time.monotonic()
    outcome = this.run("submit")
    seconds = time.monotonic() - start
    link.end()
    stats = this.rig.stats()
    this.check_bucket(contents, outcome, must_succeed=True)
    bodies = sum(stats["operations"].get(name, 0) for name in ("PutObject", "UploadPart"))
    # One more for the manifest.
    parts = -(-size // (8 * MIB)) * count
    this.surprise_unless(bodies == parts + 1, f"{bodies} bodies were sent for {parts} and a manifest")
    this.surprise_unless(
        stats["bytes_in"] <= count * size + 64 * 1024, f"{stats['bytes_in']} bytes came in for {count * size}"
    )
    # The interpreter's start and the hashing are not the link's.
    _judge(this, link, outcome, count * size, seconds - _start_up(seconds))


def download(this: Case, link: Link, count: int, size: int) -> None:
    """Downloads over the link; each range is asked for once."""
    contents = _files(this, count, size)
    manifest = this.store(contents)
    link.begin()
    start = time.monotonic()
    outcome = this.run("download", manifest=manifest)
    seconds = time.monotonic() - start
    link.end()
    this.check_download(contents, outcome, must_succeed=True)
    parts = -(-size // (8 * MIB)) * count
    asked = this.rig.count("GetObject")
    this.surprise_unless(asked == parts, f"{asked} requests for {parts} bodies")
    _judge(this, link, outcome, count * size, seconds - _start_up(seconds))


def _start_up(seconds: float) -> float:
    """What of the time passed before the first request: the interpreter's start, at the most two seconds."""
    return min(2.0, seconds / 10)


@on_a_link("upload of 48 × 1 MiB at 8 Mbit/s", 8_000)
def f24_many(this: Case, link: Link) -> None:
    upload(this, link, 48, MIB)


@on_a_link("upload of one file of 32 MiB at 4 Mbit/s", 4_000)
def f24_large(this: Case, link: Link) -> None:
    upload(this, link, 1, 32 * MIB)


@on_a_link("upload of 128 × 64 KiB at 256 kbit/s", 256, patience=900)
def f24_slowest(this: Case, link: Link) -> None:
    upload(this, link, 128, 64 * 1024)


@on_a_link("upload of one file of 6 MiB at 256 kbit/s", 256, patience=900)
def f24_slowest_large(this: Case, link: Link) -> None:
    upload(this, link, 1, 6 * MIB)


@on_a_link("upload of 64 × 1 MiB at 40 Mbit/s, replies after 300 ms", 40_000, quick=True)
def f24_far(this: Case, link: Link) -> None:
    this.rig.config(delay_ms=300)
    upload(this, link, 64, MIB)


@on_a_link("upload of 24 × 1 MiB at 12 Mbit/s with bursts of loss", 12_000, quick=True)
def f24_loss(this: Case, link: Link) -> None:
    contents = this.write(_files(this, 24, MIB))
    link.begin()
    with link.losing(every_s=3, for_s=1.5):
        outcome = this.run("submit")
    link.end()
    bodies = this.rig.count("PutObject")
    this.check_bucket(contents, outcome, must_succeed=True)
    this.surprise_unless(bodies == 25, f"{bodies} bodies were sent for 24 and a manifest")


@on_a_link("download of 128 × 64 KiB at 256 kbit/s", 256, patience=900)
def f24_download_slowest(this: Case, link: Link) -> None:
    download(this, link, 128, 64 * 1024)


@on_a_link("download of 24 × 1 MiB at 8 Mbit/s", 8_000)
def f24_download_many(this: Case, link: Link) -> None:
    download(this, link, 24, MIB)


@on_a_link("download of one file of 32 MiB at 40 Mbit/s", 40_000, quick=True)
def f24_download_large(this: Case, link: Link) -> None:
    download(this, link, 1, 32 * MIB)


if os.geteuid() != 0:
    NOT_RUN["F24"] = "only root can shape a link"
elif _reason := _why_not():
    NOT_RUN["F24"] = _reason
