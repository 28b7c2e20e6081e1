"""The `deadline` command on manifests and attachments: unswapped, and with everything swapped."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from deadline_service import FARM, JOB, QUEUE, DeadlineService
from environments import DEADLINE
from rig.server import ACCOUNT
from rusty_attachments import swap
from rusty_attachments.asset_manifests import HashAlgorithm, hash_data
from rusty_attachments.asset_manifests.v2023_03_03 import AssetManifest, ManifestPath

BUCKET, PREFIX = "deadline-bucket", "root/prefix"
STARTED = 1_600_000_000

FILES = {
    "scene/main.ma": b"scene" * 100,
    "scene/copy.ma": b"scene" * 100,
    "textures/é 1.tx": b"\0" * 5000,
    "empty": b"",
    "notes.txt": b"notes",
}
PROFILE = ["--profile", "(default)"]
QUEUE_OPTIONS = ["--farm-id", FARM, "--queue-id", QUEUE]


# What the commands call.
SWAPPED = {
    *("_manifest_snapshot", "_manifest_diff", "_manifest_download", "_manifest_upload", "_glob_files"),
    *("_attachment_download", "_attachment_upload", "pretty_print_cli"),
}


class Deadline:
    """The command in a folder of its own, against the rig and a service on loopback."""

    def __init__(self, folder: Path, rig, service: DeadlineService, swapped: bool) -> None:
        self.folder, self.rig, self.service, self.swapped = folder, rig, service, swapped
        self.root = folder / "shot"
        # Always the same folder: names of manifests are hashes of local paths.
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "home").mkdir(parents=True)
        (folder / "work").mkdir()
        (folder / "manifests").mkdir()
        self.write(FILES)
        rig.create_bucket(BUCKET)
        for each in rig.objects(BUCKET):
            rig.delete(BUCKET, each["key"])

    def write(self, files: dict[str, bytes], seconds: int = STARTED) -> None:
        """Files below the root, with times that are always the same."""
        for path, body in files.items():
            file = self.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)
            os.utime(file, (seconds, seconds))

    def environment(self) -> dict[str, str]:
        """What the command runs in: nothing of the user's."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(DEADLINE.our_package()),
            **self.rig.environment(),
            **self.service.environment(),
            "DEADLINE_CONFIG_FILE_PATH": str(self.folder / "home" / "config"),
        }

    def run(self, *arguments: object) -> subprocess.CompletedProcess:
        """`deadline ARGUMENTS…`, with everything swapped or nothing."""
        DEADLINE.site_packages()
        program = ["-m", "deadline", *map(str, arguments)]
        swap = ["-m", "rusty_attachments.swap", "all", "--"] if self.swapped else []
        return subprocess.run(
            [str(DEADLINE.python), *swap, *program],
            cwd=self.folder / "work",
            env=self.environment(),
            capture_output=True,
            timeout=120,
        )

    def said(self, *arguments: object) -> list[object]:
        """Runs the command; the exit status and the lines, without what may differ from run to run."""
        done = self.run(*arguments)
        text = done.stdout.decode().replace(str(self.folder), "<folder>")
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", "<now>", text)
        text = re.sub(r"[\d.e-]+ seconds", "<time> seconds", text)
        text = re.sub(r"at [\d.]+ \w+/s", "at <rate>", text)
        text = re.sub(r'"(total_time|transfer_rate)": [\d.e+-]+', r'"\1": <number>', text)
        # A bar is drawn as often as time allows.
        text = re.sub(r"(?m)^.*Hashing Attachments +\[.*\n?", "", text)
        # Of each path that a comparison looks at, the reference prints two lines that are no part of its tree.
        text = re.sub(r"(?m)^<folder>/shot/(.*) <folder>/shot\n\1\n", "", text)
        assert b"Warning" not in done.stderr, done.stderr
        # The reference finds files in the order of a set.
        found = sorted(line for line in text.splitlines() if line.startswith("Found "))
        return [
            done.returncode,
            *(line for line in text.splitlines() if not line.startswith("Found ")),
            *found,
        ]

    def snapshot(self, name: str) -> Path:
        """A snapshot of the root by the command; the manifest's file under a name without the time."""
        done = self.run(
            *("manifest", "snapshot", "--root", self.root, "--name", name),
            *("--destination", self.folder / "manifests", "--json"),
        )
        assert done.returncode == 0, done.stdout
        made = Path(json.loads(done.stdout.splitlines()[-1])["manifest"])
        kept = made.with_name(re.sub(r"-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", "", made.name))
        return made.rename(kept)

    def stored(self) -> dict[str, tuple[bytes, dict[str, str]]]:
        """All objects with their metadata."""
        return {
            each["key"]: (
                self.rig.get(BUCKET, each["key"]),
                {name: value for name, value in each["headers"].items() if name.startswith("x-amz-meta-")},
            )
            for each in self.rig.objects(BUCKET)
        }

    def files(self, *folders: Path) -> dict[str, tuple[bytes, int]]:
        """Files below folders with their contents and times; times in names and of manifests are left out."""
        found = {}
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    name = re.sub(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", "<now>", str(path.relative_to(folder)))
                    when = 0 if name.endswith(".manifest") else path.stat().st_mtime_ns
                    found[name] = (path.read_bytes(), when)
        return found


def snapshots(deadline: Deadline) -> object:
    """Snapshots, whole and of what changed, and the two forms of the comparison."""
    root, manifests = deadline.root, deadline.folder / "manifests"
    base = deadline.snapshot("base")
    where = ["--root", root, "--destination", manifests]
    said = [deadline.said("manifest", "snapshot", *where, "--name", "whole")]
    said.append(deadline.said("manifest", "diff", "--root", root, "--manifest", base))
    deadline.write({"scene/main.ma": b"changed", "new/a.txt": b"new"}, STARTED + 60)
    (root / "notes.txt").unlink()
    said.append(deadline.said("manifest", "diff", "--root", root, "--manifest", base))
    said.append(deadline.said("manifest", "diff", "--root", root, "--manifest", base, "--json"))
    said.append(
        deadline.said(
            "manifest", "diff", "--root", root, "--manifest", base, "--force-rehash", "-i", "scene/*"
        )
    )
    said.append(deadline.said("manifest", "snapshot", *where, "--name", "changed", "--diff", base, "--json"))
    said.append(
        deadline.said("manifest", "snapshot", *where, "--name", "some", "-i", "**/*.ma", "-e", "**/copy*")
    )
    config = json.dumps({"include": ["textures/**"], "exclude": []})
    said.append(deadline.said("manifest", "diff", "--root", root, "--manifest", base, "-ie", config))
    return said, deadline.files(manifests)


def uploads(deadline: Deadline) -> object:
    """The files of a manifest, and a manifest, to an address and to a queue."""
    base = deadline.snapshot("base")
    uri = f"s3://{BUCKET}/{PREFIX}"
    upload = ["attachment", "upload", "-m", base, "-r", deadline.root]
    said = [deadline.said(*upload, "--s3-root-uri", uri, *PROFILE)]
    said.append(
        deadline.said(*upload, "--s3-root-uri", uri, "--upload-manifest-path", "some/where", *PROFILE)
    )
    first = deadline.stored()
    for each in deadline.rig.objects(BUCKET):
        deadline.rig.delete(BUCKET, each["key"])
    shutil.rmtree(deadline.folder / "home" / ".deadline", ignore_errors=True)
    said.append(deadline.said(*upload, "--upload-manifest-path", "queue", *QUEUE_OPTIONS))
    said.append(deadline.said("manifest", "upload", base, "--s3-cas-uri", uri, *PROFILE))
    said.append(deadline.said("manifest", "upload", base, "--s3-manifest-prefix", "mine", *QUEUE_OPTIONS))
    return said, first, deadline.stored()


def mapping(deadline: Deadline) -> Path:
    """A file of rules that leads the root's files elsewhere."""
    rule = {
        "source_path_format": "posix",
        "source_path": str(deadline.root),
        "destination_path": str(deadline.folder / "mapped"),
    }
    file = deadline.folder / "rules.json"
    file.write_text(json.dumps({"version": "pathmapping-1.0", "path_mapping_rules": [rule]}))
    return file


def downloads(deadline: Deadline) -> object:
    """The files of a manifest, with rules and without, over files that are there, from an address and a queue."""
    base = deadline.snapshot("base")
    for body in FILES.values():
        deadline.rig.store(body, BUCKET, f"{PREFIX}/Data/")
    download = ["attachment", "download", "-m", base]
    rules = ["--path-mapping-rules", mapping(deadline)]
    address = ["--s3-root-uri", f"s3://{BUCKET}/{PREFIX}", *PROFILE]
    said = [deadline.said(*download, *address)]
    said.append(deadline.said(*download, *rules, *address))
    (deadline.folder / "mapped" / "notes.txt").write_bytes(b"mine, and longer")
    os.utime(deadline.folder / "mapped" / "notes.txt", (STARTED, STARTED))
    for resolution in ("SKIP", "CREATE_COPY"):
        said.append(deadline.said(*download, *rules, *address, "--conflict-resolution", resolution))
    said.append(
        deadline.said(*download, *rules, *QUEUE_OPTIONS, "--conflict-resolution", "OVERWRITE", "--json")
    )
    return said, deadline.files(deadline.folder / "work", deadline.folder / "mapped")


def store_manifest(deadline: Deadline, key: str, files: dict[str, bytes], root: str) -> None:
    """A manifest as a submitter or worker stores it."""
    entries = [
        ManifestPath(path=path, hash=deadline.rig.store(body), size=len(body), mtime=STARTED * 1_000_000)
        for path, body in files.items()
    ]
    size = sum(len(body) for body in files.values())
    manifest = AssetManifest(hash_alg=HashAlgorithm.XXH128, paths=entries, total_size=size)
    headers = {"x-amz-meta-asset-root": root}
    deadline.rig.put(BUCKET, f"{PREFIX}/Manifests/{key}", manifest.encode().encode(), headers)


def manifests_of_a_job(deadline: Deadline) -> object:
    """The manifests of a job and of a step that depends on another."""
    service, folder = deadline.service, deadline.folder / "manifests"
    roots = ("/mnt/shot", "C:\\shots")
    service.manifests = []
    for root, path_format in zip(roots, ("posix", "windows")):
        name = f"{FARM}/{QUEUE}/Inputs/abc/{hash_data(root.encode(), HashAlgorithm.XXH128)}_input"
        store_manifest(deadline, name, {"in.txt": root.encode(), "both.txt": b"input"}, root)
        service.manifests.append(
            {
                "rootPath": root,
                "rootPathFormat": path_format,
                "inputManifestPath": name,
                "inputManifestHash": "x",
            }
        )
    service.dependencies = {"step-2": ["step-1"]}
    for step, files in {"step-1": {"both.txt": b"1", "1.exr": b"1"}, "step-2": {"2.exr": b"2"}}.items():
        action = f"{FARM}/{QUEUE}/{JOB}/{step}/task-1/2023-11-14T22:13:20.123456Z_sessionaction-{step}"
        for root in roots:
            name = f"{hash_data(root.encode(), HashAlgorithm.XXH128)}_output"
            store_manifest(deadline, f"{action}/{name}", files, root)
    said = []
    for what in (
        [],
        ["--asset-type", "input"],
        ["--asset-type", "output"],
        ["--step-id", "step-2"],
        ["--json"],
    ):
        into = folder / f"{len(said)}"
        into.mkdir()
        command = ["manifest", "download", into, "--job-id", JOB, *QUEUE_OPTIONS, *what]
        said.append(deadline.said(*command))
    return said, deadline.files(folder)


@pytest.fixture
def service():
    with DeadlineService(BUCKET, PREFIX, ACCOUNT) as started:
        yield started


@pytest.fixture
def both(tmp_path, rig, service):
    """Runs a scenario unswapped and swapped, and gives what came of each."""

    def run(scenario):
        outcomes = []
        for swapped in (False, True):
            service.asked.clear()
            deadline = Deadline(tmp_path / "deadline", rig, service, swapped)
            rig.config(log=True)
            outcomes.append((scenario(deadline), list(service.asked)))
            # Requests of the tests themselves name no agent.
            agents = {entry["user_agent"] or "" for entry in rig.log()}
            if swapped:
                assert not any("Boto3" in each for each in agents), agents
            rig.reset()
        return outcomes

    return run


def test_the_functions_behind_the_commands_are_swapped():
    assert set(swap.SWAPS) >= SWAPPED


@pytest.mark.parametrize("scenario", [snapshots, uploads, downloads, manifests_of_a_job])
def test_swapped_and_unswapped_do_the_same(scenario, both):
    (theirs, they_asked), (ours, we_asked) = both(scenario)
    for mine, expected in zip(ours, theirs):
        assert mine == expected
    assert we_asked == they_asked
    # Something was compared, and went well.
    for status, *printed in theirs[0]:
        assert status == 0, printed
        assert printed
    assert all(theirs[1:])


def test_what_fails_fails_alike(tmp_path, rig, service):
    """The same statuses; the texts of exceptions are our own."""
    statuses = []
    for swapped in (False, True):
        deadline = Deadline(tmp_path / "deadline", rig, service, swapped)
        base, root = deadline.snapshot("base"), deadline.root
        uri = ["--s3-root-uri", f"s3://{BUCKET}/{PREFIX}", *PROFILE]
        config = json.dumps({"include": ["textures/**"]})
        done = [
            # No contents are stored yet.
            deadline.run("attachment", "download", "-m", base, *uri),
            deadline.run("attachment", "download", "-m", base, "--path-mapping-rules", "missing", *uri),
            deadline.run("attachment", "upload", "-m", base, "-r", deadline.folder, *uri),
            deadline.run("manifest", "download", deadline.folder, "--job-id", "no-such-job", *QUEUE_OPTIONS),
            # The command hands the option over as a tuple, which neither takes.
            deadline.run("manifest", "snapshot", "--root", root, "--name", "config", "-ie", config),
        ]
        statuses.append([each.returncode for each in done])
        assert not list(deadline.files(deadline.folder / "work"))
    assert statuses == [[1] * 5] * 2


def test_a_file_that_is_gone_fails_the_upload(tmp_path, rig, service):
    statuses = []
    for swapped in (False, True):
        deadline = Deadline(tmp_path / "deadline", rig, service, swapped)
        base = deadline.snapshot("base")
        (deadline.root / "notes.txt").unlink()
        upload = ["attachment", "upload", "-m", base, "-r", deadline.root, "--upload-manifest-path", "x"]
        done = deadline.run(*upload, "--s3-root-uri", f"s3://{BUCKET}/{PREFIX}", *PROFILE)
        manifests = [key for key in deadline.stored() if "/Manifests/" in key]
        statuses.append((done.returncode, len(manifests)))
    # The reference stores a manifest that names an object that isn't there.
    assert statuses == [(0, 1), (1, 0)]
