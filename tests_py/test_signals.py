"""Ctrl-C, and the end of the interpreter, in the middle of a transfer."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import Optional

import pytest
from transfers import child_environment, half_written, make_tree, manifest_of, tree_bytes, upload

#: Far more than any of this takes; a child that needs as much hangs.
PATIENCE_SECONDS = 60

HEAD = """
import sys, threading
from pathlib import Path
from transfers import download, manifest_of, upload

direction, bucket, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
manifest = manifest_of(folder / "source")

def transfer():
    if direction == "upload":
        upload(bucket, folder / "source", folder / "child caches", manifest=manifest)
    else:
        download(bucket, manifest, folder / "target")
"""

# A shell that starts the tests in the background has them, and their children, ignore SIGINT.
INTERRUPTED = f"""{HEAD}
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    transfer()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(0)
print("finished", flush=True)
sys.exit(1)
"""

LEAVING = f"""{HEAD}
thread = threading.Thread(target=transfer, daemon=sys.argv[4] == "daemon")
thread.start()
print("started", flush=True)
sys.stdin.readline()
"""

#: Of the requests that carry contents.
TRANSFER_REQUEST = {"upload": "UploadPart", "download": "GetObject"}
#: The reply to a part has no body to stall in.
STALL = {"upload": {"kind": "stall"}, "download": {"kind": "stall", "at": 1000}}


def wait_until(condition, child: subprocess.Popen) -> None:
    """Polls, since what is waited for happens in the server. The limit of tests ends it where that never happens."""
    while not condition():
        if child.poll() is not None:
            raise AssertionError(f"the child ended: {child.communicate()}")
        time.sleep(0.01)


@pytest.fixture
def child(rig, rig_bucket, tmp_path):
    """Callable: starts a script whose transfer is under way once this returns.

    It never ends by itself, or goes on after the given time.
    """
    started = []

    def start(
        script: str, direction: str, *arguments: str, stall_ms: Optional[int] = None
    ) -> subprocess.Popen:
        root = make_tree(tmp_path / "source", files=5, large=2)
        if direction == "download":
            upload(rig_bucket, root, tmp_path / "caches", manifest=manifest_of(root))
        fault = {**STALL[direction], "ms": stall_ms}
        rig.rules({"operation": TRANSFER_REQUEST[direction], "skip": 2, "fault": fault})
        before = rig.count(TRANSFER_REQUEST[direction])
        process = subprocess.Popen(
            [sys.executable, "-c", script, direction, rig_bucket, str(tmp_path), *arguments],
            env=child_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        wait_until(lambda: rig.count(TRANSFER_REQUEST[direction]) > before + 2, process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_ctrl_c_ends_a_transfer_and_leaves_nothing_behind(child, rig, rig_bucket, tmp_path, direction):
    process = child(INTERRUPTED, direction)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (output, process.returncode) == ("interrupted\n", 0), errors
    assert errors == ""
    assert rig.uploads(rig_bucket) == []
    assert half_written(tmp_path / "target") == []
    source = tree_bytes(tmp_path / "source")
    for name, contents in tree_bytes(tmp_path / "target").items():
        assert contents == source[name]
    assert rig.objects(rig_bucket, "prefix/Manifests/farm") == [] or direction == "download"


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_an_interpreter_with_a_daemon_thread_ends_in_the_middle(child, tmp_path, direction):
    process = child(LEAVING, direction, "daemon")
    output, errors = process.communicate("leave\n", timeout=PATIENCE_SECONDS)
    assert (output, errors, process.returncode) == ("started\n", "", 0)


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_an_interpreter_waits_for_its_other_threads(child, rig, rig_bucket, tmp_path, direction):
    """As Python does for any thread that is no daemon: the transfer finishes once the server goes on."""
    process = child(LEAVING, direction, "thread", stall_ms=1000)
    assert process.stdin is not None
    process.stdin.write("leave\n")
    process.stdin.flush()
    rig.rules()
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (output, errors, process.returncode) == ("started\n", "", 0)
    if direction == "download":
        assert tree_bytes(tmp_path / "target") == tree_bytes(tmp_path / "source")
    else:
        assert rig.uploads(rig_bucket) == []
        assert len(rig.objects(rig_bucket, "prefix/Manifests/farm")) == 1
