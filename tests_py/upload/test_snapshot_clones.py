"""Snapshots share blocks with their sources where the file system can, and copy within the kernel where it can't."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from transfers import child_environment

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="looks at system calls: needs strace")

DRIVER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import transfers
    from rusty_attachments.models import AssetRootManifest, JobAttachmentS3Settings
    from rusty_attachments.upload import S3AssetManager

    root, target = map(Path, sys.argv[1:])
    manager = S3AssetManager(
        farm_id="farm-1", queue_id="queue-1",
        job_attachment_settings=JobAttachmentS3Settings(s3BucketName="bucket", rootPrefix=transfers.ROOT_PREFIX),
    )
    manifest = transfers.manifest_of(root)
    manager.snapshot_assets(
        str(target), [AssetRootManifest(root_path=str(root), asset_manifest=manifest, outputs=[])]
    )
    """
)


def snapshot(tmp_path: Path, *inject: str) -> tuple[str, dict[str, bytes], dict[str, bytes]]:
    """A snapshot under strace: its trace, the sources and the copies, both by file name."""
    root, target, trace = (tmp_path / name for name in ("root", "target", "trace"))
    root.mkdir()
    for number in range(3):
        (root / f"{number}").write_bytes(bytes([number]) * (300_000 + number))
    strace = [
        "strace",
        "-f",
        "-qq",
        "-y",
        "-o",
        str(trace),
        "-e",
        "trace=ioctl,copy_file_range,write,pwrite64",
    ]
    ended = subprocess.run(
        [*strace, *inject, sys.executable, "-c", DRIVER, str(root), str(target)],
        capture_output=True,
        text=True,
        env={**child_environment(), "HOME": str(tmp_path)},
    )
    assert ended.returncode == 0, ended.stderr
    copies = {path.stem: path.read_bytes() for path in target.rglob("*.xxh128")}
    return (
        trace.read_text(errors="replace"),
        {path.name: path.read_bytes() for path in root.iterdir()},
        copies,
    )


def test_each_copy_is_a_reflink_or_made_by_the_kernel(tmp_path):
    trace, sources, copies = snapshot(tmp_path)
    assert sorted(copies.values()) == sorted(sources.values())
    asked = re.findall(r"ioctl\(.*FICLONE.*\) = (-?\d+)", trace)
    assert len(asked) == len(sources)
    shared = asked.count("0")
    # ext4 and tmpfs have no reflinks: the kernel copies then, and nothing passes through this process.
    in_kernel = [int(copied) for copied in re.findall(r"copy_file_range\(.*\) = (\d+)", trace)]
    assert sum(in_kernel) == sum(len(body) for body in sorted(sources.values())[shared:])
    assert not re.search(rf"pwrite64\(\d+<{re.escape(str(tmp_path / 'target'))}.*Data", trace)


@pytest.mark.parametrize("error", ["EXDEV", "EOPNOTSUPP", "ENOSYS", "EIO"])
def test_where_the_kernel_can_not_copy_either_the_bytes_are_written(tmp_path, error):
    inject = ["-e", f"inject=copy_file_range:error={error}"]
    trace, sources, copies = snapshot(tmp_path, *inject)
    assert sorted(copies.values()) == sorted(sources.values())
    if "INJECTED" in trace:
        assert re.search(rf"pwrite64\(\d+<{re.escape(str(tmp_path / 'target'))}", trace)


def test_a_clone_that_the_system_only_says_it_has_made_is_found_out(tmp_path):
    """What counts is what was copied: an empty copy is an error, and no object."""
    root, target = tmp_path / "root", tmp_path / "target"
    root.mkdir()
    (root / "one").write_bytes(b"x" * 300_000)
    # The interpreter's own ioctl calls fail anyway.
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=ioctl", "-e", "inject=ioctl:retval=0"]
    ended = subprocess.run(
        [*command, sys.executable, "-c", DRIVER, str(root), str(target)],
        capture_output=True,
        text=True,
        env={**child_environment(), "HOME": str(tmp_path)},
    )
    assert ended.returncode != 0
    assert "AssetSyncError" in ended.stderr, ended.stderr
    assert "one" in ended.stderr
    assert list(target.rglob("*.xxh128")) == []
