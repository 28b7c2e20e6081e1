"""What a case has done, in a process of its own: `python verbs.py PACKAGE SPECIFICATION`, one line of JSON at the end.

The package is `deadline.job_attachments` or `rusty_attachments`: one text serves both. The line tells whether the call
returned, what it returned, or the exception's classes, text and fields.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

FARM = "farm-0123456789abcdef0123456789abcdef"
QUEUE = "queue-0123456789abcdef0123456789abcdef"


class Kit:
    """The package under test, with set-up that verbs share."""

    def __init__(self, package: str, specification: dict[str, Any]) -> None:
        self.package = package
        self.specification = specification
        #: Set once the verb should stop: its callbacks then say so.
        self.stopped = threading.Event()

    def __getitem__(self, name: str) -> Any:
        return self.specification.get(name)

    def module(self, name: str) -> Any:
        return import_module(f"{self.package}.{name}")

    def settings(self) -> Any:
        prefix = self["prefix"] or "root"
        return self.module("models").JobAttachmentS3Settings(s3BucketName=self["bucket"], rootPrefix=prefix)

    def go_on(self, report: Any) -> bool:
        """A callback's answer."""
        reads = self["stop_when_reading"] and getattr(report, "checkedBytes", 0)
        return not self.stopped.is_set() and not reads

    def manager(self) -> Any:
        manager = self.module("upload").S3AssetManager
        return manager(farm_id=FARM, queue_id=QUEUE, job_attachment_settings=self.settings())

    def decode(self, path: str) -> Any:
        text = Path(path).read_text(encoding="utf-8", errors="surrogatepass")
        return self.module("asset_manifests.decode").decode_manifest(text)

    def hashed(self, manager: Any) -> Any:
        paths = self["paths"] or sorted(str(path) for path in Path(self["root"]).rglob("*") if path.is_file())
        group = manager.prepare_paths_for_upload(paths, [], [])
        _, manifests = manager.hash_assets_and_create_manifest(
            group.asset_groups, group.total_input_files, group.total_input_bytes, self["caches"], self.go_on
        )
        return manifests

    def download_to(self, target: str, manifest: Any, callback: Any = None, **more: Any) -> Any:
        return self.module("download").download_files_from_manifests(
            s3_bucket=self["bucket"],
            manifests_by_root={target: manifest},
            cas_prefix=self.settings().full_cas_prefix(),
            on_downloading_files=callback or self.go_on,
            **more,
        )


def change_files(changes: list[list[Any]]) -> None:
    """What someone else does to files: written out so that a case can order it."""
    for what, path, *rest in changes:
        file = Path(path)
        before = file.stat()
        if what == "edit" or what == "edit keeping mtime":
            with file.open("r+b") as opened:
                opened.seek(before.st_size // 2)
                opened.write(b"\xff\x00EDITED")
                opened.truncate(before.st_size)
            if what == "edit keeping mtime":
                os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        elif what == "grow":
            with file.open("ab") as opened:
                opened.write(b"more")
        elif what == "truncate":
            os.truncate(file, before.st_size // 3)
        elif what == "replace":
            other = file.with_name(file.name + ".new")
            other.write_bytes(b"R" * before.st_size)
            other.replace(file)
        elif what == "delete":
            file.unlink()
        elif what == "wait":
            time.sleep(float(rest[0]))
        else:
            raise ValueError(what)


def submit(kit: Kit) -> Any:
    """Hashes everything under the root and uploads it, as a submitter does."""
    manager = kit.manager()
    manifests = kit.hashed(manager)
    change_files(kit["between"] or [])
    if kit["during"]:
        start_changing(kit["during"], kit["every_ms"] or 1)
    statistics, attachments = manager.upload_assets(manifests, kit.go_on)
    keys = [row.inputManifestPath for row in attachments.manifests]
    return {"manifests": keys, "processed": statistics.processed_files, "skipped": statistics.skipped_files}


def submit_together(kit: Kit) -> Any:
    """Several threads upload the same files at once; what became of each."""
    manager = kit.manager()
    manifests = kit.hashed(manager)
    ready = threading.Barrier(kit["callers"])
    outcomes: list[str] = []

    def work() -> None:
        own = kit.manager()
        ready.wait()
        try:
            own.upload_assets(manifests, lambda _: True)
            outcomes.append("ok")
        except Exception as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=work) for _ in range(kit["callers"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def start_changing(changes: list[list[Any]], every_ms: float) -> None:
    """Goes on changing files in a thread until the process ends."""

    def work() -> None:
        while True:
            change_files(changes)
            time.sleep(every_ms / 1000)

    threading.Thread(target=work, daemon=True).start()


def hash_files(kit: Kit) -> Any:
    """The hashes of everything under the root, by path."""
    if kit["during"]:
        start_changing(kit["during"], kit["every_ms"] or 1)
    (manifest,) = kit.hashed(kit.manager())
    return {row.path: [row.hash, row.size] for row in manifest.asset_manifest.paths}


def snapshot(kit: Kit) -> Any:
    """What a snapshot of the root lists: hashes and sizes by path; with `diff`, what differs from that manifest."""
    return {row["path"]: [row["hash"], row["size"]] for row in snapshot_rows(kit)}


def upload_outputs(kit: Kit) -> Any:
    """Uploads what is in the root's output folders, as the worker's command does; what the manifests in S3 list."""
    import boto3

    uri = f"s3://{kit['bucket']}/root"
    Path(kit["folder"]).mkdir(parents=True, exist_ok=True)
    os.chdir(kit["folder"])
    if kit.package == "rusty_attachments":
        names = ["FARM_ID", "QUEUE_ID", "JOB_ID", "STEP_ID", "TASK_ID", "SESSIONACTION_ID"]
        os.environ.update({f"DEADLINE_{name}": name.lower() for name in names})
        os.environ["DEADLINE_SESSIONACTION_START_TIME"] = "1700000000"
        properties = {
            "rootPath": "/project",
            "rootPathFormat": "posix",
            "fileSystemLocationName": None,
            "inputManifestPath": None,
            "inputManifestHash": None,
            "outputRelativeDirectories": kit["folders"],
        }
        row = {
            "manifestProperties": properties,
            "localRootPath": kit["root"],
            "localManifestPaths": [],
            "localInputManifestPath": None,
        }
        Path("properties.json").write_text(json.dumps([row]))
        arguments = ["-s3", uri, "-wp", "properties.json"]
        return {"status": kit.module("worker.upload").main(arguments)}
    made = kit.module("api.manifest")._manifest_snapshot(
        root=kit["root"], destination=".", name="output", include=[f"{name}/**" for name in kit["folders"]]
    )
    kit.module("api.attachment")._attachment_upload(
        manifests=[made.manifest],
        s3_root_uri=uri,
        boto3_session=boto3.Session(),
        root_dirs=[kit["root"]],
        upload_manifest_path="outputs",
    )
    return {"status": 0}


def download(kit: Kit) -> Any:
    """Downloads the manifest's files under the target; `again` as a worker that tries again does it, where it can."""
    choices = kit.module("models").FileConflictResolution
    wanted = kit["resolution"] or ("RESUME" if kit["again"] else "CREATE_COPY")
    # The reference has no RESUME: what comes nearest is to write again.
    resolution = getattr(choices, wanted, choices.OVERWRITE if kit["resolution"] else choices.CREATE_COPY)
    # What is checked less than everything, where that can be asked for.
    more = {"verify": kit["verify"]} if kit["verify"] and kit.package == "rusty_attachments" else {}
    if kit["permissions"]:
        user, group = kit["permissions"]
        posix = kit.module("os_file_permission").PosixFileSystemPermissionSettings
        more["fs_permission_settings"] = posix(user, group, dir_mode=0o20, file_mode=0o20)
    statistics = kit.download_to(
        kit["target"], kit.decode(kit["manifest"]), conflict_resolution=resolution, **more
    )
    return {"processed": statistics.processed_files, "skipped": statistics.skipped_files}


def list_outputs(kit: Kit) -> Any:
    """The paths of a job's outputs."""
    downloader = kit.module("download").OutputDownloader(kit.settings(), FARM, QUEUE, kit["job"])
    return downloader.get_paths_by_root()


def fetch_manifest(kit: Kit) -> Any:
    """A manifest in S3: how many files it has."""
    fetch = kit.module("download").get_manifest_from_s3
    return len(fetch(manifest_key=kit["key"], s3_bucket=kit["bucket"]).paths)


def snapshot_times(kit: Kit) -> Any:
    """As `snapshot`; times in microseconds by path."""
    return {row["path"]: row["mtime"] for row in snapshot_rows(kit)}


def snapshot_rows(kit: Kit) -> list[dict[str, Any]]:
    """The rows of a snapshot of the root, as a worker makes it."""
    made = kit.module("api.manifest")._manifest_snapshot(
        root=kit["root"],
        destination=kit["destination"],
        name="snapshot",
        include=kit["include"],
        diff=kit["diff"],
        hashing_progress_callback=kit.go_on,
        print_function_callback=lambda *_: None,
    )
    rows: list[dict[str, Any]] = json.loads(Path(made.manifest).read_text())["paths"] if made else []
    return rows


def copy_into_snapshot(kit: Kit) -> Any:
    """Copies everything under the root, contents and manifest, into a folder."""
    manager = kit.manager()
    folder = Path(kit["destination"])
    manager.snapshot_assets(folder, kit.hashed(manager), kit.go_on)
    data = folder / "Data"
    return sorted(path.name for path in data.iterdir())


def download_unless_slow(kit: Kit) -> Any:
    """Downloads as the worker's command does, which gives up after some reports of a low transfer rate."""
    low_reports = 0

    def by_rate(report: Any) -> bool:
        nonlocal low_reports
        low_reports = low_reports + 1 if report.transferRate < 10_000 else 0
        return low_reports < kit["maximum_reports"]

    callback = by_rate
    if kit.package == "rusty_attachments":
        detector = kit.module("worker").LowTransferRateDetector
        callback = detector(maximum_reports=kit["maximum_reports"])
    statistics = kit.download_to(kit["target"], kit.decode(kit["manifest"]), callback)
    return {"processed": statistics.processed_files, "skipped": statistics.skipped_files}


def snapshot_assets(kit: Kit) -> Any:
    """Hashes everything under the root and puts it into a folder that is laid out like a bucket."""
    manager = kit.manager()
    statistics, _ = manager.snapshot_assets(kit["target"], kit.hashed(manager))
    return {"processed": statistics.processed_bytes}


def manifest_snapshot(kit: Kit) -> Any:
    """Writes a manifest of everything under the root."""
    make = kit.module("api.manifest")._manifest_snapshot
    return make(root=kit["root"], destination=str(Path(kit["target"]) / "manifests"), name="name").manifest


def submit_with_local_manifests(kit: Kit) -> Any:
    """Submits, and keeps copies of the manifests under the target."""
    manager = kit.manager()
    statistics, _ = manager.upload_assets(kit.hashed(manager), manifest_write_dir=kit["target"])
    return {"processed": statistics.processed_files}


def download_each(kit: Kit) -> Any:
    """Downloads one manifest after the other, in a working directory if one is given; what became of each."""
    if kit["working_directory"]:
        os.chdir(kit["working_directory"])
    outcomes = []
    for path in kit["manifests"]:
        try:
            kit.download_to(kit["target"], kit.decode(path))
            outcomes.append(["ok", ""])
        except Exception as error:
            outcomes.append([type(error).__name__, str(error)[:300]])
    return outcomes


def outputs(kit: Kit) -> Any:
    """The paths of a job's outputs, by root."""
    module = kit.module("download")
    found = module.get_job_output_paths_by_asset_root(kit.settings(), FARM, QUEUE, "job-1")
    return {
        root: [row.path for rows in group.files_by_hash_alg.values() for row in rows]
        for root, group in found.items()
    }


def abort_stale_uploads(kit: Kit) -> Any:
    """Drops what nobody has finished; ours alone."""
    uploader = kit.module("upload").S3AssetUploader(
        s3_max_pool_connections=50, small_file_threshold_multiplier=20
    )
    return uploader.abort_stale_uploads(kit.settings())


def decode_each(kit: Kit) -> Any:
    """Decodes, and encodes again, one manifest after the other; what became of each."""
    outcomes = []
    for path in kit["manifests"]:
        try:
            manifest = kit.decode(path)
            manifest.encode()
            outcomes.append(["ok", len(manifest.paths)])
        except Exception as error:
            outcomes.append([type(error).__name__, str(error)[:300]])
    return outcomes


def download_after_fork(kit: Kit) -> Any:
    """Downloads, forks, and downloads in the child: it must work or fail at once."""
    manifest = kit.decode(kit["manifest"])
    kit.download_to(kit["target"], manifest)
    child = os.fork()
    if child == 0:
        code = 3
        try:
            start = time.monotonic()
            kit.download_to(kit["second_target"], manifest)
            code = 0
        except Exception:
            code = 0 if time.monotonic() - start < 1 else 4
        finally:
            os._exit(code)
    return {"child": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}


def _download_in_pool(arguments: tuple[str, dict[str, Any], str]) -> int:
    package, specification, target = arguments
    kit = Kit(package, specification)
    return kit.download_to(target, kit.decode(kit["manifest"])).processed_files


def download_in_pool(kit: Kit) -> Any:
    """Downloads here and then in a pool of processes."""
    import multiprocessing

    kit.download_to(kit["target"], kit.decode(kit["manifest"]))
    jobs = [(kit.package, kit.specification, f"{kit['second_target']}/{number}") for number in range(2)]
    for job in jobs:
        Path(job[2]).mkdir(parents=True)
    with multiprocessing.get_context(kit["method"]).Pool(2) as pool:
        return {"processed": pool.map(_download_in_pool, jobs)}


def download_until_interrupted(kit: Kit) -> Any:
    """Downloads until Ctrl-C; tells when the call had come back."""
    manifest = kit.decode(kit["manifest"])
    print("started", flush=True)
    try:
        kit.download_to(kit["target"], manifest)
    except KeyboardInterrupt:
        return {"interrupted": time.time()}
    return {"interrupted": None}


def download_with_callback(kit: Kit) -> Any:
    """Downloads with a callback that misbehaves, and with everything logged."""
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    manifest = kit.decode(kit["manifest"])
    calls = 0

    def callback(_: Any) -> bool:
        nonlocal calls
        calls += 1
        if kit["callback"] == "raises":
            raise ZeroDivisionError("from the callback")
        if kit["callback"] == "sleeps":
            time.sleep(0.2)
        if kit["callback"] == "calls again" and calls == 1:
            kit.download_to(kit["second_target"], manifest)
        return kit["callback"] != "returns False"

    kit.download_to(kit["target"], manifest, callback)
    return {"calls": calls}


def download_and_exit(kit: Kit) -> Any:
    """Leaves while a thread is still downloading."""
    manifest = kit.decode(kit["manifest"])
    worker = threading.Thread(target=kit.download_to, args=(kit["target"], manifest), daemon=True)
    worker.start()
    time.sleep(kit["after_s"])
    return {"left": time.time(), "was_running": worker.is_alive()}


def download_among_swaps(kit: Kit) -> Any:
    """Downloads while a thread swaps a folder of the target for a link that leads out."""
    manifest = kit.decode(kit["manifest"])
    folder = Path(kit["target"]) / kit["folder"]
    hidden = folder.with_name(folder.name + "-hidden")
    folder.mkdir(parents=True)
    swaps = 0
    done = threading.Event()

    def swap() -> None:
        nonlocal swaps
        while not done.is_set():
            try:
                folder.rename(hidden)
                folder.symlink_to(kit["outside"])
                folder.unlink()
                hidden.rename(folder)
                swaps += 1
            except OSError:
                # The download has made the folder anew meanwhile: the one that was hidden is in the way.
                if folder.is_symlink():
                    folder.unlink(missing_ok=True)
                shutil.rmtree(hidden, ignore_errors=True)
                folder.mkdir(parents=True, exist_ok=True)

    thread = threading.Thread(target=swap, daemon=True)
    thread.start()
    outcome = "ok"
    end = time.monotonic() + kit["most_seconds"]
    while swaps < kit["wanted_swaps"] and time.monotonic() < end:
        try:
            kit.download_to(kit["target"], manifest)
        except Exception as error:
            outcome = type(error).__name__
    done.set()
    thread.join()
    return {"swaps": swaps, "outcome": outcome}


def resident_mb() -> float:
    """The memory that this process holds now, as the kernel counts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def download_together(kit: Kit) -> Any:
    """So many awaited downloads at once in one process, each to a folder of its own.

    Tells what became of them, and what memory and descriptors the process holds at the most and afterwards.
    """
    import asyncio

    manifest = kit.decode(kit["manifest"])
    call = kit.module("download").download_files_from_manifests_async
    most_mb, before = 0.0, resident_mb()

    async def watch() -> None:
        nonlocal most_mb
        while True:
            most_mb = max(most_mb, resident_mb())
            await asyncio.sleep(0.05)

    async def one(number: int) -> str:
        target = {f"{kit['target']}/{number}": manifest}
        try:
            await call(kit["bucket"], target, kit.settings().full_cas_prefix())
        except Exception as error:
            return f"{type(error).__name__}: {error}"[:300]
        return "ok"

    async def all_of_them() -> list[str]:
        watching = asyncio.create_task(watch())
        outcomes = await asyncio.gather(*(one(number) for number in range(kit["calls"])))
        watching.cancel()
        # Connections that are idle go after a while.
        await asyncio.sleep(kit["rest_s"] or 0)
        return outcomes

    start = time.monotonic()
    outcomes = asyncio.run(all_of_them())
    return {
        "failed": [outcome for outcome in outcomes if outcome != "ok"],
        "seconds": time.monotonic() - start - (kit["rest_s"] or 0),
        "most_mb": most_mb - before,
        "left_mb": resident_mb() - before,
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
    }


def limit_descriptors(limit: int, used: int) -> list[Any]:
    """Goes on with few descriptors, most of which are in use; they are until what is returned is let go."""
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    return [Path(os.devnull).open() for _ in range(used)]


VERBS = {
    verb.__name__: verb
    for verb in (
        submit,
        submit_together,
        hash_files,
        snapshot,
        snapshot_times,
        fetch_manifest,
        copy_into_snapshot,
        list_outputs,
        upload_outputs,
        download,
        download_unless_slow,
        snapshot_assets,
        manifest_snapshot,
        submit_with_local_manifests,
        download_each,
        outputs,
        abort_stale_uploads,
        download_together,
        decode_each,
        download_after_fork,
        download_in_pool,
        download_until_interrupted,
        download_with_callback,
        download_and_exit,
        download_among_swaps,
    )
}

# Every module `verbs_*.py` beside this file has some.
for _file in sorted(Path(__file__).parent.glob("verbs_*.py")):
    VERBS |= {verb.__name__: verb for verb in import_module(_file.stem).VERBS}


def drop_privileges(kit: Kit, user: int) -> None:
    """Goes on as another user, who may not be able to read the interpreter's folders any more."""
    for name in ("upload", "download", "models", "asset_manifests.decode", "api.manifest"):
        kit.module(name)
    kit.manager()
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def told(error: BaseException) -> dict[str, Any]:
    """The exception as the oracle judges it."""
    fields = ("action", "status_code", "bucket_name", "key_or_prefix")
    return {
        "classes": [kind.__name__ for kind in type(error).__mro__],
        "text": str(error),
        "fields": {name: getattr(error, name) for name in fields if hasattr(error, name)},
    }


def stop_later(kit: Kit, how: str, after_s: float) -> threading.Event:
    """Stops the verb after some time: by its callback, by Ctrl-C, or at once. Not once the returned event is set."""
    done = threading.Event()

    def work() -> None:
        if done.wait(after_s):
            return
        if how == "cancel":
            kit.stopped.set()
        else:
            os.kill(os.getpid(), {"interrupt": signal.SIGINT, "kill": signal.SIGKILL}[how])

    threading.Thread(target=work, daemon=True).start()
    return done


def main() -> None:
    """Does what the command line names."""
    package, text = sys.argv[1:3]
    specification = json.loads(text)
    if specification.get("log"):
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    # A shell that runs the scorecard in the background has its children ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kit = Kit(package, specification)
    # Kept to the end.
    held = limit_descriptors(*specification["descriptors"]) if specification.get("descriptors") else []
    if specification.get("user"):
        drop_privileges(kit, specification["user"])
    done = threading.Event()
    try:
        if specification.get("stop"):
            done = stop_later(kit, *specification["stop"])
        start = time.monotonic()
        line = {"ok": True, "value": VERBS[specification["verb"]](kit)}
        line["took_s"] = time.monotonic() - start
    except BaseException as error:
        line = {"ok": False, "error": told(error)}
    done.set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(json.dumps(line), flush=True)
    del held


if __name__ == "__main__":
    main()
