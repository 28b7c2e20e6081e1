"""Several processes download to one folder at the same time: nobody's file is lost, torn, or in anyone's way."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from .job import PREFIX, JobInS3
from .trees import contents, leftovers, tree

MIB = 1 << 20
ROUNDS = int(os.environ.get("PROCESS_ROUNDS", "1"))

DRIVER = textwrap.dedent(
    """
    import json, sys
    from pathlib import Path
    from rusty_attachments.asset_manifests.decode import decode_manifest
    from rusty_attachments.download import download_files_from_manifests
    from rusty_attachments.models import FileConflictResolution

    bucket, prefix, root, manifest, resolution, cache = sys.argv[1:]
    manifest = decode_manifest(Path(manifest).read_text())
    print("ready", flush=True)
    sys.stdin.readline()
    statistics = download_files_from_manifests(
        bucket, {root: manifest}, prefix, conflict_resolution=FileConflictResolution[resolution],
        hash_cache_dir=cache,
    )
    print(json.dumps([
        statistics.processed_files, statistics.skipped_files, statistics.downloaded_files,
    ]), flush=True)
    """
)


@pytest.fixture
def job(rig, rig_bucket) -> JobInS3:
    rig.config(delay_ms=3)
    return JobInS3(rig, rig_bucket)


class Together:
    """Processes that begin at the same moment, each with a manifest."""

    def __init__(self, job: JobInS3, tmp_path: Path, resolution: str, texts: list[str]) -> None:
        self.root = tmp_path / "root"
        self.processes = []
        for number, text in enumerate(texts):
            manifest = tmp_path / f"manifest{number}"
            manifest.write_text(text)
            arguments = [job.bucket, f"{PREFIX}/Data", self.root, manifest, resolution, tmp_path / "cache"]
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", DRIVER, *map(str, arguments)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )

    def run(self) -> list[tuple[int, int, list[str]]]:
        """What each has done: files written, files skipped, paths written."""
        for process in self.processes:
            assert process.stdout.readline() == "ready\n"
        for process in self.processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        told = []
        for process in self.processes:
            out, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
            processed, skipped, written = json.loads(out)
            told.append((processed, skipped, [os.path.relpath(path, self.root) for path in written]))
        assert leftovers(self.root) == []
        return told


def some_files(seed: int = 1, count: int = 60) -> dict[str, bytes]:
    """Small files in folders that nobody has made yet, the same contents twice, and one that comes in ranges."""
    chance = random.Random(seed)
    files = {f"d{number % 5}/{number % 3}/f{number}.x.exr": chance.randbytes(900) for number in range(count)}
    files["twice/one"] = files["twice/other"] = chance.randbytes(500)
    files["large.bin"] = chance.randbytes(20 * MIB + 3)
    return files


def original(path: str) -> str:
    """The name that a copy is a copy of."""
    return re.sub(r" \(\d+\)(?=(\.[^./]*)?$)", "", path)


def copy_of(path: str, number: int) -> str:
    if number == 0:
        return path
    stem, suffix = os.path.splitext(path)
    return f"{stem} ({number}){suffix}"


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("attempt", range(ROUNDS))
def test_copies_are_numbered_without_gaps(job, tmp_path, count, attempt):
    files = some_files(attempt)
    together = Together(job, tmp_path, "CREATE_COPY", [job.manifest(files)] * count)
    told = together.run()
    expected = {copy_of(path, number): body for path, body in files.items() for number in range(count)}
    assert contents(together.root) == expected
    # Each process has written each file once, and nobody's name is anybody else's.
    assert [row[:2] for row in told] == [(len(files), 0)] * count
    written = Counter(path for _, _, paths in told for path in paths)
    assert written == Counter(list(expected))
    for _, _, paths in told:
        assert Counter(map(original, paths)) == Counter(list(files))


@pytest.mark.parametrize("attempt", range(ROUNDS))
def test_copies_of_different_contents_are_all_there(job, tmp_path, attempt):
    sets = [some_files(10 * attempt + number) for number in range(4)]
    together = Together(job, tmp_path, "CREATE_COPY", [job.manifest(files) for files in sets])
    told = together.run()
    found = contents(together.root)
    paths = set().union(*sets)
    assert set(found) == {copy_of(path, number) for path in paths for number in range(4)}
    for files, (_, _, written) in zip(sets, told):
        # What a process says that it wrote is what its manifest names.
        assert {original(path): found[path] for path in written} == files


@pytest.mark.parametrize("resolution", ["OVERWRITE", "SKIP", "RESUME"])
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("before", [False, True])
def test_the_same_manifest_under_the_other_resolutions(job, tmp_path, resolution, count, before):
    files = some_files()
    together = Together(job, tmp_path, resolution, [job.manifest(files)] * count)
    if before:
        (together.root / "d1/1").mkdir(parents=True)
        (together.root / "d1/1/f1.x.exr").write_bytes(b"other bytes")
    told = together.run()
    expected = dict(files)
    if before and resolution == "SKIP":
        expected["d1/1/f1.x.exr"] = b"other bytes"
    assert contents(together.root) == expected
    for processed, skipped, written in told:
        assert processed + skipped == len(files)
        assert processed == len(written)
        if resolution == "OVERWRITE":
            assert skipped == 0
    if resolution == "SKIP":
        # A name is taken once: whoever comes second has skipped it.
        written = Counter(path for _, _, paths in told for path in paths)
        assert set(written.values()) == {1}
        assert set(written) == set(files) - ({"d1/1/f1.x.exr"} if before else set())


@pytest.mark.parametrize("resolution", ["OVERWRITE", "SKIP"])
def test_different_contents_are_never_mixed(job, tmp_path, resolution):
    sets = [some_files(number) for number in range(4)]
    together = Together(job, tmp_path, resolution, [job.manifest(files) for files in sets])
    told = together.run()
    found = contents(together.root)
    assert set(found) == set(sets[0])
    for path, body in found.items():
        owners = [number for number, files in enumerate(sets) if files[path] == body]
        assert len(owners) == 1, f"{path} is nobody's"
        assert path in told[owners[0]][2]


def test_one_that_is_killed_is_in_nobodys_way(job, tmp_path):
    """Others go on, and the last to come finds what the killed one left and puts it away."""
    files = some_files()
    text = job.manifest(files)
    for kill in range(4):
        (tmp_path / str(kill)).mkdir()
        together = Together(job, tmp_path / str(kill), "RESUME", [text] * 3)
        victim = together.processes.pop()
        assert victim.stdout.readline() == "ready\n"
        victim.stdin.write("go\n")
        victim.stdin.flush()
        try:
            victim.wait(timeout=0.02 + 0.02 * kill)
        except subprocess.TimeoutExpired:
            victim.kill()
        victim.communicate()
        told = together.run()
        assert contents(together.root) == files
        assert all(row[0] + row[1] == len(files) for row in told)
        assert not any(row[0] == "other" for row in tree(together.root).values())
