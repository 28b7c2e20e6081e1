"""A source file that another process holds a lease on is waited for, as the reference does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deadline.job_attachments.asset_manifests import HashAlgorithm as ReferenceAlgorithm
from deadline.job_attachments.asset_manifests import hash_file as reference_hash_file
from rusty_attachments.api.manifest import manifest_snapshot
from rusty_attachments.asset_manifests.decode import decode_manifest
from upload.conftest import manifest_of

#: Takes a write lease, says so, and gives it up a while after somebody has asked for the file.
HOLDER = """
import fcntl, os, signal, sys, time
asked = []
signal.signal(signal.SIGIO, lambda *_: asked.append(True))
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
while not asked:
    time.sleep(0.01)
time.sleep(0.3)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
"""


@contextmanager
def lease(path: Path) -> Iterator[None]:
    """Somebody holds a lease on the file, who must have been asked for it by the end."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n", "leases can't be had here"
        yield
        assert holder.wait(60) == 0
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


@pytest.fixture
def leased(tmp_path: Path) -> Path:
    path = tmp_path / "tree" / "folder" / "leased"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"contents")
    return path


def test_the_reference_waits(leased):
    with lease(leased):
        reference_hash_file(str(leased), ReferenceAlgorithm.XXH128)


@pytest.mark.parametrize("is_link", [False, True])
def test_a_snapshot_waits(leased, tmp_path, is_link):
    root = leased.parents[1]
    if is_link:
        outside = tmp_path / "outside"
        leased.rename(outside)
        leased.symlink_to(outside)
    with lease(leased):
        taken = manifest_snapshot(
            root=str(root), destination=str(tmp_path / "out"), name="n", hash_cache_dir=str(tmp_path / "c")
        )
    assert [entry.size for entry in decode_manifest(Path(taken.manifest).read_text()).paths] == [8]


def test_an_upload_waits(leased, upload, stored):
    manifest = manifest_of(leased.parents[1])
    with lease(leased):
        upload(leased.parents[1], manifest)
    assert list(stored().values()) == [8]
