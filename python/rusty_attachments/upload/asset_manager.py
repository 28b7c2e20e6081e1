"""Submitting assets: what a submission hashes and uploads, or puts into a snapshot."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional, Union

from .. import _native
from .._logs import logger
from ..asset_manifests import ManifestVersion
from ..exceptions import (
    JobAttachmentsError,
    MisconfiguredInputsError,
    MissingS3BucketError,
    MissingS3RootPrefixError,
)
from ..models import (
    AssetRootManifest,
    AssetUploadGroup,
    Attachments,
    JobAttachmentS3Settings,
    ManifestProperties,
    PathFormat,
    StorageProfile,
    SymlinkPolicy,
)
from ..options import UploadOptions
from ..progress_tracker import ProgressReportMetadata, ProgressStatus, ProgressTracker, SummaryStatistics
from .submission import LocalSubmission, _Paths
from .uploader import S3AssetUploader

#: A job takes no more: https://docs.aws.amazon.com/deadline-cloud/latest/APIReference/API_Attachments.html
MOST_ASSET_ROOTS = 10

_Callback = Callable[[ProgressReportMetadata], bool]
# Takes the settings, and the keywords that uploading and copying share; gives the manifest's key and hash.
_UploadOne = Callable[[JobAttachmentS3Settings, dict[str, Any]], tuple[str, str]]


class S3AssetManager(LocalSubmission):
    """Makes manifests of a submission's files, and uploads both.

    Args:
        farm_id: The farm, part of manifests' keys.
        queue_id: The queue, the same.
        job_attachment_settings: The queue's bucket and root prefix.
        asset_uploader: What uploads; by default an `S3AssetUploader` with the arguments below.
        session: A boto3 session, asked for credentials whenever they are needed.
        asset_manifest_version: The format of the manifests that are made.
        s3_max_pool_connections: The most requests under way at once; `None` for the default.
        small_file_threshold_multiplier: Files of up to this many times 8 MiB go many at a time; `None` for the default.
        symlink_policy: What becomes of links among the inputs in manifests of version 2025-12-04-beta.
        options: What the reference has no argument for.

    Raises:
        MissingS3BucketError: The settings name no bucket.
        MissingS3RootPrefixError: The settings have no root prefix.
        AssetSyncError: A number is not positive.
    """

    def __init__(
        self,
        farm_id: Optional[str] = None,
        queue_id: Optional[str] = None,
        job_attachment_settings: Optional[JobAttachmentS3Settings] = None,
        asset_uploader: Optional[S3AssetUploader] = None,
        session: Optional[Any] = None,
        asset_manifest_version: ManifestVersion = ManifestVersion.v2023_03_03,
        s3_max_pool_connections: Optional[int] = None,
        small_file_threshold_multiplier: Optional[int] = None,
        *,
        symlink_policy: Union[SymlinkPolicy, str] = SymlinkPolicy.COLLAPSE_ESCAPING,
        options: Optional[UploadOptions] = None,
    ) -> None:
        self.farm_id = farm_id
        self.queue_id = queue_id
        self.job_attachment_settings = job_attachment_settings
        if job_attachment_settings:
            needed = "To use Job Attachments, the '{}' must be set in your queue's JobAttachmentSettings"
            if not job_attachment_settings.s3BucketName:
                raise MissingS3BucketError(needed.format("s3BucketName"))
            if not job_attachment_settings.rootPrefix:
                raise MissingS3RootPrefixError(needed.format("rootPrefix"))
        if asset_uploader is None:
            asset_uploader = S3AssetUploader(
                session=session,
                s3_max_pool_connections=s3_max_pool_connections,
                small_file_threshold_multiplier=small_file_threshold_multiplier,
                options=options,
            )
        self.asset_uploader = asset_uploader
        self.session = session
        self.manifest_version = asset_manifest_version
        self.symlink_policy = SymlinkPolicy(symlink_policy)

    def prepare_paths_for_upload(
        self,
        input_paths: _Paths,
        output_paths: _Paths,
        referenced_paths: _Paths,
        storage_profile: Optional[StorageProfile] = None,
        require_paths_exist: bool = False,
    ) -> AssetUploadGroup:
        """Sorts the paths of a submission under asset roots, and warns if these are more than a job can have.

        Args:
            input_paths: As for `LocalSubmission`, here and below.
            output_paths: Directories that will hold outputs.
            referenced_paths: Paths that only have to be below some root.
            storage_profile: The file system locations of the queue's storage profile.
            require_paths_exist: Whether a missing input is an error.

        Returns:
            The groups, with the number and size of the input files.

        Raises:
            MisconfiguredInputsError: Inputs are directories, or missing while they are required.
        """
        prepared = super().prepare_paths_for_upload(
            input_paths, output_paths, referenced_paths, storage_profile, require_paths_exist
        )
        problem = _too_many_roots([group.root_path for group in prepared.asset_groups])
        if problem:
            # Only a warning: the caller may spread the groups over several jobs.
            logger("upload").warning("%s", problem)
        return prepared

    def upload_assets(
        self,
        manifests: list[AssetRootManifest],
        on_uploading_assets: Optional[_Callback] = None,
        s3_check_cache_dir: Optional[str] = None,
        manifest_write_dir: Optional[str] = None,
        force_s3_check: Optional[bool] = None,
    ) -> tuple[SummaryStatistics, Attachments]:
        """Uploads the files of all roots, and each root's manifest after its files.

        Args:
            manifests: The roots.
            on_uploading_assets: Called with progress; something false cancels the upload.
            s3_check_cache_dir: The folder of the S3 check cache; `None` for the default one.
            manifest_write_dir: Where copies of the manifests are written, in a folder `manifests`.
            force_s3_check: True to ask S3 for every file and neither read nor sample the check cache.

        Returns:
            Statistics, and what a job needs to find its inputs.

        Raises:
            JobAttachmentsError: The manager has no farm or no queue.
            MisconfiguredInputsError: There are more roots than a job can have; nothing was uploaded.
            AssetSyncError: A file is missing, unreadable, or not what its hash says; others were uploaded.
            AssetSyncCancelledError: The callback asked to stop.
            JobAttachmentsS3ClientError: S3 refused a request.
        """

        def upload(settings: JobAttachmentS3Settings, shared: dict[str, Any]) -> tuple[str, str]:
            return self.asset_uploader.upload_assets(
                job_attachment_settings=settings,
                s3_check_cache_dir=s3_check_cache_dir,
                manifest_write_dir=manifest_write_dir,
                force_s3_check=force_s3_check,
                **shared,
            )

        def tell(done: list[ManifestProperties]) -> None:
            logger("upload").debug("Asset manifests - locations in S3:")
            logger("upload").debug(
                "%s", "\n".join(root.inputManifestPath for root in done if root.inputManifestPath)
            )

        tracker = self._tracker(
            "upload_assets", ProgressStatus.UPLOAD_IN_PROGRESS, manifests, on_uploading_assets
        )
        problem = _too_many_roots([root.root_path for root in manifests])
        if problem:
            raise MisconfiguredInputsError(problem)
        return self._each_root(manifests, tracker, upload, tell)

    def snapshot_assets(
        self,
        snapshot_dir: str,
        manifests: list[AssetRootManifest],
        on_snapshotting_assets: Optional[_Callback] = None,
    ) -> tuple[SummaryStatistics, Attachments]:
        """Copies the files and manifests of all roots into a directory laid out like a root prefix in S3.

        Where the file system can, copies share their blocks with the files.

        Args:
            snapshot_dir: The directory; contents go below `Data`, manifests below `Manifests`.
            manifests: The roots.
            on_snapshotting_assets: Called with progress; something false cancels the snapshot.

        Returns:
            Statistics, and what a job needs to find its inputs.

        Raises:
            JobAttachmentsError: The manager has no farm or no queue.
            AssetSyncError: A file is missing, unreadable, or not what its hash says. The others were copied.
            AssetSyncCancelledError: The callback asked to stop.
        """
        folder = Path(os.path.abspath(snapshot_dir))  # noqa: PTH100 - lexical, as in the reference

        def snapshot(_settings: JobAttachmentS3Settings, shared: dict[str, Any]) -> tuple[str, str]:
            return self.asset_uploader._snapshot_assets(snapshot_dir=folder, **shared)

        tracker = self._tracker(
            "snapshot_assets", ProgressStatus.SNAPSHOT_IN_PROGRESS, manifests, on_snapshotting_assets
        )
        return self._each_root(manifests, tracker, snapshot)

    def _tracker(
        self,
        caller: str,
        status: ProgressStatus,
        manifests: list[AssetRootManifest],
        callback: Optional[_Callback],
    ) -> ProgressTracker:
        if not self.farm_id or not self.queue_id:
            text = f"{caller}: Farm or Fleet ID is missing."
            logger("upload").error(text)
            raise JobAttachmentsError(text)
        files, size_bytes = self._get_total_input_size_from_manifests(manifests)
        return ProgressTracker(
            status=status, total_files=files, total_bytes=size_bytes, on_progress_callback=callback
        )

    def _each_root(
        self,
        manifests: list[AssetRootManifest],
        tracker: ProgressTracker,
        upload: _UploadOne,
        tell: Callable[[list[ManifestProperties]], None] = lambda _done: None,
    ) -> tuple[SummaryStatistics, Attachments]:
        started = time.perf_counter()
        done: list[ManifestProperties] = []
        for root in manifests:
            properties = ManifestProperties(
                fileSystemLocationName=root.file_system_location_name,
                rootPath=root.root_path,
                rootPathFormat=PathFormat.get_host_path_format(),
                outputRelativeDirectories=[str(path.relative_to(root.root_path)) for path in root.outputs],
            )
            if root.asset_manifest:
                settings = self._settings()
                shared = {
                    "manifest": root.asset_manifest,
                    "partial_manifest_prefix": settings.partial_manifest_prefix(
                        str(self.farm_id), str(self.queue_id)
                    ),
                    "source_root": Path(root.root_path),
                    "file_system_location_name": root.file_system_location_name,
                    "progress_tracker": tracker,
                }
                properties.inputManifestPath, properties.inputManifestHash = upload(settings, shared)
            done.append(properties)
            tell(done)
        tracker.total_time = time.perf_counter() - started
        return (tracker.get_summary_statistics(), Attachments(manifests=done))

    def _settings(self) -> JobAttachmentS3Settings:
        if self.job_attachment_settings is None:
            raise JobAttachmentsError("The manager was made without job attachment settings.")
        return self.job_attachment_settings

    def _get_total_input_size_from_manifests(self, manifests: list[AssetRootManifest]) -> tuple[int, int]:
        """How many files the manifests name, and the sum of their sizes in bytes."""
        sizes = [_native.manifest_size(root.asset_manifest) for root in manifests if root.asset_manifest]
        return (sum(files for files, _ in sizes), sum(size_bytes for _, size_bytes in sizes))


def _too_many_roots(roots: list[str]) -> Optional[str]:
    """What to tell a user whose job would be refused for its number of roots."""
    if len(roots) <= MOST_ASSET_ROOTS:
        return None
    listed = "\n\t".join(roots)
    return (
        f"The submission has {len(roots)} asset roots. A job of Deadline Cloud can have {MOST_ASSET_ROOTS} at most "
        "and would be refused: use fewer drives or LOCAL file system locations, or several jobs. "
        f"The roots:\n\t{listed}"
    )
