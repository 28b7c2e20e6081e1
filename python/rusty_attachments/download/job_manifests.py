"""The manifests of jobs in S3: what a job had as inputs, and what its tasks have put out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Optional

from .. import _native
from .._calls.operation import store_arguments
from ..exceptions import JobAttachmentsError
from ..models import Attachments, JobAttachmentS3Settings, ManifestPathGroup

if TYPE_CHECKING:
    from ..asset_manifests import BaseAssetManifest

# A boto3 session; boto3 is no dependency.
_Session = Optional[Any]


def get_manifest_from_s3(manifest_key: str, s3_bucket: str, session: _Session = None) -> BaseAssetManifest:
    """Fetches a manifest.

    Args:
        manifest_key: The manifest's full key.
        s3_bucket: The bucket.
        session: A boto3 session to take credentials from; without one, they come from the environment.

    Raises:
        JobAttachmentsS3ClientError: S3 refused the request.
        AssetSyncError: The object is no manifest.
    """
    return get_asset_root_and_manifest_from_s3(manifest_key, s3_bucket, session)[1]


def get_asset_root_and_manifest_from_s3(
    manifest_key: str, s3_bucket: str, session: _Session = None
) -> tuple[Optional[str], BaseAssetManifest]:
    """Fetches a manifest with the asset root that its metadata names, if any.

    Arguments and errors are those of `get_manifest_from_s3`.
    """
    found = get_asset_root_and_manifest_from_s3_with_last_modified(manifest_key, s3_bucket, session)
    return (found[0], found[2])


def get_asset_root_and_manifest_from_s3_with_last_modified(
    manifest_key: str, s3_bucket: str, session: _Session = None
) -> tuple[Optional[str], datetime, BaseAssetManifest]:
    """Fetches a manifest with its asset root, if any, and the time when it was stored, in one request."""
    return fetch_manifests(s3_bucket, [manifest_key], session)[0]


def get_output_manifest_files_by_asset_root_with_last_modified(
    s3_settings: JobAttachmentS3Settings,
    output_manifest_paths: list[str],
    session: _Session = None,
) -> list[tuple[str, datetime, BaseAssetManifest]]:
    """Fetches output manifests, many at a time.

    Args:
        s3_settings: The bucket.
        output_manifest_paths: Full keys.
        session: A boto3 session to take credentials from.

    Returns:
        `(asset root, time of storing, manifest)`, in the order of the keys.

    Raises:
        MissingAssetRootError: The metadata of a manifest names no asset root.
    """
    arguments = store_arguments(session)
    bucket, keys = s3_settings.s3BucketName, list(output_manifest_paths)
    found: list[tuple[str, datetime, BaseAssetManifest]]
    found = _native.fetch_job_manifests(arguments, bucket, keys, True).run()
    return found


def fetch_manifests(
    bucket: str, keys: list[str], session: _Session
) -> list[tuple[Optional[str], datetime, BaseAssetManifest]]:
    """Fetches manifests, many at a time: `(asset root or None, time of storing, manifest)` in the order of the keys."""
    found: list[tuple[Optional[str], datetime, BaseAssetManifest]]
    found = _native.fetch_job_manifests(store_arguments(session), bucket, keys, False).run()
    return found


def get_output_manifest_prefix(
    s3_settings: JobAttachmentS3Settings,
    farm_id: str,
    queue_id: str,
    job_id: str,
    step_id: Optional[str] = None,
    task_id: Optional[str] = None,
) -> str:
    """The prefix of the output manifests of a job, step or task, with a slash at its end.

    Raises:
        JobAttachmentsError: There is a task without its step.
    """
    if task_id and not step_id:
        raise JobAttachmentsError(
            "Task ID specified, but no Step ID. Job, Step, and Task ID are required to retrieve task outputs."
        )
    if task_id and step_id:
        prefix = s3_settings.full_task_output_prefix(farm_id, queue_id, job_id, step_id, task_id)
    elif step_id:
        prefix = s3_settings.full_step_output_prefix(farm_id, queue_id, job_id, step_id)
    else:
        prefix = s3_settings.full_job_output_prefix(farm_id, queue_id, job_id)
    return f"{prefix}/"


def get_tasks_manifests_keys_from_s3(
    manifest_prefix: str,
    s3_bucket: str,
    session: _Session = None,
    *,
    select_latest_per_task: bool = True,
) -> list[str]:
    """The keys of output manifests below a prefix.

    Args:
        manifest_prefix: The prefix of a job or step.
        s3_bucket: The bucket.
        session: A boto3 session to take credentials from.
        select_latest_per_task: Whether of each task only those in the last folder by name count.

    Returns:
        The keys of chunked steps in the order of the listing, then those of tasks.

    Raises:
        JobAttachmentsError: There is nothing below the prefix.
    """
    keys = _list_output_manifests(manifest_prefix, s3_bucket, session, select_latest_per_task)
    if keys is None:
        raise JobAttachmentsError(f"Unable to find asset manifest in s3://{s3_bucket}/{manifest_prefix}")
    return keys


def _list_output_manifests(
    prefix: str, bucket: str, session: _Session, only_latest_per_task: bool
) -> Optional[list[str]]:
    """The keys of output manifests below a prefix, or `None` where there is nothing at all."""
    arguments = store_arguments(session)
    keys: Optional[list[str]]
    keys = _native.list_output_manifests(arguments, bucket, prefix, only_latest_per_task).run()
    return keys


def get_output_manifests_by_asset_root(
    s3_settings: JobAttachmentS3Settings,
    farm_id: str,
    queue_id: str,
    job_id: str,
    step_id: Optional[str] = None,
    task_id: Optional[str] = None,
    session_action_id: Optional[str] = None,
    session: _Session = None,
) -> dict[str, list[BaseAssetManifest]]:
    """Finds and fetches the output manifests of a job, a step, a task, or a session action of a task.

    Of each task the manifests of the latest session action count, of a step that runs in chunks those of all.
    They are merged by root in the order in which they were stored. Those of a session action that is given are
    not merged.

    Args:
        s3_settings: The bucket and root prefix.
        farm_id: The farm.
        queue_id: The queue.
        job_id: The job.
        step_id: The step, if not all.
        task_id: The task, if not all.
        session_action_id: The session action, if not the latest.
        session: A boto3 session to take credentials from.

    Returns:
        Manifests by asset root; nothing where there are none.

    Raises:
        JobAttachmentsError: A task is given without its step, or a session action without its task.
        MissingAssetRootError: The metadata of a manifest names no asset root.
        JobAttachmentsS3ClientError: S3 refused a request.
    """
    ids = (farm_id, queue_id, job_id)
    if session_action_id:
        if not step_id or not task_id:
            raise JobAttachmentsError(
                "Session Action ID specified, but missing Step ID or Task ID. "
                "Job, Step, and Task ID are required to retrieve session action outputs."
            )
        return get_manifests_by_session_action_id(
            s3_settings, *ids, step_id, task_id, session_action_id, session
        )
    prefix = get_output_manifest_prefix(s3_settings, *ids, step_id, task_id)
    finding = _native.find_output_manifests(store_arguments(session), s3_settings.s3BucketName, prefix)
    return _by_root(finding.run())


def get_manifests_by_session_action_id(
    s3_settings: JobAttachmentS3Settings,
    farm_id: str,
    queue_id: str,
    job_id: str,
    step_id: str,
    task_id: str,
    session_action_id: str,
    session: _Session,
) -> dict[str, list[BaseAssetManifest]]:
    """Finds and fetches the manifests of a session action.

    They are below its task or, in a step that runs in chunks, below its step.
    """
    prefixes = [
        get_output_manifest_prefix(s3_settings, farm_id, queue_id, job_id, step_id, task_id),
        get_output_manifest_prefix(s3_settings, farm_id, queue_id, job_id, step_id),
    ]
    bucket = s3_settings.s3BucketName
    arguments = store_arguments(session)
    return _by_root(
        _native.find_session_action_manifests(arguments, bucket, prefixes, session_action_id).run()
    )


def _by_root(pairs: list[tuple[str, list[BaseAssetManifest]]]) -> dict[str, list[BaseAssetManifest]]:
    # A root that is not there has no manifests, as in the reference.
    return defaultdict(list, pairs)


def get_job_input_paths_by_asset_root(
    s3_settings: JobAttachmentS3Settings,
    attachments: Attachments,
    session: _Session = None,
) -> dict[str, ManifestPathGroup]:
    """Fetches the input manifests of a job.

    Args:
        s3_settings: The bucket and root prefix.
        attachments: The job's attachments, which name the manifests.
        session: A boto3 session to take credentials from.

    Returns:
        The input files by root path.
    """
    named = [entry for entry in attachments.manifests if entry.inputManifestPath]
    keys = [s3_settings.add_root_and_manifest_folder_prefix(entry.inputManifestPath or "") for entry in named]
    fetched = fetch_manifests(s3_settings.s3BucketName, keys, session) if keys else []
    return _grouped((entry.rootPath, found[2]) for entry, found in zip(named, fetched))


def get_job_output_paths_by_asset_root(
    s3_settings: JobAttachmentS3Settings,
    farm_id: str,
    queue_id: str,
    job_id: str,
    step_id: Optional[str] = None,
    task_id: Optional[str] = None,
    session_action_id: Optional[str] = None,
    session: _Session = None,
) -> dict[str, ManifestPathGroup]:
    """Finds and fetches output manifests as `get_output_manifests_by_asset_root` does.

    Returns:
        The output files by root path.
    """
    outputs = get_output_manifests_by_asset_root(
        s3_settings, farm_id, queue_id, job_id, step_id, task_id, session_action_id, session=session
    )
    return _grouped((root, manifest) for root, manifests in outputs.items() for manifest in manifests)


def get_job_input_output_paths_by_asset_root(
    s3_settings: JobAttachmentS3Settings,
    attachments: Attachments,
    farm_id: str,
    queue_id: str,
    job_id: str,
    step_id: Optional[str] = None,
    task_id: Optional[str] = None,
    session_action_id: Optional[str] = None,
    session: _Session = None,
) -> dict[str, ManifestPathGroup]:
    """Finds and fetches the input and output manifests of a job.

    Returns:
        Input files and then output files, by root path.
    """
    combined = get_job_input_paths_by_asset_root(s3_settings, attachments, session)
    outputs = get_job_output_paths_by_asset_root(
        s3_settings, farm_id, queue_id, job_id, step_id, task_id, session_action_id, session
    )
    for root, group in outputs.items():
        if root in combined:
            combined[root].combine_with_group(group)
        else:
            combined[root] = group
    return combined


def _grouped(pairs: Iterable[tuple[str, BaseAssetManifest]]) -> dict[str, ManifestPathGroup]:
    groups: dict[str, ManifestPathGroup] = {}
    for root, manifest in pairs:
        groups.setdefault(root, ManifestPathGroup()).add_manifest_to_group(manifest)
    return groups
