"""Awaited calls in every kind of event loop: woken by a socket that they share, cancelled when they are dropped."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import weakref
from pathlib import Path

import pytest
from rusty_attachments._calls import event_loop as _event_loop
from rusty_attachments.exceptions import JobAttachmentsS3ClientError
from transfers import (
    download_async,
    half_written,
    make_tree,
    manifest_of,
    tree_bytes,
    upload,
    upload_async,
)

STALL = {"operation": "GetObject", "fault": {"kind": "stall", "at": 0}}


@pytest.fixture
def stored(rig, rig_bucket, tmp_path):
    """A manifest whose files are in the bucket, and what they hold."""
    root = make_tree(tmp_path / "source", files=4)
    manifest = manifest_of(root)
    upload(rig_bucket, root, tmp_path / "caches", manifest=manifest)
    return manifest, tree_bytes(root)


@pytest.fixture
def sockets(monkeypatch):
    """The wakeup sockets that are opened and closed, and the most that were open at once."""
    counts = {"opened": 0, "closed": 0, "most": 0}

    class Counted:
        def __init__(self) -> None:
            self.socket = _event_loop_socket()
            counts["opened"] += 1
            counts["most"] = max(counts["most"], counts["opened"] - counts["closed"])

        def __getattr__(self, name):
            return getattr(self.socket, name)

        def close(self) -> None:
            counts["closed"] += 1
            self.socket.close()

    _event_loop_socket = _event_loop.WakeupSocket
    monkeypatch.setattr(_event_loop, "WakeupSocket", Counted)
    # An operation takes the native socket.
    enter = _event_loop.LoopWaker.enter

    class Unwrapped:
        def __init__(self, operation) -> None:
            self.operation = operation

        def wake_through(self, socket, number) -> None:
            self.operation.wake_through(socket.socket, number)

    monkeypatch.setattr(_event_loop.LoopWaker, "enter", lambda self, it: enter(self, Unwrapped(it)))
    return counts


def test_calls_of_one_loop_share_a_socket_that_is_closed_behind_them(sockets, rig_bucket, stored, tmp_path):
    manifest, contents = stored

    async def main() -> None:
        calls = [download_async(rig_bucket, manifest, tmp_path / f"target {n}") for n in range(20)]
        await asyncio.gather(*calls)

    for _ in range(2):
        asyncio.run(main())
    # On a busy machine a call may be done before the next one begins; then that one opens a socket anew.
    assert sockets["most"] == 1
    assert sockets["closed"] == sockets["opened"] < 2 * 20
    assert all(tree_bytes(tmp_path / f"target {n}").items() >= contents.items() for n in range(20))


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are counted in /proc")
def test_a_thousand_awaited_calls_leave_no_descriptors(rig_bucket, stored, tmp_path):
    manifest, _ = stored
    empty = manifest.__class__(hash_alg=manifest.hashAlg, paths=[], total_size=0)

    async def calls(number: int) -> None:
        for _ in range(number):
            await download_async(rig_bucket, empty, tmp_path / "target")

    asyncio.run(calls(10))
    before = open_descriptors()
    asyncio.run(calls(500))
    for _ in range(500):
        asyncio.run(calls(1))
    # Connections that are kept for later calls may be a few more.
    assert open_descriptors() <= before + 4


class BlindLoop(asyncio.SelectorEventLoop):
    """An event loop that watches no descriptors, as that of Windows."""

    def add_reader(self, fd, callback, *args):
        if callback == self._read_from_self:
            return super().add_reader(fd, callback, *args)
        raise NotImplementedError


def run_in(loop: asyncio.AbstractEventLoop, coroutine):
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def test_a_loop_that_watches_no_descriptors_looks_now_and_then(rig_bucket, stored, tmp_path):
    manifest, contents = stored
    run_in(BlindLoop(), download_async(rig_bucket, manifest, tmp_path / "target"))
    assert tree_bytes(tmp_path / "target") == contents


def test_a_process_without_a_descriptor_to_spare_looks_now_and_then(
    rig_bucket, stored, tmp_path, monkeypatch
):
    def refuse():
        raise OSError(24, "Too many open files")

    manifest, contents = stored
    monkeypatch.setattr(_event_loop, "WakeupSocket", refuse)
    asyncio.run(download_async(rig_bucket, manifest, tmp_path / "target"))
    assert tree_bytes(tmp_path / "target") == contents


def test_loops_of_several_threads(rig_bucket, stored, tmp_path):
    manifest, contents = stored

    def work(number: int) -> None:
        for turn in range(3):
            asyncio.run(download_async(rig_bucket, manifest, tmp_path / f"target {number} {turn}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(6):
        assert tree_bytes(tmp_path / f"target {number} 2") == contents


def begun(rig, loop: asyncio.AbstractEventLoop, coroutine) -> asyncio.Task:
    """A task whose four requests stall, once the server has them."""
    rig.rules(STALL)
    before = rig.count("GetObject")
    task = loop.create_task(coroutine)
    # Python complains of a task that is dropped; that is what is tried here.
    task._log_destroy_pending = False  # type: ignore[attr-defined]

    async def begin() -> None:
        while rig.count("GetObject") < before + 4:
            await asyncio.sleep(0.01)

    loop.run_until_complete(begin())
    return task


def nothing_is_left(rig, target: Path, connections: int) -> None:
    """Nothing waits for the four stalled replies any more, which never come, and no temporary file stays.

    A call that went on would ask again for what stalls.
    """
    while rig.stats()["open_connections"] > connections - 4 or half_written(target):
        assert rig.count("GetObject") == 4, "the call goes on"
        time.sleep(0.01)
    assert rig.count("GetObject") == 4, "the call goes on"


def test_a_loop_that_is_closed_before_the_end_cancels_its_calls(rig, rig_bucket, stored, tmp_path):
    loop = asyncio.new_event_loop()
    task = begun(rig, loop, download_async(rig_bucket, stored[0], tmp_path / "target"))
    connections = rig.stats()["open_connections"]
    waker = weakref.ref(_event_loop._wakers[id(loop)])
    loop.close()
    del task, loop
    gc.collect()
    nothing_is_left(rig, tmp_path / "target", connections)
    assert waker() is None


def test_a_call_that_is_dropped_in_another_thread_is_cancelled(rig, rig_bucket, stored, tmp_path, sockets):
    loop = asyncio.new_event_loop()
    calls = [begun(rig, loop, download_async(rig_bucket, stored[0], tmp_path / "target"))]
    connections = rig.stats()["open_connections"]
    thread = threading.Thread(target=calls[0].get_coro().close)
    thread.start()
    thread.join()
    loop.run_until_complete(asyncio.sleep(0))
    assert sockets == {"opened": 1, "closed": 1, "most": 1}
    nothing_is_left(rig, tmp_path / "target", connections)
    calls.clear()
    loop.close()


def test_a_coroutine_that_is_never_awaited_begins_nothing(rig, rig_bucket, stored, tmp_path):
    before = rig.count("GetObject")
    download_async(rig_bucket, stored[0], tmp_path / "target").close()
    assert rig.count("GetObject") == before
    assert not (tmp_path / "target").exists()


def test_a_callback_may_run_another_call_and_its_loop(rig, rig_bucket, stored, tmp_path):
    manifest, contents = stored
    inner = []

    def callback(_metadata) -> bool:
        if not inner:
            inner.append(1)
            thread = threading.Thread(
                target=asyncio.run, args=(download_async(rig_bucket, manifest, tmp_path / "inner"),)
            )
            thread.start()
            thread.join()
        return True

    asyncio.run(download_async(rig_bucket, manifest, tmp_path / "outer", callback=callback))
    assert tree_bytes(tmp_path / "inner") == tree_bytes(tmp_path / "outer") == contents


def test_an_error_of_the_call_is_raised_by_the_await(rig, rig_bucket, stored, tmp_path, sockets):
    rig.rules({"operation": "GetObject", "fault": {"kind": "status", "status": 403}})
    with pytest.raises(JobAttachmentsS3ClientError) as caught:
        asyncio.run(download_async(rig_bucket, stored[0], tmp_path / "target"))
    assert caught.value.status_code == 403
    assert sockets == {"opened": 1, "closed": 1, "most": 1}


def test_uploads_too(rig, rig_bucket, tmp_path):
    root = make_tree(tmp_path / "source", files=3)
    run_in(BlindLoop(), upload_async(rig_bucket, root, tmp_path / "caches"))
    assert len(rig.objects(rig_bucket, "prefix/Data/")) == 3
