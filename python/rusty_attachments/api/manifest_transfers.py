"""Manifest files to S3, and the manifests of jobs from there."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Optional

from .._utils import _get_long_path_compatible_path
from ..asset_manifests import BaseAssetManifest
from ..asset_manifests.operations import merge_asset_manifests
from ..download.job_manifests import fetch_manifests, get_output_manifests_by_asset_root
from ..models import (
    S3_MANIFEST_FOLDER_NAME,
    AssetType,
    JobAttachmentS3Settings,
    ManifestDownload,
    ManifestDownloadResponse,
)
from ..upload import S3AssetUploader
from .manifest_files import write_manifest

__all__ = ["manifest_download", "manifest_upload"]

_Print = Callable[[Any], None]


def _print_nothing(_message: object) -> None:
    """Prints nothing."""


def manifest_upload(
    manifest_file: str,
    s3_bucket_name: str,
    s3_cas_prefix: str,
    boto_session: Any,
    s3_key_prefix: Optional[str] = None,
    print_function_callback: _Print = _print_nothing,
) -> None:
    """Uploads a manifest file to `<prefix>/Manifests/[<key prefix>/]<file name>`.

    Args:
        manifest_file: The file; its path as given goes into the object's metadata.
        s3_bucket_name: The bucket.
        s3_cas_prefix: The root prefix.
        boto_session: A boto3 session, or `None`.
        s3_key_prefix: Where below `Manifests`.
        print_function_callback: Called with the number of bytes once they are stored.

    Raises:
        OSError: The file can't be read.
        JobAttachmentsS3ClientError: S3 refused the request.
    """
    below = [s3_key_prefix] if s3_key_prefix else []
    # An empty root prefix gives a key that begins with a slash, as in the reference.
    parts = [s3_cas_prefix, S3_MANIFEST_FOLDER_NAME, *below, Path(manifest_file).name]
    # Absolute first: Windows' long-path prefix takes no other paths.
    path = _get_long_path_compatible_path(Path(manifest_file).absolute())
    uploader = S3AssetUploader(session=boto_session)
    uploader.upload_bytes_to_s3(
        bytes=BytesIO(path.read_bytes()),
        bucket=s3_bucket_name,
        key="/".join(parts),
        progress_handler=print_function_callback,
        extra_args={"Metadata": {"file-system-location-name": manifest_file}},
    )


def manifest_download(
    *,
    deadline_client: Any,
    download_dir: str,
    farm_id: str,
    job_id: str,
    queue_id: str,
    queue_role_session: Optional[Any],
    queue_s3_settings: JobAttachmentS3Settings,
    asset_type: AssetType = AssetType.ALL,
    print_function_callback: _Print = _print_nothing,
    step_id: Optional[str] = None,
) -> ManifestDownloadResponse:
    """Downloads the manifests of a job, merged by root, into local files.

    With a step, the inputs are those of the job and the outputs of the steps that it depends on, and the outputs
    are the step's own.

    Args:
        deadline_client: A boto3 client of Deadline Cloud.
        download_dir: Where the files go.
        farm_id: The farm.
        job_id: The job.
        queue_id: The queue.
        queue_role_session: A boto3 session to take credentials for S3 from.
        queue_s3_settings: The bucket and root prefix.
        asset_type: Whether inputs, outputs or both are wanted.
        print_function_callback: Told what is done.
        step_id: The step, if not the whole job.

    Returns:
        The roots, and a local file for each.
    """
    job = deadline_client.get_job(farmId=farm_id, queueId=queue_id, jobId=job_id)
    ids = (farm_id, queue_id, job_id)
    collected = _Collected(queue_s3_settings, queue_role_session, print_function_callback)
    # By value, so that the reference's members are taken too.
    wanted = None if asset_type is None else AssetType(asset_type.value)
    if wanted in (None, AssetType.INPUT, AssetType.ALL):
        print_function_callback(f"Downloading input manifests for job: {job_id}")
        collected.add_inputs(job.get("attachments", {}))
        if step_id is not None:
            print_function_callback(f"Finding step-step dependency manifests for step: {step_id}")
            for dependency in _dependencies(deadline_client, ids, step_id):
                print_function_callback(f"Found Step-Step dependency. {dependency}")
                collected.add_outputs(ids, dependency, "step-step output")
    if wanted in (None, AssetType.OUTPUT, AssetType.ALL):
        what = f"for job: {job_id}" if step_id is None else f"step: {step_id} of job: {job_id}"
        print_function_callback(f"Downloading output manifests {what}")
        collected.add_outputs(ids, step_id, "output")
    return collected.write(download_dir)


def _dependencies(client: Any, ids: tuple[str, str, str], step_id: str) -> list[str]:
    farm_id, queue_id, job_id = ids
    found: list[str] = []
    token: Optional[str] = ""
    while token is not None:
        page = client.list_step_dependencies(
            farmId=farm_id, queueId=queue_id, jobId=job_id, stepId=step_id, nextToken=token
        )
        found += [dependency["stepId"] for dependency in page["dependencies"]]
        token = page.get("nextToken")
    return found


class _Collected:
    """Manifests by root, in the order in which they were found."""

    def __init__(self, settings: JobAttachmentS3Settings, session: Optional[Any], tell: _Print) -> None:
        self._settings = settings
        self._session = session
        self._tell = tell
        self._by_root: dict[str, list[BaseAssetManifest]] = {}

    def add_inputs(self, attachments: dict[str, Any]) -> None:
        """Fetches the input manifests that a job's attachments name."""
        rows = [(row["rootPath"], row.get("inputManifestPath")) for row in attachments.get("manifests", [])]
        named = [(root, path) for root, path in rows if path]
        keys = [self._settings.add_root_and_manifest_folder_prefix(path) for _, path in named]
        fetched = fetch_manifests(self._settings.s3BucketName, keys, self._session) if keys else []
        for (root, _), (_, _, manifest) in zip(named, fetched):
            self._add(root, manifest, "input")

    def add_outputs(self, ids: tuple[str, str, str], step_id: Optional[str], what: str) -> None:
        """Finds and fetches the output manifests of a job or step."""
        found = get_output_manifests_by_asset_root(
            self._settings, *ids, step_id=step_id, session=self._session
        )
        for root, manifests in found.items():
            for manifest in manifests:
                self._add(root, manifest, what)

    def _add(self, root: str, manifest: BaseAssetManifest, what: str) -> None:
        self._tell(f"Found {what} manifest for root: {root}")
        self._by_root.setdefault(root, []).append(manifest)

    def write(self, folder: str) -> ManifestDownloadResponse:
        """Merges the manifests of each root and writes them."""
        response = ManifestDownloadResponse()
        for root, manifests in self._by_root.items():
            merged = merge_asset_manifests(manifests)
            if merged is None:
                continue
            path = write_manifest(root, merged, folder, name=root.replace("/", "_"))
            response.downloaded.append(ManifestDownload(manifest_root=root, local_manifest_path=path))
            self._tell(f"Downloaded merged manifest for root: {root} to: {path}")
        return response
