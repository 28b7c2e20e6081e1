"""The demo can fail: its comparison sees every difference, and its exit status says so."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rusty_attachments.models import JobAttachmentS3Settings

DEMO = Path(__file__).resolve().parents[1] / "demo"


def module_of_the_demo(name):
    specification = importlib.util.spec_from_file_location(f"demo_{name}", DEMO / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def compare_trees():
    return module_of_the_demo("compare").compare_trees


@pytest.fixture
def trees(tmp_path):
    left, right = tmp_path / "left", tmp_path / "right"
    for root in (left, right):
        (root / "folder").mkdir(parents=True)
        (root / "folder" / "file").write_bytes(b"contents")
        os.utime(root / "folder" / "file", ns=(0, 1_700_000_000_123_456_789))
    return left, right


def test_equal_trees(compare_trees, trees):
    assert compare_trees(*trees) == (1, 8, [])


def test_another_byte(compare_trees, trees):
    changed = trees[1] / "folder" / "file"
    changed.write_bytes(b"contentS")
    os.utime(changed, ns=(0, 1_700_000_000_123_456_789))
    assert compare_trees(*trees)[2] == ["other contents: folder/file"]


def test_another_mtime(compare_trees, trees):
    os.utime(trees[1] / "folder" / "file", ns=(0, 1_700_000_000_123_457_000))
    assert compare_trees(*trees)[2] == ["other mtime: folder/file"]


def test_an_mtime_within_the_microsecond(compare_trees, trees):
    os.utime(trees[1] / "folder" / "file", ns=(0, 1_700_000_000_123_456_000))
    assert compare_trees(*trees)[2] == []


@pytest.mark.parametrize("side", [0, 1])
def test_a_file_on_one_side_alone(compare_trees, trees, side):
    (trees[side] / "folder" / "another").write_bytes(b"")
    [mismatch] = compare_trees(*trees)[2]
    assert mismatch == f"only in {trees[side]}: folder/another"


def test_without_a_server_it_fails_and_leaves_nothing(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, DEMO / "run.py", "--server", tmp_path / "nothing here"]
    outcome = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert outcome.returncode == 1
    assert "demo: FAILED" in outcome.stderr
    assert "nothing here" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_workers_command_that_fails_is_told(tmp_path):
    farm = module_of_the_demo("farm")
    settings = JobAttachmentS3Settings("bucket", "prefix")
    worker = farm.Worker(tmp_path / "worker", tmp_path / "session", settings, ("farm", "queue", "job"))
    with pytest.raises(farm.CommandFailed, match=r"download: exit status 1 .*properties\.json"):
        worker.run("download")
