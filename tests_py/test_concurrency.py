"""Many calls at once, callbacks, awaitables, logging: nobody waits for anybody for ever."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from rusty_attachments.exceptions import AssetSyncCancelledError
from transfers import (
    download,
    download_async,
    half_written,
    make_tree,
    manifest_of,
    tree_bytes,
    upload,
    upload_async,
    uploader,
)

CALLS = 50
SLOWLY = {"operation": "*", "fault": {"kind": "delay", "ms": 150}}


def the_multipart_uploads_are_gone(rig, bucket) -> bool:
    return rig.uploads(bucket) == []


def test_fifty_calls_from_threads(rig, rig_bucket, tmp_path):
    """Each tree has files of its own and files that all have; each content is sent once."""
    roots = []
    for number in range(CALLS):
        root = make_tree(tmp_path / f"source {number}", files=6)
        (root / "own.txt").write_text(f"only {number}")
        roots.append(root)
    together = threading.Barrier(CALLS)

    def call(number: int):
        together.wait()
        upload(rig_bucket, roots[number], tmp_path / f"cache {number}")
        target = tmp_path / f"target {number}"
        return download(rig_bucket, manifest_of(roots[number]), target).processed_files

    with ThreadPoolExecutor(CALLS) as threads:
        counts = list(threads.map(call, range(CALLS)))
    assert counts == [7] * CALLS
    for number, root in enumerate(roots):
        assert tree_bytes(tmp_path / f"target {number}") == tree_bytes(root)
    objects = rig.objects(rig_bucket, "prefix/Data/", hashed=True)
    assert len(objects) == 6 + CALLS
    assert all(row["key"] == f"prefix/Data/{row['xxh128']}.xxh128" for row in objects)


def test_one_content_wanted_by_all_calls_is_sent_once(rig, rig_bucket, tmp_path):
    root = make_tree(tmp_path / "source", files=0, large=1)
    manifest = manifest_of(root)
    rig.rules({"operation": "UploadPart", "fault": {"kind": "delay", "ms": 300}})
    with ThreadPoolExecutor(8) as threads:
        list(
            threads.map(
                lambda n: upload(rig_bucket, root, tmp_path / f"cache {n}", manifest=manifest), range(8)
            )
        )
    assert rig.count("CreateMultipartUpload") == 1


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_callbacks_come_one_at_a_time_on_the_calling_thread(rig, rig_bucket, tmp_path, direction):
    root = make_tree(tmp_path / "source", files=60, large=1)
    if direction == "download":
        upload(rig_bucket, root, tmp_path / "caches")
    inside, threads = [], set()

    def callback(_metadata) -> bool:
        assert inside == []
        inside.append(1)
        threads.add(threading.get_ident())
        inside.pop()
        return True

    transfer(direction, rig_bucket, root, tmp_path, callback)
    assert threads == {threading.get_ident()}


def transfer(direction, bucket, root, tmp_path, callback):
    """An upload, or a download of what was uploaded without the callback; slowed by the caller's rules."""
    if direction == "upload":
        return upload(bucket, root, tmp_path / "caches", callback=callback)
    return download(bucket, manifest_of(root), tmp_path / "target", callback=callback)


@pytest.fixture
def slow_transfer(rig, rig_bucket, tmp_path):
    """Callable: a transfer that takes many ticks of the pump."""

    def run(direction, callback):
        root = make_tree(tmp_path / "source", files=40, large=2)
        if direction == "download":
            upload(rig_bucket, root, tmp_path / "caches")
        rig.rules(SLOWLY)
        try:
            return transfer(direction, rig_bucket, root, tmp_path, callback)
        finally:
            rig.rules()

    return run


def nothing_is_left(rig, bucket, tmp_path, direction) -> None:
    """No unfinished upload; no temporary file; every finished file is right.

    Workers that a busy machine has kept beyond the caller's patience put things in order behind its back.
    """
    while not the_multipart_uploads_are_gone(rig, bucket) or half_written(tmp_path / "target"):
        time.sleep(0.05)
    source = tree_bytes(tmp_path / "source")
    if direction == "download":
        for name, contents in tree_bytes(tmp_path / "target").items():
            assert contents == source[name]
    else:
        assert all(row["xxh128"] in row["key"] for row in rig.objects(bucket, "prefix/Data/", hashed=True))
        assert rig.objects(bucket, "prefix/Manifests/") == []


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_what_a_callback_raises_is_what_the_call_raises(slow_transfer, rig, rig_bucket, tmp_path, direction):
    class Own(Exception):
        pass

    raised = Own("from the callback")

    def callback(_metadata) -> bool:
        raise raised

    with pytest.raises(Own) as caught:
        slow_transfer(direction, callback)
    assert caught.value is raised
    nothing_is_left(rig, rig_bucket, tmp_path, direction)


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_a_callback_that_returns_false_cancels(slow_transfer, rig, rig_bucket, tmp_path, direction):
    with pytest.raises(AssetSyncCancelledError) as caught:
        slow_transfer(direction, lambda _metadata: False)
    statistics = caught.value.summary_statistics
    assert statistics is not None
    assert statistics.total_files == 42
    assert statistics.processed_files < 42
    nothing_is_left(rig, rig_bucket, tmp_path, direction)


def test_a_callback_may_call_us_again(rig, rig_bucket, tmp_path):
    root = make_tree(tmp_path / "source", files=30, large=1)
    answers = []

    def callback(_metadata) -> bool:
        answers.append(uploader().file_already_uploaded(rig_bucket, "not there"))
        return True

    upload(rig_bucket, root, tmp_path / "caches", callback=callback)
    assert answers
    assert not any(answers)


def test_awaitables_run_side_by_side(rig, rig_bucket, tmp_path):
    roots = [make_tree(tmp_path / f"source {number}", files=5, seed=number) for number in range(10)]
    threads = set()

    def callback(_metadata) -> bool:
        threads.add(threading.get_ident())
        return True

    async def one(number: int) -> None:
        await upload_async(rig_bucket, roots[number], tmp_path / f"cache {number}", callback=callback)
        manifest = manifest_of(roots[number])
        await download_async(rig_bucket, manifest, tmp_path / f"target {number}", callback=callback)

    async def main() -> None:
        await asyncio.gather(*map(one, range(10)))

    asyncio.run(main())
    for number, root in enumerate(roots):
        assert tree_bytes(tmp_path / f"target {number}") == tree_bytes(root)
    assert threads == {threading.get_ident()}


def test_the_event_loop_goes_on_meanwhile(rig, rig_bucket, tmp_path):
    root = make_tree(tmp_path / "source", files=5)
    rig.rules(SLOWLY)

    async def main() -> int:
        turns = 0
        task = asyncio.ensure_future(upload_async(rig_bucket, root, tmp_path / "caches"))
        while not task.done():
            await asyncio.sleep(0.001)
            turns += 1
        await task
        return turns

    assert asyncio.run(main()) > 5


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_cancelling_an_awaiting_task_stops_the_transfer(rig, rig_bucket, tmp_path, direction):
    root = make_tree(tmp_path / "source", files=10, large=2)
    manifest = manifest_of(root)
    if direction == "download":
        upload(rig_bucket, root, tmp_path / "caches")

    async def main() -> None:
        if direction == "upload":
            waiting = upload_async(rig_bucket, root, tmp_path / "caches", manifest=manifest)
        else:
            waiting = download_async(rig_bucket, manifest, tmp_path / "target")
        rig.rules(SLOWLY)
        task = asyncio.ensure_future(waiting)
        operation = "UploadPart" if direction == "upload" else "GetObject"
        while rig.count(operation) == 0:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        rig.rules()

    asyncio.run(main())
    nothing_is_left(rig, rig_bucket, tmp_path, direction)


@pytest.mark.parametrize("kind", ["raises", "returns false"])
def test_callbacks_of_awaitables_stop_them(rig, rig_bucket, tmp_path, kind):
    root = make_tree(tmp_path / "source", files=10, large=1)

    class Own(Exception):
        pass

    def callback(_metadata) -> bool:
        if kind == "raises":
            raise Own
        return False

    rig.rules(SLOWLY)
    with pytest.raises(Own if kind == "raises" else AssetSyncCancelledError):
        asyncio.run(upload_async(rig_bucket, root, tmp_path / "caches", callback=callback))
    rig.rules()
    nothing_is_left(rig, rig_bucket, tmp_path, "upload")


class CallingHandler(logging.Handler):
    """Holds its lock, as all handlers do, while it waits for another thread that logs, and calls us."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []
        self.threads: set[int] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        self.threads.add(threading.get_ident())


def test_debug_logging_from_everywhere(rig, rig_bucket, tmp_path):
    """Eight calls log each skipped file while other threads log as fast as they can through one handler."""
    root = make_tree(tmp_path / "source", files=120)
    upload(rig_bucket, root, tmp_path / "caches")
    package, handler, done = logging.getLogger("rusty_attachments"), CallingHandler(), threading.Event()
    level = package.level
    package.addHandler(handler)
    package.setLevel(logging.DEBUG)

    def chatter() -> None:
        while not done.is_set():
            logging.getLogger("rusty_attachments.chatter").debug("x")

    others = [threading.Thread(target=chatter) for _ in range(2)]
    try:
        for thread in others:
            thread.start()
        with ThreadPoolExecutor(8) as threads:
            calls = [threads.submit(upload, rig_bucket, root, tmp_path / f"c {n}") for n in range(8)]
            for call in calls:
                call.result()
    finally:
        done.set()
        for thread in others:
            thread.join()
        package.removeHandler(handler)
        package.setLevel(level)
    skipped = [text for text in handler.texts if "has already been uploaded" in text]
    assert len(skipped) == 8 * 120
