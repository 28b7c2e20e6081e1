"""The caches at work: read-only files, shifted clocks, and second runs that hash nothing and ask S3 for nothing."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from rusty_attachments.api.manifest import manifest_snapshot
from rusty_attachments.asset_manifests import HashAlgorithm, hash_data
from rusty_attachments.asset_manifests.decode import decode_manifest
from rusty_attachments.models import JobAttachmentS3Settings
from rusty_attachments.upload import S3AssetManager

NOBODY = 65_534


def snapshot(root: Path, folder: Path, name: str = "n"):
    """A snapshot with a cache: statistics, and hashes by path."""
    heard = []
    result = manifest_snapshot(
        root=str(root),
        destination=str(folder / "out"),
        name=name,
        hash_cache_dir=str(folder / "cache"),
        telemetry_callback=heard.append,
    )
    manifest = decode_manifest(Path(result.manifest).read_text())
    return heard[0], {entry.path: entry.hash for entry in manifest.paths}


def hashes(root: Path) -> dict[str, str]:
    """What the hashes must be."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): hash_data(path.read_bytes(), HashAlgorithm.XXH128) for path in files}


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    for number in range(8):
        (root / "sub" / f"{number}").write_bytes(b"%d" % number * 20)
    # So that all of them have rested, whatever the clock of the file system.
    past = time.time() - 10
    for path in root.rglob("*"):
        os.utime(path, (past, past))
    return root


def in_child(user: int, work) -> object:
    """What `work` gives in a child process of a user; a process of another user than root stays its own."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of forking with threads, which pytest's plugins have. The child runs no code of theirs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgid(user)
                os.setuid(user)
            told = work()
        except BaseException as error:
            told = repr(error)
        os.write(writer, json.dumps(told).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as told:
        answer = json.loads(told.read())
    os.waitpid(child, 0)
    return answer


@pytest.fixture
def reachable(tmp_path):
    """The test's folder can be entered by others."""
    for folder in (*tmp_path.parents, tmp_path):
        if folder.stat().st_uid == os.getuid() and folder.stat().st_mode & 0o055 != 0o055:
            folder.chmod(folder.stat().st_mode | 0o055)
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o777)


@pytest.mark.parametrize("is_folder_read_only", [False, True])
def test_a_read_only_cache_is_no_obstacle(root, tmp_path, reachable, is_folder_read_only):
    snapshot(root, tmp_path)
    cache = tmp_path / "cache"
    file = cache / "hash_cache.db"
    before = file.read_bytes()
    file.chmod(0o444)
    cache.chmod(0o555 if is_folder_read_only else 0o777)
    (root / "new").write_bytes(b"new")

    def work():
        assert not os.access(file, os.W_OK)
        statistics, found = snapshot(root, tmp_path, "child")
        return [statistics.total_files, found]

    try:
        assert in_child(NOBODY, work) == [9, hashes(root)]
    finally:
        cache.chmod(0o755)
    assert file.read_bytes() == before
    assert [path.name for path in cache.iterdir() if "corrupt" in path.name] == []


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_an_hour_off(root, tmp_path, hours):
    """Files written while a clock was off are hashed rightly, before and after an edit of the same size."""
    shifted = time.time() + hours * 3600
    for path in root.rglob("*"):
        os.utime(path, (shifted, shifted))
    assert snapshot(root, tmp_path)[1] == hashes(root)
    assert snapshot(root, tmp_path)[1] == hashes(root)
    # An edit of the same size at the same shown time, and one at the right time.
    (root / "sub" / "3").write_bytes(b"x" * 20)
    os.utime(root / "sub" / "3", (shifted, shifted))
    (root / "sub" / "4").write_bytes(b"y" * 20)
    assert snapshot(root, tmp_path)[1] == hashes(root)
    assert snapshot(root, tmp_path)[1] == hashes(root)


def test_coarse_times(root, tmp_path):
    """Whole seconds, as some file systems keep them: an edit within the second is seen."""
    second = int(time.time()) - 100
    for path in root.rglob("*"):
        os.utime(path, (second, second))
    assert snapshot(root, tmp_path)[1] == hashes(root)
    for number in range(8):
        (root / "sub" / str(number)).write_bytes(b"%d" % (9 - number) * 20)
        os.utime(root / "sub" / str(number), (second, second))
        assert snapshot(root, tmp_path)[1] == hashes(root)


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_a_second_run_hashes_nothing_and_asks_for_nothing(rig, rig_bucket, root, tmp_path, hours):
    """Nor does it after the clock was put an hour on or back. S3 gets a sample of HEADs, and the manifest."""
    cache = str(tmp_path / "cache")
    manager = S3AssetManager("farm-1", "queue-1", JobAttachmentS3Settings(rig_bucket, "prefix"))

    def submit():
        files = [str(path) for path in root.rglob("*") if path.is_file()]
        group = manager.prepare_paths_for_upload(files, [], [])
        hashed, manifests = manager.hash_assets_and_create_manifest(
            group.asset_groups, group.total_input_files, group.total_input_bytes, cache
        )
        uploaded, _ = manager.upload_assets(manifests, s3_check_cache_dir=cache)
        return [(each.processed_files, each.skipped_files) for each in (hashed, uploaded)]

    assert submit() == [(8, 0), (8, 0)]
    # The file's other connections are closed: this is SQLite's own library, not the package's.
    with sqlite3.connect(f"{cache}/s3_check_cache.db") as database:
        database.execute("UPDATE s3checkV1 SET last_seen_time = last_seen_time + ?", (hours * 3600,))
    database.close()
    rig.reset()
    assert submit() == [(0, 8), (0, 8)]
    counts = {name: number for name, number in rig.stats()["operations"].items() if number}
    # Eight rows are fewer than a sample: each is asked about once. The manifest is the one object that is stored.
    assert counts == {"HeadObject": 8, "PutObject": 1}
    assert len(rig.objects(rig_bucket, "prefix/Data/")) == 8


def test_hashing_asks_for_nothing(rig, rig_bucket, root, tmp_path):
    """Neither what is cached nor what is not."""
    manager = S3AssetManager("farm-1", "queue-1", JobAttachmentS3Settings(rig_bucket, "prefix"))
    rig.reset()
    for _ in range(2):
        group = manager.prepare_paths_for_upload([str(root / "sub" / "1")], [], [])
        manager.hash_assets_and_create_manifest(group.asset_groups, 1, 20, str(tmp_path / "cache"))
    assert sum(rig.stats()["operations"].values()) == 0


def test_links_to_one_file_are_each_hashed(root, tmp_path):
    for name in ("a", "b", "c"):
        (root / name).symlink_to("sub/1")
    statistics, found = snapshot(root, tmp_path)
    assert statistics.processed_files == statistics.total_files == 11
    assert found == hashes(root)
    assert snapshot(root, tmp_path)[0].processed_files == 0


def test_a_file_that_vanishes_is_left_out_with_a_warning(root, tmp_path, caplog, monkeypatch):
    """Between being found and being looked at; the file goes away in that moment."""
    from rusty_attachments.api import manifest as module

    find = module.find_files

    def found_and_gone(*arguments):
        found = find(*arguments)
        (root / "sub" / "3").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(module, "find_files", found_and_gone)
    _, found = snapshot(root, tmp_path)
    assert found == hashes(root)
    assert len(found) == 7
    assert f"{root}/sub/3' does not exist any more and is left out" in caplog.text


WITH_SMALL_FILES = """
import errno, resource, sys
from rusty_attachments.api.manifest import manifest_snapshot
resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))
root, folder = sys.argv[1:]
try:
    manifest_snapshot(root=root, destination=f"{folder}/out", name="n", hash_cache_dir=f"{folder}/cache")
except OSError as error:
    print(error.errno == errno.EFBIG)
"""


def test_nobody_reads_half_a_manifest(root, tmp_path):
    """A manifest that can't be written to its end is not there, and nothing else is."""
    command = [sys.executable, "-c", WITH_SMALL_FILES, str(root), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.stdout == "True\n", ended.stderr
    assert list((tmp_path / "out").iterdir()) == []
