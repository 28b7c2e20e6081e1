"""The command `rusty-attachments-upload`: stores the outputs of a task.

It takes the place of the worker agent's `attachment_upload.py`: same arguments, same environment, same lines,
same exit statuses. An output that can't be read, hashed or stored is a failure.
"""

from __future__ import annotations

import glob
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Optional

# Absolute, so that the file can be run by its path, as the worker agent runs its scripts.
from rusty_attachments._path_summarization import human_readable_file_size
from rusty_attachments.api.manifest import manifest_merge, manifest_snapshot
from rusty_attachments.asset_manifests import BaseAssetManifest
from rusty_attachments.asset_manifests.decode import decode_manifest
from rusty_attachments.models import JobAttachmentS3Settings, UploadManifestInfo
from rusty_attachments.progress_tracker import ProgressStatus, ProgressTracker
from rusty_attachments.upload import S3AssetUploader
from rusty_attachments.worker._console import CommandFailed, fail, merge_equal_roots, parse_arguments, run
from rusty_attachments.worker.properties import WorkerManifestProperties, read_worker_properties

_MERGED_FOLDER = "manifest_merge"
_SNAPSHOT_FOLDER = "manifest_snapshot"

_REQUIRED = ("FARM_ID", "QUEUE_ID", "JOB_ID", "STEP_ID", "SESSIONACTION_ID", "SESSIONACTION_START_TIME")


def main(arguments: Optional[list[str]] = None) -> int:
    """Runs the command.

    Args:
        arguments: Those of the command line, without the program's name.

    Returns:
        The exit status: 0, or 1 after a failure. Wrong arguments exit with 2.
    """
    given = parse_arguments("Upload the outputs of a task", arguments)
    return run(lambda: _upload(given.s3_uri, given.worker_properties))


def _upload(s3_uri: str, properties_file: str) -> None:
    start = time.perf_counter()
    settings = JobAttachmentS3Settings.from_s3_root_uri(s3_uri)
    roots = merge_equal_roots(read_worker_properties(properties_file))
    # All are merged before the first snapshot is printed, as the agent's log has it.
    bases = [merge(root) for root in roots]
    outputs = [(root, snapshot(root, base)) for root, base in zip(roots, bases)]
    changed = [(root, manifest) for root, manifest in outputs if manifest is not None]
    if changed:
        print("\nStarting upload...", flush=True)
        infos = upload(settings, changed)
        print(f"ja_upload: {json.dumps([asdict(info) for info in infos])}")
    else:
        print("\nNo output to upload")
    print(f"Finished after {round(time.perf_counter() - start, 2)} seconds")


def merge(root: WorkerManifestProperties) -> Optional[str]:
    """Merges the manifests that a root began with; returns the file, or None where there were none."""
    merged = manifest_merge(
        # The source's path: file names are made from its hash.
        root=root.to_path_mapping_rule().source_path,
        manifest_files=root.local_manifest_paths,
        destination=_MERGED_FOLDER,
        name="merge",
        print_function_callback=print,
    )
    return merged.local_manifest_path if merged else None


def snapshot(root: WorkerManifestProperties, base: Optional[str]) -> Optional[str]:
    """Finds what is new or changed in a root's output directories; returns a manifest file, or None."""
    directories = root.local_output_relative_directories()
    if not directories:
        print(f"No output directories specified for {root.root_path}, skipping upload")
        return None
    made = manifest_snapshot(
        root=root.local_root_path,
        destination=_SNAPSHOT_FOLDER,
        diff=base,
        include=[glob.escape(directory) + "/**" for directory in directories],
        name="output",
    )
    if made is None:
        print(f"No change detected for root {root.root_path}")
        return None
    # The agent's log filter looks for this line.
    print(f"ja_snapshot: {json.dumps({'root': root.local_root_path, 'manifest': made.manifest})}")
    return made.manifest


def upload(
    settings: JobAttachmentS3Settings, outputs: list[tuple[WorkerManifestProperties, str]]
) -> list[UploadManifestInfo]:
    """Uploads the outputs of all roots, and their manifests.

    Args:
        settings: Where they go.
        outputs: Roots with the files of their output manifests.

    Raises:
        CommandFailed: The environment does not name the session action; what is missing is printed.
        OSError: A manifest can't be read.
        AssetSyncError: An output can't be read or stored, or changed since it was hashed.
    """
    prefix = partial_manifest_prefix()
    uploader = S3AssetUploader()
    return [_upload_root(uploader, settings, root, manifest, prefix) for root, manifest in outputs]


def _upload_root(
    uploader: S3AssetUploader,
    settings: JobAttachmentS3Settings,
    root: WorkerManifestProperties,
    manifest_file: str,
    prefix: str,
) -> UploadManifestInfo:
    manifest = decode_manifest(Path(manifest_file).read_text(encoding="utf-8"))
    tracker = _announce(settings, root, manifest)
    key, text_hash = uploader.upload_assets(
        job_attachment_settings=settings,
        manifest=manifest,
        partial_manifest_prefix=prefix,
        manifest_file_name=f"{root.get_hashed_source_path()}_output",
        manifest_metadata=root.as_output_metadata(),
        source_root=Path(root.root_path),
        asset_root=Path(root.local_root_path),
        s3_check_cache_dir=None,
        progress_tracker=tracker,
    )
    print(f"Uploaded output manifest to {key}")
    print(f"Summary Statistics for file uploads:\n{tracker.get_summary_statistics()}")
    return UploadManifestInfo(
        output_manifest_path=key, output_manifest_hash=text_hash, source_path=root.root_path
    )


def _announce(
    settings: JobAttachmentS3Settings, root: WorkerManifestProperties, manifest: BaseAssetManifest
) -> ProgressTracker:
    files = len(manifest.paths)
    size = sum(entry.size for entry in manifest.paths)
    plural = "" if files == 1 else "s"
    print(
        f"Found {files} file{plural} totaling {human_readable_file_size(size)}"
        f" in output directory: {root.local_root_path}"
    )
    print(
        f"Uploading {files} output file{plural} to S3: {settings.s3BucketName}/{settings.full_cas_prefix()}",
        flush=True,
    )
    return ProgressTracker(status=ProgressStatus.UPLOAD_IN_PROGRESS, total_files=files, total_bytes=size)


def partial_manifest_prefix() -> str:
    """Where the session action's manifests go, by the environment that the agent sets.

    An action of a chunk of tasks has no `DEADLINE_TASK_ID`, and a key without it.

    Raises:
        CommandFailed: The environment is not complete.
    """
    names = [f"DEADLINE_{name}" for name in _REQUIRED]
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        fail(f"The environment has no {', '.join(missing)}")
        raise CommandFailed
    farm, queue, job, step, action, started = (os.environ[name] for name in names)
    try:
        time_seconds = float(started)
    except ValueError:
        fail(f"DEADLINE_SESSIONACTION_START_TIME is no number: {started}")
        raise CommandFailed from None
    task = os.environ.get("DEADLINE_TASK_ID")
    if task:
        return JobAttachmentS3Settings.partial_session_action_manifest_prefix(
            farm, queue, job, step, task, action, time_seconds
        )
    return JobAttachmentS3Settings.partial_session_action_manifest_prefix_without_task(
        farm, queue, job, step, action, time_seconds
    )


if __name__ == "__main__":
    sys.exit(main())
