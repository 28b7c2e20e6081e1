"""The output manifests of session actions, and the download of files to absolute paths.

Farms, queues, jobs, sessions and session actions are dictionaries, as boto3's client of Deadline Cloud gives them.
"""

from __future__ import annotations

import ntpath
import os
import posixpath
import re
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

from .._calls.operation import report_end
from .._path_mapping import _PathMappingRuleApplier
from ..asset_manifests import BaseAssetManifest, BaseManifestPath, HashAlgorithm, hash_data
from ..download.files import (
    ABSOLUTE_PATHS,
    CANCELLED,
    Placing,
    as_manifest,
    begin_download,
    ensure_paths_within_directory,
    new_tracker,
)
from ..download.job_manifests import _list_output_manifests, fetch_manifests, get_output_manifest_prefix
from ..exceptions import PathOutsideDirectoryError
from ..models import S3_MANIFEST_FOLDER_NAME, FileConflictResolution, JobAttachmentS3Settings, PathFormat
from ..progress_tracker import ProgressReportMetadata

__all__ = [
    "_add_output_manifests_from_s3",
    "_download_all_manifests_with_absolute_paths",
    "_download_manifest_paths",
    "_merge_absolute_path_manifest_list",
]

SESSION_ACTION_ID_FROM_KEY_RE = re.compile(r"(sessionaction-[^/-]+-[^/-]+)/")

_Boto3Session = Any  # boto3 is no dependency
_ToDownload = tuple[Optional[_PathMappingRuleApplier], str, str, str]


def _nothing(line: Any) -> None:
    """Prints nothing."""


def _add_output_manifests_from_s3(
    farm_id: str,
    queue: dict[str, Any],
    job: dict[str, Any],
    boto3_session: _Boto3Session,
    session_action_list: list[dict[str, Any]],
) -> None:
    """Gives session actions that lack `manifests` those that S3 has, with their `outputManifestPath` alone.

    Each list corresponds to the list of manifests of the job; where a session action has no output, there is an
    empty dictionary.

    Args:
        farm_id: The farm.
        queue: The queue, with its job attachment settings.
        job: The job.
        boto3_session: The session to take credentials from.
        session_action_list: The session actions; changed in place.

    Raises:
        RuntimeError: An output manifest belongs to no session action, or to no root of the job.
        JobAttachmentsS3ClientError: S3 refused a request.
    """
    lacking = [action for action in session_action_list if "manifests" not in action]
    if "attachments" not in job or not lacking:
        return
    settings = JobAttachmentS3Settings(**queue["jobAttachmentSettings"])
    roots = job["attachments"]["manifests"]
    hashes = [_root_hash(root) for root in roots]
    for action in lacking:
        action["manifests"] = [{} for _ in roots]
    prefix = get_output_manifest_prefix(settings, farm_id, queue["queueId"], job["jobId"])
    keys = _list_output_manifests(prefix, settings.s3BucketName, boto3_session, False) or []
    actions = {action["sessionActionId"]: action for action in lacking}
    folder = f"{settings.rootPrefix}/{S3_MANIFEST_FOLDER_NAME}/"
    for key in keys:
        # What a key is follows from its place behind the prefix, which may have any words in it.
        below, _, name = key[len(prefix) :].rpartition("/")
        found = SESSION_ACTION_ID_FROM_KEY_RE.search(f"{below}/")
        named = f"Job attachments manifest key for job {job['name']} ({job['jobId']})"
        if not found:
            raise RuntimeError(f"{named} lacks a session action id")
        place = next((place for place, root in enumerate(hashes) if root in name), None)
        if place is None:
            raise RuntimeError(
                f"{named} does not contain any of the rootPath hashes {', '.join(hashes)}: {key}"
            )
        if found[1] in actions:
            partial = key[len(folder) :] if key.startswith(folder) else key
            actions[found[1]]["manifests"][place] = {"outputManifestPath": partial}


def _root_hash(root: dict[str, Any]) -> str:
    """What the names of a root's output manifests begin with."""
    text = f"{root.get('fileSystemLocationName', '')}{root['rootPath']}"
    return hash_data(text.encode("utf-8", "surrogatepass"), HashAlgorithm.XXH128)


def _get_manifests_to_download(
    job_attachments_root_prefix: str,
    download_candidate_jobs: dict[str, dict[str, Any]],
    job_sessions: dict[str, list[dict[str, Any]]],
    path_mapping_rule_appliers: dict[str, Optional[_PathMappingRuleApplier]],
) -> list[_ToDownload]:
    """Lists the output manifests of session actions.

    Args:
        job_attachments_root_prefix: The root prefix of the queue's job attachment settings.
        download_candidate_jobs: Jobs by id.
        job_sessions: Sessions with their session actions, by the job's id.
        path_mapping_rule_appliers: How paths are mapped, by the id of the job's storage profile; empty if they are not.

    Returns:
        `(how paths are mapped, job id, root path, key)` for each manifest.
    """
    listed: list[_ToDownload] = []
    for job_id, sessions in job_sessions.items():
        job = download_candidate_jobs[job_id]
        actions = [action for session in sessions for action in session.get("sessionActions", [])]
        for action in actions:
            for root, output in zip(job["attachments"]["manifests"], action["manifests"]):
                if "outputManifestPath" not in output:
                    continue
                applier = None
                if path_mapping_rule_appliers:
                    applier = path_mapping_rule_appliers[job["storageProfileId"]]
                parts = (job_attachments_root_prefix, S3_MANIFEST_FOLDER_NAME, output["outputManifestPath"])
                listed.append((applier, job_id, root["rootPath"], "/".join(parts)))
    return listed


def _download_all_manifests_with_absolute_paths(
    queue: dict[str, Any],
    download_candidate_jobs: dict[str, dict[str, Any]],
    job_sessions: dict[str, list[dict[str, Any]]],
    path_mapping_rule_appliers: dict[str, Optional[_PathMappingRuleApplier]],
    output_unmapped_paths: dict[str, list[str]],
    boto3_session_for_s3: _Boto3Session,
    print_function_callback: Callable[[Any], None] = _nothing,
) -> list[tuple[datetime, BaseAssetManifest]]:
    """Fetches the output manifests of session actions, and makes their paths absolute paths of this machine.

    Args:
        queue: The queue, with its job attachment settings.
        download_candidate_jobs: Jobs by id.
        job_sessions: Sessions with their session actions, by the job's id.
        path_mapping_rule_appliers: How paths are mapped, by the id of the job's storage profile; empty if they are not.
        output_unmapped_paths: Gets the paths that no rule maps, or that lead out of their root, by the job's id. They
            are not in the manifests any more.
        boto3_session_for_s3: The session to take credentials from.
        print_function_callback: Called with lines of text.

    Returns:
        `(time of storing, manifest)` for each session action and root that has outputs, in that order.

    Raises:
        JobAttachmentsS3ClientError: S3 refused a request.
        AssetSyncError: An object is no manifest.
    """
    settings = queue["jobAttachmentSettings"]
    listed = _get_manifests_to_download(
        settings["rootPrefix"], download_candidate_jobs, job_sessions, path_mapping_rule_appliers
    )
    print_function_callback("")
    print_function_callback(f"Downloading {len(listed)} asset manifests from S3...")
    started = datetime.now(tz=timezone.utc)
    keys = [key for *_, key in listed]
    fetched = fetch_manifests(settings["s3BucketName"], keys, boto3_session_for_s3) if keys else []
    made = []
    for (applier, job_id, root, _), (_, stored, manifest) in zip(listed, fetched):
        unmapped = _make_paths_absolute(manifest, root, applier)
        if unmapped:
            output_unmapped_paths.setdefault(job_id, []).extend(unmapped)
        made.append((stored, manifest))
    print_function_callback(f"...downloaded manifests in {datetime.now(tz=timezone.utc) - started}")
    return made


def _make_paths_absolute(
    manifest: BaseAssetManifest, root: str, applier: Optional[_PathMappingRuleApplier]
) -> list[str]:
    """Makes the paths of a manifest absolute, in place; returns those that can't be, which are taken out."""
    source: ModuleType = os.path
    if applier is not None:
        is_windows = applier.source_path_format == PathFormat.WINDOWS.value
        source = ntpath if is_windows else posixpath

    def absolute(below: str) -> str:
        path: str = source.normpath(source.join(root, below))
        if applier is not None:
            return str(applier.strict_transform(path))
        ensure_paths_within_directory(root, [path])
        return path

    kept, unmapped = [], []
    for entry in manifest.paths:
        target = getattr(entry, "symlink_target", None)  # of version 2025-12-04-beta
        try:
            path = absolute(entry.path)
            if target is not None:
                entry.symlink_target = absolute(target)  # type: ignore[attr-defined]
            entry.path = path
            kept.append(entry)
        except (PathOutsideDirectoryError, ValueError):
            unmapped.append(source.normpath(source.join(root, entry.path)))
    manifest.paths = kept
    return unmapped


def _merge_absolute_path_manifest_list(
    downloaded_manifests: list[tuple[datetime, BaseAssetManifest]],
) -> list[BaseManifestPath]:
    """Merges manifests of absolute paths; of a path in several, the entry that was stored last counts.

    Args:
        downloaded_manifests: `(time of storing, manifest)`; left sorted by time.
    """
    downloaded_manifests.sort(key=lambda pair: pair[0])
    entries = (entry for _, manifest in downloaded_manifests for entry in manifest.paths)
    return list({os.path.normcase(entry.path): entry for entry in entries}.values())


def _download_manifest_paths(
    manifest_paths_to_download: list[BaseManifestPath],
    hash_algorithm: HashAlgorithm,
    queue: dict[str, Any],
    boto3_session_for_s3: _Boto3Session,
    file_conflict_resolution: FileConflictResolution,
    on_downloading_files: Optional[Callable[[ProgressReportMetadata], bool]],
    print_function_callback: Callable[[Any], None] = _nothing,
) -> None:
    """Downloads files to absolute paths.

    Args:
        manifest_paths_to_download: The files, with absolute paths.
        hash_algorithm: The algorithm of their hashes.
        queue: The queue, with its job attachment settings.
        boto3_session_for_s3: The session to take credentials from.
        file_conflict_resolution: What to do where a file is already.
        on_downloading_files: Called with progress; a falsy result cancels.
        print_function_callback: Not used: there are no threads to tell of.

    Raises:
        AssetSyncError: Contents are not what their hash says, or S3 refused a request.
        AssetSyncCancelledError: The callback asked to stop.
        ValueError: A path is not absolute, or a conflict meets a resolution that is not known.
    """
    settings = JobAttachmentS3Settings(**queue["jobAttachmentSettings"])
    total = sum(entry.size for entry in manifest_paths_to_download)
    tracker = new_tracker((len(manifest_paths_to_download), total), on_downloading_files)
    for entry in manifest_paths_to_download:
        if not Path(entry.path).is_absolute():
            raise ValueError(f"The path is not absolute: {entry.path}")
    operation = begin_download(
        settings.s3BucketName,
        [(ABSOLUTE_PATHS, as_manifest(manifest_paths_to_download, hash_algorithm))],
        settings.full_cas_prefix(),
        boto3_session_for_s3,
        tracker,
        Placing(file_conflict_resolution, in_order=True),
    )
    operation.run()
    report_end(tracker, CANCELLED)
