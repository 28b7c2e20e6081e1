"""What P4, F31 and F34 have done: calls that are awaited, ended, called back and short of threads."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import platform
import struct
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

with contextlib.suppress(ImportError):
    # Here, since a process that has become another user may not find it any more. Windows has none.
    import resource

if TYPE_CHECKING:
    from verbs import Kit


class OwnError(Exception):
    """What a program's own code raises."""


class OwnBaseError(BaseException):
    """What no `except Exception` is for."""


RAISED: dict[str, Callable[[], BaseException]] = {
    "OwnError": lambda: OwnError("from the program"),
    "OwnBaseError": lambda: OwnBaseError("from the program"),
    "KeyboardInterrupt": KeyboardInterrupt,
    "SystemExit": lambda: SystemExit(3),
}


def pin() -> None:
    """One processor for all threads: the worst schedule for a race with the interpreter's end."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


# -- P4 ----------------------------------------------------------------------------------------------------------


def download_async(kit: Kit, target: str, manifest: Any, **more: Any) -> Any:
    """The awaitable form of a download."""
    return kit.module("download").download_files_from_manifests_async(
        s3_bucket=kit["bucket"],
        manifests_by_root={target: manifest},
        cas_prefix=kit.settings().full_cas_prefix(),
        **more,
    )


def upload_async(kit: Kit, manifest: Any, caches: str, **more: Any) -> Any:
    """The awaitable form of an upload."""
    uploader = kit.module("upload").S3AssetUploader(
        s3_max_pool_connections=50, small_file_threshold_multiplier=20
    )
    return uploader.upload_assets_async(
        kit.settings(),
        manifest,
        source_root=Path(kit["root"]),
        partial_manifest_prefix="awaited",
        s3_check_cache_dir=caches,
        **more,
    )


async def _cancelled(coroutine: Any) -> None:
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(0.02)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _abandoned(coroutine: Any) -> None:
    """The loop is closed while the call is under way; nobody asks for its end."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    task = loop.create_task(coroutine)
    loop.run_until_complete(asyncio.sleep(0.02))
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()


def await_and_exit(kit: Kit) -> Any:
    """One awaited call, and the program's end directly behind it."""
    pin()
    manifest = kit.decode(kit["manifest"])
    if kit["upload"]:
        coroutine = upload_async(kit, manifest, kit["caches"])
    else:
        coroutine = download_async(kit, kit["run_target"], manifest)
    how = kit["how"]
    if how == "cancelled":
        asyncio.run(_cancelled(coroutine))
    elif how == "abandoned":
        _abandoned(coroutine)
    elif how == "never awaited":
        coroutine.close()
    else:
        asyncio.run(_result(coroutine))
    return how


async def _result(coroutine: Any) -> Any:
    return await coroutine


def drop_and_wait(kit: Kit) -> Any:
    """An awaited call that is dropped with its loop, in a process that goes on."""
    _abandoned(download_async(kit, kit["target"], kit.decode(kit["manifest"])))
    gc.collect()
    print("dropped", flush=True)
    time.sleep(600)


def call_in_thread_and_exit(kit: Kit) -> Any:
    """A plain call in a thread, and the program's end in the middle of it; the callback lets go of the interpreter."""
    pin()
    manifest = kit.decode(kit["manifest"])
    is_called = threading.Event()

    def callback(_: Any) -> bool:
        is_called.set()
        time.sleep(0.001)
        return True

    worker = threading.Thread(
        target=kit.download_to, args=(kit["run_target"], manifest, callback), daemon=kit["daemon"]
    )
    worker.start()
    is_called.wait(20)
    return {"was_running": worker.is_alive()}


# -- F34 ---------------------------------------------------------------------------------------------------------


def call_back(kit: Kit) -> Any:
    """One phase, plain or awaited, with a callback that does as the case says; how it went as text."""
    kind, calls = kit["callback"], 0
    manifest = kit.decode(kit["manifest"]) if kit["manifest"] else None

    def callback(_: Any) -> Any:
        nonlocal calls
        calls += 1
        if kind in RAISED:
            raise RAISED[kind]()
        if kind == "sleeps":
            time.sleep(0.2)
        if kind == "calls again" and calls == 1:
            kit.download_to(kit["second_target"], kit.decode(kit["second_manifest"]))
        return {"returns None": None, "returns False": False}.get(kind, True)

    PHASES[kit["phase"]](kit, manifest, callback)
    return {"calls": calls}


def _hash(kit: Kit, _manifest: Any, callback: Any) -> None:
    manager = kit.manager()
    paths = sorted(str(path) for path in Path(kit["root"]).rglob("*") if path.is_file())
    group = manager.prepare_paths_for_upload(paths, [], [])
    manager.hash_assets_and_create_manifest(
        group.asset_groups, group.total_input_files, group.total_input_bytes, None, callback
    )


def _upload(kit: Kit, _manifest: Any, callback: Any) -> None:
    manager = kit.manager()
    manager.upload_assets(kit.hashed(manager), callback)


def _snapshot(kit: Kit, _manifest: Any, callback: Any) -> None:
    manager = kit.manager()
    manager.snapshot_assets(kit["target"], kit.hashed(manager), callback)


def _download(kit: Kit, manifest: Any, callback: Any) -> None:
    kit.download_to(kit["target"], manifest, callback)


def _awaited_download(kit: Kit, manifest: Any, callback: Any) -> None:
    asyncio.run(_result(download_async(kit, kit["target"], manifest, on_downloading_files=callback)))


def _awaited_upload(kit: Kit, _manifest: Any, callback: Any) -> None:
    (group,) = kit.hashed(kit.manager())
    tracking = kit.module("progress_tracker")
    manifest = group.asset_manifest
    tracker = tracking.ProgressTracker(
        tracking.ProgressStatus.UPLOAD_IN_PROGRESS, len(manifest.paths), manifest.totalSize, callback
    )
    asyncio.run(_result(upload_async(kit, manifest, kit["caches"], progress_tracker=tracker)))


PHASES: dict[str, Callable[[Kit, Any, Any], None]] = {
    "hashing": _hash,
    "upload": _upload,
    "snapshot": _snapshot,
    "download": _download,
    "awaited download": _awaited_download,
    "awaited upload": _awaited_upload,
}


def fetch_credentials(kit: Kit) -> Any:
    """A call whose session raises, or hands out something odd, when it is asked for credentials."""
    session = odd_session(kit["raised"], kit["credentials"])
    manifest = kit.decode(kit["manifest"])
    if kit["awaited"]:
        asyncio.run(_result(download_async(kit, kit["target"], manifest, session=session)))
    else:
        kit.download_to(kit["target"], manifest, session=session)
    return "done"


def odd_session(raised: str, credentials: Any) -> Any:
    """A boto3 session; it raises what `raised` names, or has the credentials that are given."""
    import boto3
    import botocore.session
    from botocore import exceptions
    from botocore.credentials import Credentials, RefreshableCredentials

    kinds = {
        **RAISED,
        "expired login": exceptions.UnauthorizedSSOTokenError,
        "refused role": lambda: exceptions.ClientError(
            {
                "Error": {"Code": "AccessDenied", "Message": "no such luck"},
                "ResponseMetadata": {"HTTPStatusCode": 403},
            },
            "AssumeRole",
        ),
    }

    def refresh() -> Any:
        raise kinds[raised]()

    session = botocore.session.get_session()
    if raised:
        soon = datetime.now(timezone.utc) + timedelta(seconds=5)
        session._credentials = RefreshableCredentials("key", "secret", "token", soon, refresh, "a test")
    else:
        session._credentials = Credentials(*credentials)
    return boto3.Session(botocore_session=session, region_name="us-west-2")


# -- F31 ---------------------------------------------------------------------------------------------------------


#: The numbers of clone() and seccomp(), by machine.
CALLS = {"x86_64": (56, 317), "aarch64": (220, 277)}


def refuse_threads() -> None:
    """From now on the system makes no thread for this process (EAGAIN), as under a limit of processes."""
    libc = ctypes.CDLL(None, use_errno=True)
    load, jump_equal, jump_set, give = 0x20, 0x15, 0x45, 0x06
    (clone, seccomp), clone3, clone_thread, allow = CALLS[platform.machine()], 435, 0x10000, 0x7FFF0000
    program = [
        (load, 0, 0, 0),  # the number of the call
        (jump_equal, 0, 1, clone3),
        (give, 0, 0, 0x00050000 | 38),  # ENOSYS: the C library takes clone() instead
        (jump_equal, 0, 3, clone),
        (load, 0, 0, 16),  # the low half of the flags
        (jump_set, 0, 1, clone_thread),
        (give, 0, 0, 0x00050000 | 11),  # EAGAIN
        (give, 0, 0, allow),
    ]
    filters = b"".join(struct.pack("HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(filters, len(filters))
    header = struct.pack("HP", len(program), ctypes.addressof(buffer))
    if libc.prctl(38, 1, 0, 0, 0) or libc.syscall(seccomp, 1, 1, header):  # for all threads
        raise OSError(ctypes.get_errno(), "seccomp")


def with_few_threads(kit: Kit) -> Any:
    """One verb after another in a process that gets no threads, none from the second on, or so many more."""
    outcomes = []
    if kit["address_space"]:
        resource.setrlimit(resource.RLIMIT_AS, (kit["address_space"], kit["address_space"]))
    if kit["more_threads"] is not None:
        # The calling thread counts.
        limit = kit["more_threads"] + 1
        resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
    if kit["refuse"] == "all":
        refuse_threads()
    for name in kit["verbs"]:
        outcomes.append([name, *_ended(lambda name=name: _FEW_THREADS[name](kit))])
        if kit["refuse"] == "later":
            refuse_threads()
            kit.specification["refuse"] = None
    return outcomes


def _ended(work: Callable[[], Any]) -> tuple[str, str]:
    try:
        work()
    except Exception as error:
        return type(error).__name__, str(error)
    return "ok", ""


_FEW_THREADS: dict[str, Callable[[Kit], Any]] = {
    "download": lambda kit: kit.download_to(kit["target"], kit.decode(kit["manifest"])),
    "awaited download": lambda kit: asyncio.run(
        _result(download_async(kit, kit["second_target"], kit.decode(kit["manifest"])))
    ),
    "upload": lambda kit: kit.manager().upload_assets(kit.hashed(kit.manager()), lambda _: True),
    "snapshot": lambda kit: kit.module("api.manifest")._manifest_snapshot(
        root=kit["root"], destination=kit["second_target"] + "-manifests", name="few"
    ),
    "decode": lambda kit: kit.decode(kit["manifest"]).encode(),
}

VERBS = (
    await_and_exit,
    drop_and_wait,
    call_in_thread_and_exit,
    call_back,
    fetch_credentials,
    with_few_threads,
)
