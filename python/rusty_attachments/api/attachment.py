"""Attachments: files of manifests, to S3 and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from .._reference_names import names_of
from ..asset_manifests import BaseAssetManifest, HashAlgorithm
from ..download import download_files_from_manifests
from ..exceptions import NonValidInputError
from ..models import FileConflictResolution, JobAttachmentS3Settings, PathMappingRule, UploadManifestInfo
from ..progress_tracker import DownloadSummaryStatistics
from ..upload import S3AssetUploader
from .manifest_files import read_manifests

__all__ = ["attachment_download", "attachment_upload", "process_path_mapping"]

_Print = Callable[[Any], None]


def _print_nothing(_message: object) -> None:
    """Prints nothing."""


def process_path_mapping(
    path_mapping_rules: Optional[str] = None, root_dirs: Sequence[str] = ()
) -> list[PathMappingRule]:
    """Reads rules.

    Args:
        path_mapping_rules: A JSON file: a list of rules, or an object with `path_mapping_rules`.
        root_dirs: Directories that are their own destinations.

    Returns:
        The file's rules, then one for each directory.

    Raises:
        NonValidInputError: The file or a directory is not there.
        AssertionError: The file holds no list.
        TypeError: A rule has other fields than a rule has.
    """
    rules: list[PathMappingRule] = []
    if path_mapping_rules:
        file = Path(path_mapping_rules)
        if not file.is_file():
            raise NonValidInputError(f"Specified path mapping file {path_mapping_rules} is not valid.")
        data = json.loads(file.read_text(encoding="utf8"))
        if "path_mapping_rules" in data:
            data = data["path_mapping_rules"]
        if not isinstance(data, list):
            raise AssertionError("Path mapping rules have to be a list of dict.")
        rules.extend(PathMappingRule(**rule) for rule in data)
    missing = [root for root in root_dirs if not Path(root).is_dir()]
    if missing:
        raise NonValidInputError(f"Specified root dir {missing} are not valid.")
    rules.extend(PathMappingRule("", root, root) for root in root_dirs)
    return rules


def _rule_for(
    file_name: str, rules: Sequence[PathMappingRule], hash_alg: HashAlgorithm
) -> Optional[PathMappingRule]:
    """The first rule the hash of whose source path occurs in a manifest file's name."""
    return next((rule for rule in rules if rule.get_hashed_source_path(hash_alg) in file_name), None)


def attachment_download(
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
    decoded = read_manifests(manifest_paths=manifests)
    rules = process_path_mapping(path_mapping_rules=path_mapping_rules)
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


def attachment_upload(
    manifests: list[str],
    s3_root_uri: str,
    boto3_session: Any,
    root_dirs: Sequence[str] = (),
    path_mapping_rules: Optional[str] = None,
    manifest_path_mapping: Optional[dict[str, str]] = None,
    upload_manifest_path: Optional[str] = None,
    print_function_callback: _Print = _print_nothing,
    s3_check_cache_dir: Optional[str] = None,
    s3_max_pool_connections: Optional[int] = None,
    small_file_threshold_multiplier: Optional[int] = None,
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
        s3_max_pool_connections: The most requests under way at once; `None` for the default.
        small_file_threshold_multiplier: Files of up to this many times 8 MiB go many at a time; `None` for the default.

    Returns:
        For each manifest its key, its hash and its source path.

    Raises:
        NonValidInputError: A manifest, a directory or the file of rules can't be used, or no rule is for a
            manifest.
        AssetSyncError: A file is missing, unreadable, or not what its hash says.
        JobAttachmentsS3ClientError: S3 refused a request.
    """
    manifest_of_name = read_manifests(manifest_paths=manifests)
    if bool(path_mapping_rules) == bool(root_dirs):
        raise NonValidInputError("One of path mapping rule and root dir must exist, and not both.")
    rules = process_path_mapping(path_mapping_rules=path_mapping_rules, root_dirs=root_dirs)
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


if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
