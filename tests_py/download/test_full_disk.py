"""Disks that are full or read-only: small file systems in a mount namespace of the test's own."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from transfers import child_environment

from .job import PREFIX, JobInS3

MIB = 1 << 20
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def _can_mount() -> bool:
    try:
        return subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not _can_mount(), reason="needs mount namespaces of users")

DRIVER = textwrap.dedent(
    """
    import json, os, subprocess, sys
    from pathlib import Path
    from download.trees import OURS, THEIRS, contents, leftovers

    side, bucket, prefix, place, manifest, *options = sys.argv[1:]
    side = OURS if side == "ours" else THEIRS
    place, manifest = Path(place), side.decode(Path(manifest).read_text())

    def mount(options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)

    def download(root, resolution="OVERWRITE"):
        try:
            statistics = side.download.download_files_from_manifests(
                s3_bucket=bucket, manifests_by_root={str(root): manifest}, cas_prefix=prefix,
                conflict_resolution=side.models.FileConflictResolution[resolution],
            )
            told = ["done", statistics.processed_files, statistics.skipped_files]
        except Exception as error:
            told = [type(error).__name__, [kind.__name__ for kind in type(error).__mro__], str(error)]
        hashes = {path: (len(body), hash(body)) for path, body in contents(root).items()} if root.exists() else {}
        return told, hashes, leftovers(root) if root.exists() else []

    answers = []
    """
)

FULL = DRIVER + textwrap.dedent(
    """
    mount(f"size={options[0]}")
    ballast = place / "ballast"
    ballast.write_bytes(bytes(int(options[1])))
    root = place / "root"
    answers.append(download(root))
    ballast.unlink()
    if side is OURS:
        answers.append(download(root, "RESUME"))
    print(json.dumps(answers))
    """
)

READ_ONLY = DRIVER + textwrap.dedent(
    """
    mount("size=4m")
    (place / "root").mkdir()
    (place / "root/there").write_bytes(b"before")
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    answers.append(download(place / "root"))
    answers.append(download(place / "new/root"))
    print(json.dumps(answers))
    """
)


@pytest.fixture
def job(rig, rig_bucket) -> JobInS3:
    return JobInS3(rig, rig_bucket)


def run(script: str, side: str, job: JobInS3, tmp_path: Path, text: str, *options: str) -> list:
    place = tmp_path / "place"
    place.mkdir(exist_ok=True)
    manifest = tmp_path / "manifest"
    manifest.write_text(text)
    arguments = [side, job.bucket, f"{PREFIX}/Data", str(place), str(manifest), *options]
    ended = subprocess.run(
        [*NAMESPACE, sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        env={**child_environment(), "PYTHONHASHSEED": "1", "HOME": str(tmp_path)},
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def lengths(hashes: dict[str, list[int]]) -> dict[str, int]:
    return {path: length for path, (length, _) in hashes.items()}


@pytest.mark.parametrize("large", [False, True])
def test_a_disk_that_is_full_in_the_middle(job, tmp_path, large):
    """What is there is whole; the error names a path and says why; with room again, only the rest is fetched."""
    chance = random.Random(3)
    files = {f"d{number % 3}/{number:03}": chance.randbytes(20_000) for number in range(100)}
    if large:
        files["large"] = chance.randbytes(12 * MIB)
    # Room for some of the small ones, or for all of them and a part of the large one.
    ballast = str(13 * MIB if large else 15 * MIB)
    first, second = run(FULL, "ours", job, tmp_path, job.manifest(files), "16m", ballast)
    (_, classes, message), there, left = first
    assert {"AssetSyncError", "OSError"} & set(classes), message
    assert "No space left on device" in message
    assert str(tmp_path / "place/root") in message
    assert left == []
    assert 0 < len(there) < len(files)
    assert lengths(there) == {path: len(files[path]) for path in there}
    told, found, left = second
    assert told == ["done", len(files) - len(there), len(there)]
    assert lengths(found) == {path: len(body) for path, body in files.items()}
    assert {path: found[path] for path in there} == there
    assert left == []


def test_a_read_only_disk(job, tmp_path):
    text = job.manifest({"there": b"after", "new/a": b"a", "b": b"b"})
    (existing, there, left), (missing, nothing, _) = run(READ_ONLY, "ours", job, tmp_path, text)
    theirs = run(READ_ONLY, "theirs", job, tmp_path, text)
    for ours, reference in zip((existing, missing), theirs):
        assert "Read-only file system" in ours[2], ours
        assert "Read-only file system" in reference[0][2], reference
    # The same class where a directory can't be made; where a file can't be written ours names it in its own class.
    assert missing[0] == theirs[1][0][0] == "OSError"
    assert missing[2].startswith(f"Failed to create download directory '{tmp_path / 'place/new'}")
    assert str(tmp_path / "place/root") in existing[2]
    assert lengths(there) == {"there": len(b"before")}
    assert (left, nothing) == ([], {})


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_a_directory_without_the_right_to_write(job, tmp_path):
    """What is there may be left alone, and is; what is missing is an error that names it."""
    script = DRIVER + textwrap.dedent(
        """
        root = place / "root"
        answers.append(download(root, "SKIP"))
        manifest = side.decode(Path(options[1]).read_text())
        answers.append(download(root, "SKIP"))
        print(json.dumps(answers))
        """
    )
    script = script.replace("def download(", "os.setgid(65534); os.setuid(65534)\n\ndef download(", 1)
    place = tmp_path / "place"
    (place / "root").mkdir(parents=True)
    (place / "root/a").write_bytes(b"mine")
    (place / "root").chmod(0o555)
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(job.manifest({"a": b"a"}))
    second.write_text(job.manifest({"a": b"a", "b": b"b"}))
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            "ours",
            job.bucket,
            f"{PREFIX}/Data",
            str(place),
            str(first),
            "",
            str(second),
        ],
        capture_output=True,
        text=True,
        env={**child_environment(), "HOME": str(tmp_path)},
    )
    assert ended.returncode == 0, ended.stderr
    (one, there, _), (other, also_there, left) = json.loads(ended.stdout)
    assert one == ["done", 0, 1]
    assert other[0] in ("AssetSyncError", "PermissionError")
    assert str(place / "root/b") in other[2]
    assert lengths(there) == lengths(also_there) == {"a": 4}
    assert left == []
