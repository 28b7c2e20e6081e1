"""Hostile paths, links that are swapped in, roots that clash: nothing is ever written outside a root."""

from __future__ import annotations

import contextlib
import os
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rusty_attachments.asset_manifests import HashAlgorithm
from rusty_attachments.asset_manifests.decode import decode_manifest
from rusty_attachments.asset_manifests.v2023_03_03 import AssetManifest, ManifestPath
from rusty_attachments.download import download_files_from_manifests
from rusty_attachments.exceptions import (
    AssetSyncError,
    ManifestDecodeValidationError,
    PathOutsideDirectoryError,
)
from rusty_attachments.models import FileConflictResolution

from .job import MTIME_MICROS, PREFIX, JobInS3, entry, manifest_text, xxh128
from .trees import contents, leftovers, tree

BODY = b"evil"
SWAPS = int(os.environ.get("DOWNLOAD_SWAPS", "20000"))

_PARTS = [
    "..",
    "../..",
    "a/..",
    "a/../..",
    "/",
    "//",
    "/tmp",
    "../outside",
    "a/../../outside",
    "./..",
    ".//..",
]
_ENDS = ["", "/x", "/../x", "/./x", "//x", "/..", "/.", "\0", "/\0x", "/\ud800"]
_STARTS = ["", "./", "a/", "a/b/", "/", "ü/", ".hidden/", "a b/c/"]
_ALL = sorted({f"{start}{part}{end}" for start in _STARTS for part in _PARTS for end in _ENDS})
WRITTEN = [
    path
    for path in _ALL
    if path.startswith("/") or ".." in path.split("/") or "\0" in path or "\ud800" in path
]


@pytest.fixture
def job(rig, rig_bucket) -> JobInS3:
    job = JobInS3(rig, rig_bucket)
    job.data(BODY)
    return job


def download(job, root, rows, **options):
    paths = [ManifestPath(path=path, hash=xxh128(BODY), size=len(BODY), mtime=MTIME_MICROS) for path in rows]
    manifest = AssetManifest(hash_alg=HashAlgorithm.XXH128, paths=paths, total_size=len(BODY) * len(rows))
    return download_files_from_manifests(
        job.bucket, {str(root): manifest}, cas_prefix=f"{PREFIX}/Data", **options
    )


def test_f18_five_hundred_written_paths_are_refused_before_anything_is_written(job, tmp_path):
    assert len(WRITTEN) > 500
    base = tmp_path / "base"
    root = base / "deep/root"
    root.mkdir(parents=True)
    for path in WRITTEN:
        with pytest.raises(PathOutsideDirectoryError):
            download(job, root, ["good", path])
    assert set(tree(base)) == {"deep", "deep/root"}


texts = st.lists(
    st.one_of(
        st.sampled_from(["..", ".", "", "a", "b", "\0", "\udcff", "\ud800", "c:", "\\", "~"]),
        st.text(max_size=3),
    ),
    max_size=6,
).map("/".join)


@settings(
    max_examples=int(os.environ.get("HOSTILE_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(path=texts)
def test_f18_any_path_is_refused_or_stays_below_the_root(job, tmp_path, path):
    base = tmp_path / "fuzzed"
    root = base / "deep/root"
    root.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(
        PathOutsideDirectoryError, ManifestDecodeValidationError, AssetSyncError, OSError
    ):
        download(job, root, [path], conflict_resolution=FileConflictResolution.OVERWRITE)
    assert all(name == "deep" or name == "deep/root" or name.startswith("deep/root/") for name in tree(base))
    assert leftovers(base) == []


def test_f19_a_parent_that_is_swapped_for_a_link_leads_nowhere(job, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    root = tmp_path / "root"
    (root / "folder/sub").mkdir(parents=True)
    stop = threading.Event()
    swaps = 0

    def swap():
        nonlocal swaps
        folder, aside, link = root / "folder", root / "aside", root / "link"
        link.symlink_to(outside)
        while not stop.is_set() and swaps < SWAPS:
            swaps += 1
            for old, new in [(folder, aside), (link, folder), (folder, link), (aside, folder)]:
                try:
                    os.rename(old, new)
                except OSError:
                    # The download has made a directory in between: it is put out of the way.
                    os.rename(new, root / f"made{swaps}")
                    os.rename(old, new)

    thread = threading.Thread(target=swap)
    thread.start()
    outcomes = set()
    try:
        number = 0
        while thread.is_alive() and number < 3000:
            number += 1
            rows = [f"folder/{number}", f"folder/sub/{number}", f"folder/new{number}/x"]
            try:
                download(job, root, rows, conflict_resolution=FileConflictResolution.OVERWRITE)
                outcomes.add("done")
            except (PathOutsideDirectoryError, OSError, AssetSyncError) as error:
                outcomes.add(type(error).__name__)
    finally:
        stop.set()
        thread.join()
    assert tree(outside) == {}
    assert "done" in outcomes
    assert swaps > 0


def test_paths_that_clash_are_refused(job, tmp_path):
    other = entry("x", b"other")
    job.data(b"other")
    for rows in [
        [entry("a", BODY), {**other, "path": "a"}],
        [entry("a/b", BODY), {**other, "path": "./a//b"}],
        [entry("a", BODY), {**other, "path": "a/b"}],
        [entry("a", BODY), {**other, "path": "a-"}, {**other, "path": "a/b/c"}],
        [{**entry("a", BODY), "size": -1}],
    ]:
        manifest = decode_manifest(manifest_text(rows))
        with pytest.raises(ManifestDecodeValidationError):
            download_files_from_manifests(job.bucket, {str(tmp_path / "root"): manifest}, f"{PREFIX}/Data")
    assert not (tmp_path / "root").exists()


def test_the_same_file_twice_is_one_file(job, tmp_path):
    statistics = download(job, tmp_path / "root", ["a", "a"])
    assert contents(tmp_path / "root") == {"a": BODY}
    assert (statistics.processed_files, statistics.skipped_files) == (1, 1)


def test_two_roots_that_are_one_directory_are_refused(job, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "link").symlink_to(root)
    for other in [tmp_path / "link", tmp_path / "x/../root"]:
        (tmp_path / "x").mkdir(exist_ok=True)
        text = manifest_text([entry("a", BODY)])
        manifests = {str(root): decode_manifest(text), str(other): decode_manifest(text)}
        with pytest.raises(ValueError, match="are the same directory"):
            download_files_from_manifests(job.bucket, manifests, f"{PREFIX}/Data")
    assert tree(root) == {}


def test_a_hash_with_two_sizes_is_an_error_and_no_file(job, tmp_path):
    rows = [entry("right", BODY), {**entry("wrong", BODY), "size": 3}]
    with pytest.raises(AssetSyncError, match="Integrity"):
        download_files_from_manifests(
            job.bucket, {str(tmp_path / "root"): decode_manifest(manifest_text(rows))}, f"{PREFIX}/Data"
        )
    assert "wrong" not in contents(tmp_path / "root")


def test_many_entries_of_one_directory_take_time_in_proportion(job, tmp_path):
    """Everything is there already: this is the part that looks at every path. Counted, not timed: system calls."""
    count = int(os.environ.get("DOWNLOAD_ENTRIES", "20000"))
    root = tmp_path / "root/folder"
    root.mkdir(parents=True)
    for number in range(count):
        (root / f"{number:07}").touch()
    rows = [f"folder/{number:07}" for number in range(count)]
    statistics = download(job, tmp_path / "root", rows, conflict_resolution=FileConflictResolution.SKIP)
    assert statistics.skipped_files == count
