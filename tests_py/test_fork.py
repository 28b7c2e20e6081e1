"""Use after `os.fork`, and in the processes of `multiprocessing`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from transfers import child_environment, make_tree, manifest_of, tree_bytes, upload

PATIENCE_SECONDS = 120

#: The parent uses everything, so that its threads and connections exist, then forks.
FORKING = """
import os, sys, warnings
from pathlib import Path
from transfers import download, manifest_of, upload

bucket, folder = sys.argv[1], Path(sys.argv[2])
manifest = manifest_of(folder / "source")
upload(bucket, folder / "source", folder / "caches", manifest=manifest)
download(bucket, manifest, folder / "target of the parent")
with warnings.catch_warnings():
    # Python 3.12 warns of forking with threads, which is what is tried here.
    warnings.simplefilter("ignore", DeprecationWarning)
    child = os.fork()
if child == 0:
    status = 1
    try:
        download(bucket, manifest, folder / "target of the child")
        upload(bucket, folder / "source", folder / "caches of the child", manifest=manifest)
        status = 0
    finally:
        os._exit(status)
download(bucket, manifest, folder / "second target of the parent")
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
"""

AWAITABLE_AFTER_FORK = """
import asyncio, os, sys, warnings
from pathlib import Path
from transfers import download_async, manifest_of

bucket, folder = sys.argv[1], Path(sys.argv[2])
manifest = manifest_of(folder / "source")
asyncio.run(download_async(bucket, manifest, folder / "target of the parent"))
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    child = os.fork()
if child == 0:
    status = 1
    try:
        asyncio.run(download_async(bucket, manifest, folder / "target of the child"))
        status = 0
    finally:
        os._exit(status)
asyncio.run(download_async(bucket, manifest, folder / "second target of the parent"))
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
"""

MULTIPROCESSING = """
import multiprocessing, sys, warnings
from pathlib import Path
from transfers import download, manifest_of, upload

def fetch(bucket, folder, number):
    target = folder / f"target {number}"
    return download(bucket, manifest_of(folder / "source"), target).processed_files

if __name__ == "__main__":
    bucket, folder, method = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    upload(bucket, folder / "source", folder / "caches")
    warnings.simplefilter("ignore", DeprecationWarning)
    with multiprocessing.get_context(method).Pool(4) as pool:
        print(pool.starmap(fetch, [(bucket, folder, number) for number in range(8)]))
"""


def run(script: str, *arguments: str) -> str:
    outcome = subprocess.run(
        [sys.executable, *arguments] if not script else [sys.executable, "-c", script, *arguments],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
    return outcome.stdout


@pytest.fixture
def source(tmp_path):
    return make_tree(tmp_path / "source", files=10, large=1)


def test_a_forked_child_builds_its_own_engine(rig, rig_bucket, tmp_path, source):
    assert run(FORKING, rig_bucket, str(tmp_path)) == "0\n"
    wanted = tree_bytes(source)
    for target in ("target of the parent", "target of the child", "second target of the parent"):
        assert tree_bytes(tmp_path / target) == wanted


def test_an_awaitable_works_in_a_forked_child_whose_parent_has_used_one(rig, rig_bucket, tmp_path, source):
    upload(rig_bucket, source, tmp_path / "caches", manifest=manifest_of(source))
    assert run(AWAITABLE_AFTER_FORK, rig_bucket, str(tmp_path)) == "0\n"
    wanted = tree_bytes(source)
    for target in ("target of the parent", "target of the child", "second target of the parent"):
        assert tree_bytes(tmp_path / target) == wanted


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing(rig, rig_bucket, tmp_path, source, method):
    script = tmp_path / "pool.py"
    script.write_text(MULTIPROCESSING)
    assert run("", str(script), rig_bucket, str(tmp_path), method) == f"{[11] * 8}\n"
    wanted = tree_bytes(source)
    for number in range(8):
        assert tree_bytes(tmp_path / f"target {number}") == wanted
