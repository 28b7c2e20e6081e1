"""Downloading the files of local manifests, and the manifests of jobs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

from .._job_manifests import _fetch, get_output_manifests_by_asset_root
from ..asset_manifests import BaseAssetManifest
from ..asset_manifests.operations import merge_asset_manifests
from ..download import download_files_from_manifests
from ..exceptions import NonValidInputError
from ..models import (
    AssetType,
    FileConflictResolution,
    JobAttachmentS3Settings,
    ManifestDownload,
    ManifestDownloadResponse,
    PathMappingRule,
)
from ..progress_tracker import DownloadSummaryStatistics
from ._path_rules import _process_path_mapping, _rule_for
from ._utils import _read_manifests

_Print = Callable[[Any], None]


def _print_nothing(_message: object) -> None:
    pass


def _attachment_download(
    manifests: list[str],
    s3_root_uri: str,
    boto3_session: Optional[Any] = None,
    path_mapping_rules: Optional[str] = None,
    print_function_callback: _Print = _print_nothing,
    conflict_resolution: FileConflictResolution = FileConflictResolution.CREATE_COPY,
) -> DownloadSummaryStatistics:
    """Downloads the files of local manifests.

    The name of a manifest's file holds the hash of the root that it belongs to. The destination is that of the
    first rule whose source path has this hash; without one, a folder named after the file, in the current
    directory. If a file has that name there, as when it is the manifest itself, the folder's name ends in `_files`.

    Args:
        manifests: Manifest files.
        s3_root_uri: `s3://bucket/root-prefix`.
        boto3_session: A boto3 session to take credentials from.
        path_mapping_rules: A JSON file with path mapping rules.
        print_function_callback: Told where files go if the folder cannot have the manifest's name.
        conflict_resolution: What to do where a file is already.

    Returns:
        Statistics.

    Raises:
        NonValidInputError: A file is not valid, or two manifests have one destination.
    """
    decoded = _read_manifests(manifest_paths=manifests)
    rules = _process_path_mapping(path_mapping_rules=path_mapping_rules)
    by_root: dict[str, BaseAssetManifest] = {}
    for file_name, manifest in decoded.items():
        destination = _destination(file_name, manifest, rules, print_function_callback)
        if destination in by_root:
            raise NonValidInputError(
                f"{destination} is already in use, one destination path maps to one manifest file only."
            )
        by_root[destination] = manifest
    settings = JobAttachmentS3Settings.from_s3_root_uri(s3_root_uri)
    return download_files_from_manifests(
        s3_bucket=settings.s3BucketName,
        manifests_by_root=by_root,
        cas_prefix=settings.full_cas_prefix(),
        session=boto3_session,
        conflict_resolution=conflict_resolution,
    )


def _destination(
    file_name: str, manifest: BaseAssetManifest, rules: list[PathMappingRule], tell: _Print
) -> str:
    rule = _rule_for(file_name, rules, manifest.get_default_hash_alg())
    if rule is not None:
        return rule.destination_path
    folder = Path.cwd() / file_name
    if not folder.exists() or folder.is_dir():
        return f"{Path.cwd()}/{file_name}"
    destination = f"{folder}_files"
    tell(f"'{folder}' is a file: its files are downloaded to '{destination}'")
    return destination


def _manifest_download(
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
        fetched = _fetch(self._settings.s3BucketName, keys, self._session) if keys else []
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
        from .manifest import _write_manifest

        response = ManifestDownloadResponse()
        for root, manifests in self._by_root.items():
            merged = merge_asset_manifests(manifests)
            if merged is None:
                continue
            path = _write_manifest(root, merged, folder, name=root.replace("/", "_"))
            response.downloaded.append(ManifestDownload(manifest_root=root, local_manifest_path=path))
            self._tell(f"Downloaded merged manifest for root: {root} to: {path}")
        return response
