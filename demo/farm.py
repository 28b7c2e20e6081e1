"""A worker of the demo: what the worker agent does around the two commands, and a renderer."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

if TYPE_CHECKING:
    from rusty_attachments.models import JobAttachmentS3Settings, ManifestProperties

FRAMES = 24
FRAME_BYTES = 2_000_000
_PROGRESS = "openjd_progress: "
_FAILURE = "openjd_fail: "


class CommandFailed(Exception):
    """A worker's command ended with another status than 0."""


class Worker:
    """One session: a folder that the job's files go to, and the properties file that both commands read.

    Args:
        folder: Where the commands run; made by this.
        session: The folder of the job's files.
        settings: The bucket and root prefix.
        ids: Farm, queue, job.
    """

    def __init__(
        self, folder: Path, session: Path, settings: JobAttachmentS3Settings, ids: tuple[str, str, str]
    ) -> None:
        folder.mkdir()
        self.folder = folder
        self.session = session
        self.settings = settings
        self.ids = ids
        self.properties_file = folder / "properties.json"

    def prepare(self, properties: ManifestProperties) -> int:
        """Fetches the manifest of a root, as the agent does before it starts the download.

        Args:
            properties: The root, as the job has it.

        Returns:
            The number of the manifest's files.
        """
        from rusty_attachments.download import get_manifest_from_s3
        from rusty_attachments.worker import WorkerManifestProperties, write_worker_properties

        if properties.inputManifestPath is None:
            raise CommandFailed("the upload named no manifest")
        key = self.settings.add_root_and_manifest_folder_prefix(properties.inputManifestPath)
        manifest = get_manifest_from_s3(key, self.settings.s3BucketName)
        root = WorkerManifestProperties(properties, str(self.session))
        file = self.folder / f"{root.get_hashed_source_path()}_input"
        file.write_text(manifest.encode(), encoding="utf-8")
        root.local_manifest_paths = [str(file)]
        root.local_input_manifest_path = str(file)
        write_worker_properties(self.properties_file, [root])
        return len(manifest.paths)

    def run(self, command: str, report: Optional[Callable[[float], None]] = None) -> None:
        """Runs one of the two commands.

        Args:
            command: `download` or `upload`.
            report: Called with the progress in per cent.

        Raises:
            CommandFailed: It failed; the message is its own.
        """
        arguments = ["-s3", self.settings.to_s3_root_uri(), "-wp", str(self.properties_file)]
        process = subprocess.Popen(
            [sys.executable, "-m", f"rusty_attachments.worker.{command}", *arguments],
            stdout=subprocess.PIPE,
            cwd=self.folder,
            env={**os.environ, **self._environment()},
            encoding="utf-8",
        )
        failures = []
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(_PROGRESS) and report is not None:
                    report(float(line[len(_PROGRESS) :]))
                elif line.startswith(_FAILURE):
                    failures.append(line[len(_FAILURE) :].strip())
            status = process.wait()
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        if status != 0:
            raise CommandFailed(f"{command}: exit status {status} {' '.join(failures)}")

    def _environment(self) -> dict[str, str]:
        farm, queue, job = self.ids
        names = {"FARM": farm, "QUEUE": queue, "JOB": job, "STEP": "step-1", "TASK": "task-1"}
        return {
            **{f"DEADLINE_{name}_ID": value for name, value in names.items()},
            "DEADLINE_SESSIONACTION_ID": "sessionaction-1",
            "DEADLINE_SESSIONACTION_START_TIME": str(time.time()),
        }


def render(folder: Path, copies: Path) -> int:
    """Writes frames, as a renderer does.

    Args:
        folder: Where they are written.
        copies: Where the demo keeps copies to compare with; made by this.

    Returns:
        The bytes of all frames.
    """
    contents = random.Random(1)
    copies.mkdir(parents=True)
    for number in range(1, FRAMES + 1):
        frame = folder / f"frame.{number:04}.exr"
        frame.write_bytes(contents.randbytes(FRAME_BYTES))
        shutil.copy2(frame, copies / frame.name)
    return FRAMES * FRAME_BYTES
