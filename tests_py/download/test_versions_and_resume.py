"""Version 2025-12-04-beta on disk, RESUME and its cache, clones, and lists of files."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections import defaultdict
from pathlib import Path
from threading import Lock

import pytest
from deadline.job_attachments import download as their_download
from deadline.job_attachments import models as their_models
from rusty_attachments import download as our_download
from rusty_attachments import models as our_models
from rusty_attachments.api.manifest import manifest_snapshot
from rusty_attachments.asset_manifests import HashAlgorithm
from rusty_attachments.asset_manifests.decode import decode_manifest
from rusty_attachments.asset_manifests.v2025_12_04 import (
    AssetManifest,
    ManifestDirectoryPath,
    ManifestFilePath,
)
from rusty_attachments.download import download_files_from_manifests
from rusty_attachments.exceptions import (
    AssetSyncCancelledError,
    ManifestDecodeValidationError,
    PathOutsideDirectoryError,
)
from rusty_attachments.models import FileConflictResolution

from .job import IDS, MTIME_MICROS, PREFIX, JobInS3, xxh128
from .trees import contents, tree

RESUME = FileConflictResolution.RESUME


@pytest.fixture
def job(rig, rig_bucket) -> JobInS3:
    return JobInS3(rig, rig_bucket)


def file(path, body, **fields):
    return ManifestFilePath(path=path, hash=xxh128(body), size=len(body), mtime=MTIME_MICROS, **fields)


def later(job, paths, dirs=(), **fields):
    for body in [b"one", b"two"]:
        job.data(body)
    total = sum(path.size for path in paths)
    return AssetManifest(
        hash_alg=HashAlgorithm.XXH128,
        paths=list(paths),
        total_size=total,
        dirs=[ManifestDirectoryPath(path) for path in dirs],
        **fields,
    )


def download(job, root, manifest, **options):
    return download_files_from_manifests(job.bucket, {str(root): manifest}, f"{PREFIX}/Data", **options)


def test_directories_links_and_execute_bits(job, tmp_path):
    link = ManifestFilePath(path="a/links/current", symlink_target="a/shared/x")
    dangling = ManifestFilePath(path="dangling", symlink_target="no/where")
    manifest = later(
        job,
        [file("a/shared/x", b"one"), file("run.sh", b"two", runnable=True), link, dangling],
        ["a", "a/links", "a/shared", "empty", "empty/deep"],
    )
    statistics = download(job, tmp_path / "root", manifest)
    found = tree(tmp_path / "root")
    assert found["empty/deep"][0] == "directory"
    assert found["a/links/current"] == ("link", "../shared/x")
    assert (tmp_path / "root/a/links/current").read_bytes() == b"one"
    assert found["dangling"] == ("link", "no/where")
    assert found["run.sh"][3] == 0o777 & ~_umask()
    assert found["a/shared/x"][3] == 0o666 & ~_umask()
    assert statistics.processed_files == 4
    again = download(job, tmp_path / "root", manifest, conflict_resolution=RESUME)
    assert (again.processed_files, again.skipped_files) == (0, 4)


def _umask():
    old = os.umask(0)
    os.umask(old)
    return old


def test_links_meet_what_is_there(job, tmp_path):
    manifest = later(job, [file("x", b"one"), ManifestFilePath(path="link.a", symlink_target="x")])
    root = tmp_path / "root"
    root.mkdir()
    for resolution, expected in [
        ("SKIP", {"link.a": "file"}),
        ("CREATE_COPY", {"link.a": "file", "link (1).a": "link"}),
        ("OVERWRITE", {"link.a": "link"}),
    ]:
        (root / "link.a").unlink(missing_ok=True)
        (root / "link.a").write_bytes(b"mine")
        download(job, root, manifest, conflict_resolution=FileConflictResolution[resolution])
        found = tree(root)
        assert {name: found[name][0] for name in expected} == expected, resolution


def test_a_link_below_a_link_is_not_made(job, tmp_path):
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "a").mkdir()
    (root / "a/b").symlink_to("../real")
    manifest = later(job, [ManifestFilePath(path="a/b/link", symlink_target="secret")])
    with pytest.raises(PathOutsideDirectoryError):
        download(job, root, manifest)
    assert tree(root / "real") == {}


@pytest.mark.parametrize("target", ["../x", "/etc/passwd", "a/../../x", ""])
def test_links_that_lead_out_are_refused(job, tmp_path, target):
    manifest = later(job, [file("x", b"one"), ManifestFilePath(path="link", symlink_target=target)])
    with pytest.raises(Exception, match="path"):
        download(job, tmp_path / "root", manifest)
    assert not (tmp_path / "root").exists()


def test_diffs_are_refused(job, tmp_path):
    manifest = later(job, [file("x", b"one")], parent_manifest_hash="0" * 32)
    with pytest.raises(ManifestDecodeValidationError, match="apply it to its parent"):
        download(job, tmp_path / "root", manifest)
    assert not (tmp_path / "root").exists()


def test_resume_leaves_what_is_right_and_asks_the_cache(job, tmp_path):
    files = {f"{number}": f"{number}".encode() for number in range(5)}
    manifest = decode_manifest(job.manifest(files))
    root, cache = tmp_path / "root", tmp_path / "cache"
    options = {"conflict_resolution": RESUME, "hash_cache_dir": str(cache)}
    download(job, root, manifest, **options)
    (root / "1").write_bytes(b"X")
    (root / "2").unlink()
    old = os.stat(root / "3")
    (root / "3").write_bytes(b"Y")
    os.utime(root / "3", ns=(old.st_atime_ns, old.st_mtime_ns))
    # Hashes of files that have not rested for a tick of the clock are not kept.
    time.sleep(0.1)
    before = job.rig.count("GetObject")
    statistics = download(job, root, manifest, **options)
    assert (statistics.processed_files, statistics.skipped_files) == (3, 2)
    assert job.rig.count("GetObject") - before == 3
    assert contents(root) == files
    with sqlite3.connect(cache / "hash_cache.db") as database:
        known = {
            os.path.basename(row[0]) for row in database.execute("SELECT file_path FROM rustyAttachmentsV1")
        }
    assert known == {b"0", b"4"}


def test_resume_leaves_nothing_that_a_snapshot_takes_for_an_output(job, tmp_path):
    files = {f"d/{number}": f"{number}".encode() for number in range(5)}
    text = job.manifest(files)
    (tmp_path / "earlier.manifest").write_text(text)
    root = tmp_path / "root"
    for name, body in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(body)
    (root / "output").write_bytes(b"output")
    options = {"conflict_resolution": RESUME, "hash_cache_dir": str(tmp_path / "cache")}
    before = job.rig.count("GetObject")
    statistics = download(job, root, decode_manifest(text), **options)
    assert (statistics.processed_files, statistics.skipped_files) == (0, 5)
    assert job.rig.count("GetObject") == before
    snapshot = manifest_snapshot(
        root=str(root),
        destination=str(tmp_path / "made"),
        name="outputs",
        diff=str(tmp_path / "earlier.manifest"),
        hash_cache_dir=str(tmp_path / "cache"),
    )
    made = decode_manifest(Path(snapshot.manifest).read_text())
    assert [path.path for path in made.paths] == ["output"]


def test_each_content_is_fetched_once_and_no_file_shares_its_inode(job, tmp_path):
    large = bytes(range(256)) * 4096 * 9
    files = {"a": large, "b/c": large, "d": b"small", "e": b"small"}
    statistics = download(job, tmp_path / "root", decode_manifest(job.manifest(files)))
    assert contents(tmp_path / "root") == files
    assert job.rig.count("GetObject") == 1 + 2
    inodes = [(tmp_path / "root" / name).stat() for name in files]
    assert len({status.st_ino for status in inodes}) == 4
    assert all(status.st_nlink == 1 and stat.S_ISREG(status.st_mode) for status in inodes)
    assert statistics.processed_bytes == sum(map(len, files.values()))


@pytest.mark.parametrize("verify", ["size", "off"])
def test_checks_can_be_left_out(job, tmp_path, verify):
    text = job.manifest({"a": b"one"})
    job.rig.put(
        job.bucket, f"{PREFIX}/Data/{xxh128(b'one')}.xxh128", b"two" if verify == "size" else b"longer"
    )
    download(job, tmp_path / "root", decode_manifest(text), verify=verify, fsync=True)
    assert (tmp_path / "root/a").read_bytes() == (b"two" if verify == "size" else b"longer")


SIDES = [(their_download, their_models), (our_download, our_models)]


def test_one_file_as_the_reference_downloads_it(job, tmp_path):
    text = job.manifest({"a/b": b"one"})
    found = []
    for number, (download_module, models) in enumerate(SIDES):
        root = tmp_path / str(number)
        row = decode_manifest(text).paths[0]
        results = []
        for resolution in ["CREATE_COPY", "CREATE_COPY", "SKIP", "OVERWRITE"]:
            size, path = download_module.download_file(
                row, HashAlgorithm.XXH128, str(root), Lock(), defaultdict(int), job.bucket, f"{PREFIX}/Data",
                file_conflict_resolution=models.FileConflictResolution[resolution],
            )  # fmt: skip
            results.append((size, path and str(path.relative_to(root))))
        found.append((results, contents(root)))
    assert found[0] == found[1]


@pytest.mark.parametrize("resolution", ["CREATE_COPY", "OVERWRITE", "SKIP"])
def test_files_of_one_list_with_one_path_come_one_after_another(job, tmp_path, resolution):
    """The reference's threads race; what it may come to is among what one after another comes to."""
    bodies = [b"first", b"second", b"second", b"third"]
    rows = [decode_manifest(job.manifest({"d/x.a": body})).paths[0] for body in bodies]
    paths = our_download.download_files(
        rows, HashAlgorithm.XXH128, str(tmp_path), settings(our_models, job),
        file_conflict_resolution=FileConflictResolution[resolution],
    )  # fmt: skip
    expected = {
        # The same contents are there once.
        "CREATE_COPY": {"d/x.a": b"first", "d/x (1).a": b"second", "d/x (2).a": b"third"},
        "OVERWRITE": {"d/x.a": b"third"},
        "SKIP": {"d/x.a": b"first"},
    }[resolution]
    assert contents(tmp_path) == expected
    assert sorted(paths) == sorted(str(tmp_path / path) for path in expected)


def test_outputs_and_inputs_of_one_path_come_one_after_another(job, tmp_path):
    partials = [job.input(name, {"x": name.encode()}) for name in ["first", "second"]]
    posix = our_models.PathFormat.POSIX
    attachments = our_models.Attachments(
        manifests=[our_models.ManifestProperties("/root", posix, inputManifestPath=each) for each in partials]
    )
    downloader = our_download.InputDownloader(settings(our_models, job), attachments)
    downloader.set_root_path("/root", str(tmp_path))
    statistics = downloader.download()
    assert contents(tmp_path) == {"x": b"first", "x (1)": b"second"}
    assert statistics.processed_files == 2


def settings(models, job):
    return models.JobAttachmentS3Settings(s3BucketName=job.bucket, rootPrefix=PREFIX)


def test_downloaders_with_roots_and_filters(job, tmp_path):
    job.output(
        "step-1/task-1/2023_sessionaction-1", {"renders/a.exr": b"a", "log.txt": b"l"}, "/root one", "a"
    )
    job.output("step-1/task-1/2023_sessionaction-1", {"log.txt": b"m", "b.exr": b"b"}, "/two", "b")
    told = []
    for number, (download_module, models) in enumerate(SIDES):
        base = tmp_path / str(number)
        downloader = download_module.OutputDownloader(settings(models, job), *IDS)
        rows = [downloader.get_paths_by_root()]
        downloader.set_root_path("/root one", str(base / "x/../one"))
        downloader.set_root_path("/two", str(base / "one"))
        rows.append(
            {root.replace(str(base), ""): paths for root, paths in downloader.get_paths_by_root().items()}
        )
        downloader.apply_include_filters(["*.exr", "log.txt"])
        statistics = downloader.download()
        rows.append((statistics.processed_files, contents(base)))
        downloader.apply_include_filters(["renders/"])
        rows.append(list(downloader.get_paths_by_root().values()))
        with pytest.raises(
            ValueError, match=r"was not found in output manifests\. Available roots: "
        ) as caught:
            downloader.set_root_path("/none", "/x")
        rows.append(str(caught.value).replace(str(base), ""))
        relative = download_module.OutputDownloader(settings(models, job), *IDS)
        relative.paths_by_root["relative"] = relative.paths_by_root.pop("/two")
        relative.paths_by_root.pop("/root one")
        with pytest.raises(ValueError, match="The provided root path is not an absolute path: relative"):
            relative.download()
        told.append(rows)
    assert told[0] == told[1]


@pytest.mark.usefixtures("slow_clock")
def test_files_of_a_directory(job, tmp_path):
    partial = job.input("first", {"d/in": b"in", "other": b"o"})
    job.output("step-1/task-1/2023_sessionaction-1", {"d/out": b"out", "e/x": b"x"}, "/root")
    told = []
    for number, (download_module, models) in enumerate(SIDES):
        attachments = models.Attachments(
            manifests=[models.ManifestProperties("/root", models.PathFormat.POSIX, inputManifestPath=partial)]
        )
        base = tmp_path / str(number)
        reports = []
        statistics = download_module.download_files_in_directory(
            settings(models, job), attachments, *IDS, "d", str(base),
            on_downloading_files=lambda report, reports=reports: reports.append(report) or True,
        )  # fmt: skip
        told.append((statistics.processed_files, statistics.total_files, len(reports), contents(base)))
    assert told[0] == told[1] == (2, 2, 3, {"d/in": b"in", "d/out": b"out"})


def test_a_directory_that_has_nothing(job, tmp_path):
    partial = job.input("first", {"d/in": b"in"})
    row = {"rootPath": "/root", "rootPathFormat": our_models.PathFormat.POSIX, "inputManifestPath": partial}
    for rows, directory in [([], "d"), ([our_models.ManifestProperties(**row)], "other")]:
        statistics = our_download.download_files_in_directory(
            settings(our_models, job), our_models.Attachments(manifests=rows), *IDS, directory, str(tmp_path)
        )
        assert (statistics.total_files, statistics.downloaded_files) == (0, [])
        assert tree(tmp_path) == {}


def test_a_cancelled_downloader_says_how_far_it_came(job, tmp_path):
    job.output("step-1/task-1/2023_sessionaction-1", {"a": b"a", "b": b"b"}, "/root")
    slow = f"{PREFIX}/Data/{xxh128(b'b')}.xxh128"
    job.rig.rules({"operation": "GetObject", "key": slow, "fault": {"kind": "delay", "ms": 1500}})
    downloader = our_download.OutputDownloader(settings(our_models, job), *IDS)
    downloader.set_root_path("/root", str(tmp_path))
    with pytest.raises(AssetSyncCancelledError) as caught:
        downloader.download(on_downloading_files=lambda report: None)
    assert str(caught.value) == "Download cancelled. (Downloaded 1 file before cancellation.)"
