"""Uploading the files of manifests as objects named by their contents, and the manifests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from .. import _native
from .._calls.operation import Begun, StoreArguments, report_end, store_arguments
from .._logs import logger
from .._utils import _is_relative_to, _join_s3_paths
from ..asset_manifests import BaseAssetManifest, BaseManifestPath, HashAlgorithm
from ..asset_manifests.v2023_03_03 import AssetManifest
from ..caches import S3CheckCache, S3CheckCacheEntry
from ..exceptions import AssetSyncError
from ..models import JobAttachmentS3Settings
from ..options import UploadOptions
from ..progress_tracker import ProgressTracker
from .manifest_files import ManifestPlacing, Metadata, make_document
from .snapshots import Snapshots

if TYPE_CHECKING:
    from .._native import Operation


S3_MULTIPART_UPLOAD_CHUNK_SIZE: int = _native.PART_BYTES
"""Bodies up to this many bytes go in one request; larger ones in parts of at least this size."""
S3_UPLOAD_MAX_CONCURRENCY: int = 10

_CANCELLED = "File upload cancelled."


class S3AssetUploader(Snapshots):
    """Uploads the files of asset manifests, and the manifests.

    Args:
        session: A boto3 session, asked for credentials whenever they are needed. Without one, credentials,
            region and endpoint come from the environment and the AWS configuration files.
        s3_max_pool_connections: The most requests under way at once; `None` for the default.
        small_file_threshold_multiplier: Files of up to this many times 8 MiB go many at a time; larger ones
            one after another, each in parallel parts. `None` for the default.
        options: What the reference has no argument for.

    Raises:
        AssetSyncError: A setting is not positive.
    """

    def __init__(
        self,
        session: Optional[Any] = None,
        *,
        s3_max_pool_connections: Optional[int] = None,
        small_file_threshold_multiplier: Optional[int] = None,
        options: Optional[UploadOptions] = None,
    ) -> None:
        if s3_max_pool_connections is None:
            s3_max_pool_connections = _native.store_defaults()["max_connections"]
        if small_file_threshold_multiplier is None:
            threshold = _native.upload_defaults()["small_file_threshold"]
            small_file_threshold_multiplier = threshold // S3_MULTIPART_UPLOAD_CHUNK_SIZE
        for name, value in (
            ("small_file_threshold_multiplier", small_file_threshold_multiplier),
            ("s3_max_pool_connections", s3_max_pool_connections),
        ):
            if value <= 0:
                raise AssetSyncError(
                    f"Nonvalid value for configuration setting: '{name}' ({value}) must be positive integer."
                )
        self._session = session
        self._max_connections = s3_max_pool_connections
        self.options = options or UploadOptions()
        self.small_file_threshold = S3_MULTIPART_UPLOAD_CHUNK_SIZE * small_file_threshold_multiplier
        divisor = min(small_file_threshold_multiplier, S3_UPLOAD_MAX_CONCURRENCY)
        self.num_upload_workers = max(1, int(s3_max_pool_connections / divisor))

    def upload_assets(
        self,
        job_attachment_settings: JobAttachmentS3Settings,
        manifest: BaseAssetManifest,
        source_root: Path,
        partial_manifest_prefix: Optional[str] = None,
        file_system_location_name: Optional[str] = None,
        progress_tracker: Optional[ProgressTracker] = None,
        s3_check_cache_dir: Optional[str] = None,
        manifest_write_dir: Optional[str] = None,
        manifest_name_suffix: str = "input",
        manifest_metadata: Metadata = {},  # noqa: B006 - the reference's default, never changed
        manifest_file_name: Optional[str] = None,
        asset_root: Optional[Path] = None,
        force_s3_check: Optional[bool] = None,
    ) -> tuple[str, str]:
        """Uploads the files of a manifest, and then the manifest.

        Objects go first, so that a manifest in S3 never names an object that is not there.

        Args:
            job_attachment_settings: The bucket and root prefix.
            manifest: The files. Its paths are left sorted.
            source_root: The root that the manifest's name is made from, and where the files are if
                `asset_root` is not given.
            partial_manifest_prefix: Where the manifest goes, below `<root prefix>/Manifests`. Without it only
                the files are uploaded.
            file_system_location_name: Not used; kept for callers of the reference.
            progress_tracker: Told of files and bytes; may cancel.
            s3_check_cache_dir: The folder of the S3 check cache; `None` for the default one.
            manifest_write_dir: Where a copy of the manifest is written, in a folder `manifests`.
            manifest_name_suffix: How the manifest's name ends: `input` or `output`.
            manifest_metadata: `{"Metadata": {...}}` for the manifest's object.
            manifest_file_name: The manifest's name, instead of one made from the root.
            asset_root: Where the files are, if not at `source_root`.
            force_s3_check: True to ask S3 for every file and neither read nor sample the check cache.

        Returns:
            The manifest's key below `<root prefix>/Manifests`, and the hash of its text.

        Raises:
            AssetSyncError: A file is missing, unreadable, or not what its hash says; others were uploaded.
            AssetSyncCancelledError: The tracker asked to stop.
            JobAttachmentsS3ClientError: S3 refused a request.
        """
        placing = ManifestPlacing(
            partial_manifest_prefix,
            manifest_name_suffix,
            manifest_file_name,
            manifest_write_dir,
            manifest_metadata,
        )
        roots = (source_root, asset_root or source_root)
        cache = (s3_check_cache_dir, force_s3_check)
        return self._start(job_attachment_settings, manifest, roots, placing, progress_tracker, cache).run()

    async def upload_assets_async(
        self,
        job_attachment_settings: JobAttachmentS3Settings,
        manifest: BaseAssetManifest,
        source_root: Path,
        partial_manifest_prefix: Optional[str] = None,
        file_system_location_name: Optional[str] = None,
        progress_tracker: Optional[ProgressTracker] = None,
        s3_check_cache_dir: Optional[str] = None,
        manifest_write_dir: Optional[str] = None,
        manifest_name_suffix: str = "input",
        manifest_metadata: Metadata = {},  # noqa: B006 - never changed
        manifest_file_name: Optional[str] = None,
        asset_root: Optional[Path] = None,
        force_s3_check: Optional[bool] = None,
    ) -> tuple[str, str]:
        """Does what `upload_assets` does, for asyncio programs and Jupyter.

        Arguments, results and errors are those of `upload_assets`. Callbacks run on the event loop's thread.
        """
        placing = ManifestPlacing(
            partial_manifest_prefix,
            manifest_name_suffix,
            manifest_file_name,
            manifest_write_dir,
            manifest_metadata,
        )
        roots = (source_root, asset_root or source_root)
        cache = (s3_check_cache_dir, force_s3_check)
        return await self._start(
            job_attachment_settings, manifest, roots, placing, progress_tracker, cache
        ).run_async()

    def upload_input_files(
        self,
        manifest: BaseAssetManifest,
        s3_bucket: str,
        source_root: Path,
        s3_cas_prefix: str,
        progress_tracker: Optional[ProgressTracker] = None,
        s3_check_cache_dir: Optional[str] = None,
        force_s3_check: Optional[bool] = None,
    ) -> None:
        """Uploads the files of a manifest that S3 does not have yet, and not the manifest.

        Args:
            manifest: The files.
            s3_bucket: The bucket.
            source_root: Where the files are.
            s3_cas_prefix: Where objects go.
            progress_tracker: Told of files and bytes; may cancel.
            s3_check_cache_dir: The folder of the S3 check cache; `None` for the default one.
            force_s3_check: True to ask S3 for every file.

        Raises:
            AssetSyncError: As for `upload_assets`.
            AssetSyncCancelledError: The tracker asked to stop.
        """
        operation = self._begin(
            manifest,
            s3_bucket,
            source_root,
            s3_cas_prefix,
            progress_tracker,
            _cache_dir(s3_check_cache_dir),
            force_s3_check,
            None,
        )
        operation.run()
        report_end(progress_tracker, _CANCELLED)

    def upload_object_to_cas(
        self,
        file: BaseManifestPath,
        hash_algorithm: HashAlgorithm,
        s3_bucket: str,
        source_root: Path,
        s3_cas_prefix: str,
        s3_check_cache: S3CheckCache,
        progress_tracker: Optional[ProgressTracker] = None,
        force_s3_check: Optional[bool] = None,
    ) -> tuple[bool, int]:
        """Uploads one file under the name of its contents, unless it is there.

        Args:
            file: The file, as a manifest has it.
            hash_algorithm: The algorithm of its hash.
            s3_bucket: The bucket.
            source_root: Where the file is.
            s3_cas_prefix: Where objects go.
            s3_check_cache: The cache of objects that are known to be there.
            progress_tracker: Told of bytes; may cancel.
            force_s3_check: True to ask S3 even if the cache has the object.

        Returns:
            Whether it was uploaded, and its size in bytes.
        """
        key = self._generate_s3_upload_key(file, hash_algorithm, s3_cas_prefix)
        cache_key = f"{s3_bucket}/{key}"
        local_path = source_root.joinpath(file.path)
        if force_s3_check is not True and s3_check_cache.get_connection_entry(
            s3_key=cache_key, connection=s3_check_cache.get_local_connection()
        ):
            logger("upload").debug("skipping %s because %s exists in the cache", local_path, cache_key)
            return (False, file.size)
        single = AssetManifest(hash_alg=hash_algorithm, paths=[file], total_size=file.size)
        operation = self._begin(
            single, s3_bucket, source_root, s3_cas_prefix, progress_tracker, None, True, None
        )
        processed, _skipped = operation.run()
        s3_check_cache.put_entry(
            S3CheckCacheEntry(s3_key=cache_key, last_seen_time=self._get_current_timestamp())
        )
        return (processed > 0, file.size)

    def upload_file_to_s3(
        self,
        local_path: Path,
        s3_bucket: str,
        s3_upload_key: str,
        progress_tracker: Optional[ProgressTracker] = None,
        base_dir_path: Optional[Path] = None,
    ) -> None:
        """Uploads one file under any key, over whatever is there. Links are resolved first.

        Args:
            local_path: The file.
            s3_bucket: The bucket.
            s3_upload_key: The key.
            progress_tracker: Told of bytes; may cancel.
            base_dir_path: If given, a file that is not below it, links resolved, is passed over.

        Raises:
            AssetSyncError: The file is missing, a directory, or can't be read.
            AssetSyncCancelledError: The tracker asked to stop.
            JobAttachmentsS3ClientError: S3 refused the request.
        """
        if base_dir_path is not None and not self._is_file_within_directory(local_path, base_dir_path):
            return
        store = self._store()
        place = (s3_bucket, s3_upload_key)
        _native.put_local_file(store, progress_tracker, local_path, place).run()

    def upload_bytes_to_s3(
        self,
        bytes: BytesIO,
        bucket: str,
        key: str,
        progress_handler: Optional[Callable[[int], None]] = None,
        extra_args: Mapping[str, Any] = {},
    ) -> None:
        """Stores bytes under a key.

        Args:
            bytes: The bytes, from the stream's position on.
            bucket: The bucket.
            key: The key.
            progress_handler: Called with the number of bytes once they are stored.
            extra_args: `Metadata` and `ContentType` for the object.

        Raises:
            ValueError: `extra_args` has something else.
            JobAttachmentsS3ClientError: S3 refused the request.
        """
        body = bytes.read()
        document = make_document(key, body, extra_args)
        _native.put_bytes(self._store(), bucket, document).run()
        if progress_handler is not None:
            progress_handler(len(body))

    def file_already_uploaded(self, bucket: str, key: str) -> bool:
        """Asks S3 whether an object is there.

        Args:
            bucket: The bucket.
            key: The key.

        Returns:
            Whether it is there. Only a 404 means that it is not.

        Raises:
            JobAttachmentsS3ClientError: S3 refused the request.
        """
        store = self._store()
        return _native.head_object(store, bucket, key).run() is not None

    def verify_hash_cache_integrity(
        self,
        s3_check_cache_dir: Optional[str],
        manifest: BaseAssetManifest,
        s3_cas_prefix: str,
        s3_bucket: str,
    ) -> bool:
        """Asks S3 for up to 30 of the manifest's objects that the check cache has.

        Args:
            s3_check_cache_dir: The cache's folder; `None` for the default one.
            manifest: The files.
            s3_cas_prefix: Where objects are.
            s3_bucket: The bucket.

        Returns:
            Whether all that were asked for are there.
        """
        store = self._store()
        folder = _cache_dir(s3_check_cache_dir)
        return bool(_native.sample_check_cache(store, manifest, (s3_bucket, s3_cas_prefix), folder).run())

    def reset_s3_check_cache(self, s3_check_cache_dir: Optional[str]) -> None:
        """Forgets all objects that the check cache has.

        Args:
            s3_check_cache_dir: The cache's folder; `None` for the default one.
        """
        with S3CheckCache(s3_check_cache_dir) as cache:
            logger("upload").debug(
                "The s3_check_cache.db file in %s will be deleted, "
                "as a mismatch between the cache and the actual hash in S3 was found",
                s3_check_cache_dir,
            )
            cache.remove_cache()

    def abort_stale_uploads(
        self,
        job_attachment_settings: JobAttachmentS3Settings,
        older_than: Optional[timedelta] = None,
    ) -> list[str]:
        """Drops uploads of large files that were begun and never finished: they cost storage.

        Only uploads to keys that name their contents, below the root prefix, are dropped.

        Args:
            job_attachment_settings: The bucket and root prefix.
            older_than: How long ago S3 has to have got the newest of an upload's parts, or begun it where there are
                none; by default, a day. Others may be under way.

        Returns:
            `s3://bucket/key` of each upload that was dropped.

        Raises:
            JobAttachmentsS3ClientError: S3 refused a request. Listing needs `s3:ListBucketMultipartUploads` and
                `s3:ListMultipartUploadParts`, dropping `s3:AbortMultipartUpload`.
        """
        place = (job_attachment_settings.s3BucketName, job_attachment_settings.full_cas_prefix())
        dropped: list[str] = _native.abort_stale_uploads(self._store(), place, _seconds(older_than)).run()
        return dropped

    def _store(self) -> StoreArguments:
        return store_arguments(self._session, self._max_connections, self.options.checksums)

    def _start(
        self,
        settings: JobAttachmentS3Settings,
        manifest: BaseAssetManifest,
        roots: tuple[Path, Path],
        placing: ManifestPlacing,
        progress_tracker: Optional[ProgressTracker],
        cache: tuple[Optional[str], Optional[bool]],
    ) -> Begun[tuple[str, str]]:
        """Begins `upload_assets`.

        Args:
            settings: The bucket and root prefix.
            manifest: The files.
            roots: The root that the manifest's name is made from, and where the files are.
            placing: Where the manifest goes.
            progress_tracker: Told of files and bytes.
            cache: The folder of the S3 check cache, and whether to ask S3 for every file.
        """
        source_root, asset_root = roots
        prepared = self._prepare(settings, manifest, source_root, placing)

        def finish(_counts: object) -> tuple[str, str]:
            report_end(progress_tracker, _CANCELLED)
            return (prepared.partial_key, prepared.text_hash)

        operation = self._begin(
            manifest,
            settings.s3BucketName,
            asset_root,
            settings.full_cas_prefix(),
            progress_tracker,
            _cache_dir(cache[0]),
            cache[1],
            prepared.document,
        )
        return Begun(operation, finish)

    def _begin(
        self,
        manifest: BaseAssetManifest,
        bucket: str,
        root: Path,
        cas_prefix: str,
        progress_tracker: Optional[ProgressTracker],
        check_cache_dir: Optional[str],
        force_s3_check: Optional[bool],
        document: Optional[_native.DocumentArguments],
    ) -> Operation:
        return _native.upload(
            self._store(),
            progress_tracker,
            {
                "manifest": manifest,
                "root": root,
                "bucket": bucket,
                "cas_prefix": cas_prefix,
                "document": document,
                "check_cache_dir": check_cache_dir,
                "force_check": force_s3_check is True,
                "options": {
                    "small_file_threshold": self.small_file_threshold,
                    "confine_links": self.options.confine_links,
                    "trust_cache_seconds": _seconds(self.options.trust_cache_for),
                    "resume_within_seconds": _seconds(self.options.resume_within),
                    "buffer_bytes": self.options.buffer_bytes,
                },
            },
        )

    def _separate_files_by_size(
        self, files_to_upload: list[BaseManifestPath], size_threshold: int
    ) -> tuple[list[BaseManifestPath], list[BaseManifestPath]]:
        small = [file for file in files_to_upload if file.size <= size_threshold]
        large = [file for file in files_to_upload if file.size > size_threshold]
        return (small, large)

    def _get_current_timestamp(self) -> str:
        return str(datetime.now().timestamp())

    def _generate_s3_upload_key(
        self, file: BaseManifestPath, hash_algorithm: HashAlgorithm, s3_cas_prefix: str
    ) -> str:
        name = f"{file.hash}.{hash_algorithm.value}"
        return _join_s3_paths(s3_cas_prefix, name) if s3_cas_prefix else name

    def _is_file_within_directory(self, file_path: Path, directory_path: Path) -> bool:
        return _is_relative_to(file_path.resolve(), directory_path.resolve())


def _cache_dir(folder: Optional[Union[str, Path]]) -> str:
    """The folder as the native module takes it: empty for the default one."""
    return "" if folder is None else str(folder)


def _seconds(duration: Optional[timedelta]) -> Optional[float]:
    return None if duration is None else duration.total_seconds()
