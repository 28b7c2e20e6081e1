"""A worker's session, as the agent lays one out: properties, manifests, directories, environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import agent
from rusty_attachments.asset_manifests import HashAlgorithm, hash_data
from rusty_attachments.asset_manifests.v2023_03_03 import AssetManifest, ManifestPath
from rusty_attachments.models import ManifestProperties, PathFormat
from rusty_attachments.worker import WorkerManifestProperties, write_worker_properties

PREFIX = "root/prefix"
STARTED = "1700000000.123456"

#: How a script is run: by the reference alone, by ours alone (as a module, or by its file's path), by the
#: reference in an environment where the switch is on, or by the reference with names swapped.
UNSWAPPED, OURS, OUR_FILE, SWITCHED = "unswapped", "ours", "our file", "switched"


class Session:
    """One job with some roots, in folders of its own."""

    def __init__(self, folder: Path, rig, bucket: str) -> None:
        self.folder, self.rig, self.bucket = folder, rig, bucket
        self.folder.mkdir(parents=True)
        self.properties: list[WorkerManifestProperties] = []
        self.properties_file = folder / "properties.json"

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{PREFIX}"

    def add_root(self, source: str, files, outputs, path_format="posix", location=None, local=None) -> Path:
        """A root with its input manifest, and its contents in S3; returns its directory on the worker."""
        local = local or self.folder / f"assetroot-{len(self.properties)}"
        properties = ManifestProperties(source, PathFormat(path_format), location, None, None, outputs)
        each = WorkerManifestProperties(properties, str(local))
        if files:
            entries = []
            for path, body in files.items():
                digest = self.rig.store(body, self.bucket, f"{PREFIX}/Data/")
                entries.append(
                    ManifestPath(path=path, hash=digest, size=len(body), mtime=1_600_000_000_000_000)
                )
            manifest = AssetManifest(
                hash_alg=HashAlgorithm.XXH128, paths=entries, total_size=sum(map(len, files.values()))
            )
            name = hash_data(source.encode(), HashAlgorithm.XXH128)
            file = self.folder / f"{name}_input_{len(self.properties)}"
            file.write_text(manifest.encode())
            each.local_manifest_paths = [str(file)]
            each.local_input_manifest_path = str(file)
        self.properties.append(each)
        write_worker_properties(self.properties_file, self.properties)
        return local

    def environment(self, **changes: str | None) -> dict[str, str]:
        """What the agent sets; a change of None takes a variable away."""
        values = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "PYTHONPATH": str(agent.ENVIRONMENT.our_package()),
            **self.rig.environment(),
            "DEADLINE_FARM_ID": "farm-1",
            "DEADLINE_QUEUE_ID": "queue-1",
            "DEADLINE_JOB_ID": "job-1",
            "DEADLINE_STEP_ID": "step-1",
            "DEADLINE_TASK_ID": "task-1",
            "DEADLINE_SESSIONACTION_ID": "sessionaction-1",
            "DEADLINE_SESSIONACTION_START_TIME": STARTED,
        }
        values.update(changes)
        return {name: value for name, value in values.items() if value is not None}

    def run(self, what: str, how, **changes) -> subprocess.CompletedProcess:
        """Runs `download` or `upload`: the agent's script, with names swapped if `how` has any, or ours."""
        arguments = ["-s3", self.uri, "-wp", str(self.properties_file)]
        script = str(agent.package() / "sessions/actions/scripts" / f"attachment_{what}.py")
        if how == OURS:
            command = [sys.executable, "-m", f"rusty_attachments.worker.{what}", *arguments]
        elif how == OUR_FILE:
            # In place of the agent's script.
            file = agent.ENVIRONMENT.our_package() / "rusty_attachments" / "worker" / f"{what}.py"
            command = [str(agent.PYTHON), str(file), *arguments]
        elif how == UNSWAPPED:
            command = [str(agent.PYTHON), script, *arguments]
        elif how == SWITCHED:
            python = agent.ENVIRONMENT.switched(self.folder.parent / "switched", "worker-agent")
            command = [str(python), script, *arguments]
        else:
            names = [how] if isinstance(how, str) else how
            command = [
                str(agent.PYTHON),
                "-m",
                "rusty_attachments.swap",
                *names,
                "--",
                script,
                *arguments,
            ]
        Path(self.environment()["HOME"]).mkdir(exist_ok=True)
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(**changes), capture_output=True, timeout=120
        )


def lines(done: subprocess.CompletedProcess, session: Session) -> list[str]:
    """What a script printed, without what may differ: times, rates, the folder; progress lines once each."""
    text = done.stdout.decode("utf-8").replace(str(session.folder), "<session>")
    text = re.sub(r"after [\d.]+ seconds", "after <t> seconds", text)
    text = re.sub(r"time of [\d.e-]+ seconds at [\d.]+ \w+/s", "time of <t> seconds", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", "<now>", text)
    # How often progress is told depends on time; the end is told by all.
    progress = r"openjd_(progress|status): .*\n"
    last = [match.group(0) for match in re.finditer(progress, text)][-2:]
    last = [re.sub(r" \((Transfer rate|Hashing speed): .*\)", "", line).strip() for line in last]
    return re.sub(progress, "", text).splitlines() + last


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def stored(session: Session) -> dict[str, tuple[bytes, dict]]:
    """All objects of the session's bucket, with their metadata (not their content type: nothing reads it)."""

    def metadata(headers):
        return {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}

    return {
        each["key"]: (session.rig.get(session.bucket, each["key"]), metadata(each["headers"]))
        for each in session.rig.objects(session.bucket)
    }


def told(done: subprocess.CompletedProcess, keyword: str):
    """The JSON after a keyword that the agent looks for."""
    found = re.findall(rf"^{keyword}: (.*)$", done.stdout.decode("utf-8"), re.MULTILINE)
    return [json.loads(each) for each in found]
