"""One operation in a process of its own: set-up, a measured call, one line of JSON.

`python operation.py PACKAGE STEP SPECIFICATION`: the package is `deadline.job_attachments` or
`rusty_attachments`; both have the same modules, functions and arguments, so that one text serves both, and
calls what users call with the default settings.
"""

from __future__ import annotations

import gc
import json
import os
import re
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


class Bench:
    """Set-up that the steps share."""

    def __init__(self, package: str, specification: dict[str, Any]) -> None:
        self.package = package
        self.specification = specification
        self.files = Path(specification["folder"]) / "files"

    def module(self, name: str) -> Any:
        """A module of the package."""
        return import_module(f"{self.package}.{name}")

    def settings(self) -> Any:
        """The queue's settings."""
        models = self.module("models")
        return models.JobAttachmentS3Settings(s3BucketName=self.specification["bucket"], rootPrefix="root")

    def manager(self) -> Any:
        """The asset manager as submitters make it."""
        upload = self.module("upload")
        return upload.S3AssetManager(
            farm_id="farm-0123456789abcdef0123456789abcdef",
            queue_id="queue-0123456789abcdef0123456789abcdef",
            job_attachment_settings=self.settings(),
        )

    def input_paths(self) -> list[str]:
        """All files, sorted."""
        return sorted(str(path) for path in self.files.rglob("*") if path.is_file())

    def hashed(self, manager: Any, group: Any) -> Any:
        """The manifests of the group."""
        _, manifests = manager.hash_assets_and_create_manifest(
            group.asset_groups, group.total_input_files, group.total_input_bytes, None, lambda _: True
        )
        return manifests

    def text(self, name: str) -> str:
        """A manifest's text."""
        return (Path(self.specification["folder"]) / name).read_text()

    def decoded(self, name: str) -> Any:
        """A manifest."""
        return self.module("asset_manifests.decode").decode_manifest(self.text(name))


def hash_files(bench: Bench) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    manager = bench.manager()
    group = manager.prepare_paths_for_upload(bench.input_paths(), [], [])
    return lambda: bench.hashed(manager, group), lambda manifests: len(manifests[0].asset_manifest.paths)


def hash_and_upload(bench: Bench):
    manager = bench.manager()
    paths = bench.input_paths()

    def run() -> Any:
        group = manager.prepare_paths_for_upload(paths, [], [])
        return manager.upload_assets(bench.hashed(manager, group), lambda _: True)

    return run, lambda outcome: outcome[0].total_files


def upload(bench: Bench):
    manager = bench.manager()
    manifests = bench.hashed(manager, manager.prepare_paths_for_upload(bench.input_paths(), [], []))
    return lambda: manager.upload_assets(manifests, lambda _: True), lambda outcome: outcome[0].total_files


def download(bench: Bench):
    manager = bench.manager()
    manifests = bench.hashed(manager, manager.prepare_paths_for_upload(bench.input_paths(), [], []))
    by_root = {bench.specification["target"]: manifests[0].asset_manifest}
    module = bench.module("download")

    def run() -> Any:
        return module.download_files_from_manifests(
            s3_bucket=bench.specification["bucket"],
            manifests_by_root=by_root,
            cas_prefix=bench.settings().full_cas_prefix(),
            on_downloading_files=lambda _: True,
        )

    return run, lambda statistics: statistics.processed_files


def encode(bench: Bench):
    manifest = bench.decoded("one.manifest")
    return manifest.encode, len


def decode(bench: Bench):
    text = bench.text("one.manifest")
    decode_manifest = bench.module("asset_manifests.decode").decode_manifest
    return lambda: decode_manifest(text), lambda manifest: len(manifest.paths)


def compare(bench: Bench):
    one, two = bench.decoded("one.manifest"), bench.decoded("two.manifest")
    compare_manifest = bench.module("_diff").compare_manifest
    return lambda: compare_manifest(one, two), len


def merge(bench: Bench):
    manifests = [bench.decoded(f"{number}.manifest") for number in range(10)]
    merge_asset_manifests = bench.module("download").merge_asset_manifests
    return lambda: merge_asset_manifests(manifests), lambda manifest: len(manifest.paths)


def snapshot(bench: Bench):
    module = bench.module("api.manifest")
    destination = bench.specification["target"]

    def run() -> Any:
        return module._manifest_snapshot(root=str(bench.files), destination=destination, name="snapshot")

    return run, lambda outcome: outcome.manifest.count(".manifest")


def snapshot_diff(bench: Bench):
    module = bench.module("api.manifest")
    earlier = module._manifest_snapshot(
        root=str(bench.files), destination=bench.specification["target"], name="earlier"
    )

    def run() -> Any:
        return module._manifest_snapshot(
            root=str(bench.files),
            destination=bench.specification["target"],
            name="later",
            diff=earlier.manifest,
        )

    return run, lambda outcome: int(outcome is None)


STEPS = {
    step.__name__: step
    for step in (
        hash_files,
        hash_and_upload,
        upload,
        download,
        encode,
        decode,
        compare,
        merge,
        snapshot,
        snapshot_diff,
    )
}


def peak_rss_mb() -> float:
    """The most memory since it was last set to zero."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) / 1024 if found else 0.0


def measured(run: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """The call's outcome, its wall and CPU seconds and the peak of memory during it."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before, start = os.times(), time.perf_counter()
    outcome = run()
    wall, after = time.perf_counter() - start, os.times()
    cpu = after.user - before.user + after.system - before.system
    return outcome, {"wall_s": wall, "cpu_s": cpu, "rss_mb": peak_rss_mb()}


def main() -> None:
    """Runs the step that the command line names."""
    package, step, specification = sys.argv[1:4]
    bench = Bench(package, json.loads(specification))
    run, told = STEPS[step](bench)
    print("ready", flush=True)
    sys.stdin.readline()
    outcome, figures = measured(run)
    print(json.dumps({**figures, "told": told(outcome)}), flush=True)


if __name__ == "__main__":
    main()
