"""The upload halves of the manifest and attachment functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Optional

from .._utils import _get_long_path_compatible_path
from ..exceptions import NonValidInputError
from ..models import S3_MANIFEST_FOLDER_NAME, JobAttachmentS3Settings, PathMappingRule, UploadManifestInfo
from ..upload import S3AssetUploader
from ._path_rules import _process_path_mapping, _rule_for
from ._utils import _read_manifests

_Print = Callable[[Any], None]


def _print_nothing(_message: Any) -> None:
    pass


def _manifest_upload(
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
    uploader = S3AssetUploader(
        session=boto_session, s3_max_pool_connections=50, small_file_threshold_multiplier=20
    )
    uploader.upload_bytes_to_s3(
        bytes=BytesIO(path.read_bytes()),
        bucket=s3_bucket_name,
        key="/".join(parts),
        progress_handler=print_function_callback,
        extra_args={"Metadata": {"file-system-location-name": manifest_file}},
    )


def _attachment_upload(
    manifests: list[str],
    s3_root_uri: str,
    boto3_session: Any,
    root_dirs: Sequence[str] = (),
    path_mapping_rules: Optional[str] = None,
    manifest_path_mapping: Optional[dict[str, str]] = None,
    upload_manifest_path: Optional[str] = None,
    print_function_callback: _Print = _print_nothing,
    s3_check_cache_dir: Optional[str] = None,
    s3_max_pool_connections: int = 50,
    small_file_threshold_multiplier: int = 20,
) -> list[UploadManifestInfo]:
    """Uploads the files of manifests, and the manifests.

    A manifest's root is that of the first rule (or directory) the hash of whose source path occurs in the
    manifest file's name.

    Args:
        manifests: Manifest files.
        s3_root_uri: `s3://bucket/prefix`.
        boto3_session: A boto3 session, or `None`.
        root_dirs: Directories that hold the files; or else
        path_mapping_rules: a JSON file with path mapping rules.
        manifest_path_mapping: Not used; kept for callers of the reference.
        upload_manifest_path: Where manifests go, below `<prefix>/Manifests`. Without it only files are uploaded.
        print_function_callback: Called with a line for each manifest.
        s3_check_cache_dir: The folder of the S3 check cache; `None` for the default one.
        s3_max_pool_connections: The most requests under way at once.
        small_file_threshold_multiplier: Files of up to this many times 8 MiB go many at a time.

    Returns:
        For each manifest its key, its hash and its source path.

    Raises:
        NonValidInputError: A manifest, a directory or the file of rules can't be used, or no rule is for a
            manifest.
        AssetSyncError: A file is missing, unreadable, or not what its hash says.
        JobAttachmentsS3ClientError: S3 refused a request.
    """
    manifest_of_name = _read_manifests(manifest_paths=manifests)
    if bool(path_mapping_rules) == bool(root_dirs):
        raise NonValidInputError("One of path mapping rule and root dir must exist, and not both.")
    rules = _process_path_mapping(path_mapping_rules=path_mapping_rules, root_dirs=root_dirs)
    settings = JobAttachmentS3Settings.from_s3_root_uri(s3_root_uri)
    uploader = S3AssetUploader(
        session=boto3_session,
        s3_max_pool_connections=s3_max_pool_connections,
        small_file_threshold_multiplier=small_file_threshold_multiplier,
    )
    uploaded = []
    for name in (Path(path).name for path in manifests):
        manifest = manifest_of_name[name]
        rule = _rule_for(name, rules, manifest.get_default_hash_alg())
        if rule is None:
            raise NonValidInputError(
                f"No valid root defined for given manifest {name}, "
                "please check input root dirs and path mapping rule."
            )
        key, text_hash = uploader.upload_assets(
            job_attachment_settings=settings,
            manifest=manifest,
            partial_manifest_prefix=upload_manifest_path,
            manifest_file_name=name,
            manifest_metadata={"Metadata": _metadata(rule)},
            source_root=Path(rule.source_path),
            asset_root=Path(rule.destination_path),
            s3_check_cache_dir=s3_check_cache_dir,
        )
        print_function_callback(
            f"Uploaded assets from {rule.destination_path}, "
            f"to {settings.to_s3_root_uri()}/Manifests/{key}, hashed data {text_hash}"
        )
        uploaded.append(UploadManifestInfo(key, text_hash, rule.source_path))
    return uploaded


def _metadata(rule: PathMappingRule) -> dict[str, str]:
    """User metadata has to be ASCII: another path is also there as JSON, which readers prefer."""
    source, as_json = rule.source_path, json.dumps(rule.source_path)
    metadata = {"asset-root": source if source.isascii() else as_json}
    if not source.isascii():
        metadata["asset-root-json"] = as_json
    if rule.source_path_format:
        metadata["file-system-location-name"] = rule.source_path_format
    return metadata
