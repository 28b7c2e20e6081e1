"""The `deadline` command in a folder of its own, against the rig and a service on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from deadline_service import FARM, QUEUE, DeadlineService
from environments import DEADLINE
from rusty_attachments.asset_manifests import HashAlgorithm
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


class Deadline:
    """The command in a folder of its own."""

    def __init__(self, folder: Path, rig, service: DeadlineService, swapped: bool) -> None:
        self.folder, self.rig, self.service, self.swapped = folder, rig, service, swapped
        self.root = folder / "shot"
        self.work = folder / "work"
        """The working directory of the command."""
        # Always the same folder: names of manifests are hashes of local paths.
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "home").mkdir(parents=True)
        self.work.mkdir()
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

    def start(self, *arguments: object) -> subprocess.Popen:
        """Begins `deadline ARGUMENTS…`, in an environment where the switch is on or in one where it is not."""
        DEADLINE.site_packages()
        python = DEADLINE.python
        if self.swapped:
            python = DEADLINE.switched(self.folder.parent / "switched", "deadline")
        return subprocess.Popen(
            [str(python), "-m", "deadline", *map(str, arguments)],
            cwd=self.work,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: object) -> subprocess.CompletedProcess:
        """`deadline ARGUMENTS…`, to its end."""
        with self.start(*arguments) as process:
            try:
                out, errors = process.communicate(timeout=120)
            finally:
                process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, errors)

    def said(self, *arguments: object) -> list[object]:
        """Runs the command; the exit status and the lines, without what may differ from run to run."""
        done = self.run(*arguments)
        text = done.stdout.decode().replace(str(self.folder), "<folder>")
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", "<now>", text)
        text = re.sub(r"[\d.e-]+ seconds", "<time> seconds", text)
        text = re.sub(r"at [\d.]+ \w+/s", "at <rate>", text)
        text = re.sub(r'"(total_time|transfer_rate)": [\d.e+-]+', r'"\1": <number>', text)
        # Progress is told as often as time allows.
        text = re.sub(r"(?m)^.*(Hashing Attachments|Downloading Outputs) +\[.*\n?", "", text)
        text = re.sub(r'(?m)^{"messageType": "progress".*\n', "", text)
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
