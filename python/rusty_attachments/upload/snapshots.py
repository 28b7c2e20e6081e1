"""Snapshots: what an upload would put into a bucket, in a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from .. import _native
from .._calls.operation import report_end
from .._utils import _join_s3_paths
from ..asset_manifests import BaseAssetManifest, hash_data
from ..models import S3_MANIFEST_FOLDER_NAME
from ..options import UploadOptions
from ..progress_tracker import ProgressTracker
from .manifest_files import ManifestFiles


class Snapshots(ManifestFiles):
    """Puts files and manifests into a directory laid out like a root prefix in S3.

    Attributes:
        options: What the reference has no argument for.
    """

    options: UploadOptions

    def _snapshot_assets(
        self,
        snapshot_dir: Path,
        manifest: BaseAssetManifest,
        source_root: Path,
        partial_manifest_prefix: Optional[str] = None,
        file_system_location_name: Optional[str] = None,
        progress_tracker: Optional[ProgressTracker] = None,
        manifest_name_suffix: str = "input",
        manifest_file_name: Optional[str] = None,
        asset_root: Optional[Path] = None,
    ) -> tuple[str, str]:
        """Copies the files of a manifest, and then the manifest, into a directory laid out like a root prefix.

        Args:
            snapshot_dir: The directory.
            manifest: The files. Its paths are left sorted.
            source_root: As for `upload_assets`, and so are the other arguments.
            partial_manifest_prefix: Where the manifest goes, below `Manifests`.
            file_system_location_name: Not used; kept for callers of the reference.
            progress_tracker: Told of bytes; may cancel.
            manifest_name_suffix: How the manifest's name ends.
            manifest_file_name: The manifest's name, instead of one made from the root.
            asset_root: Where the files are, if not at `source_root`.

        Returns:
            The manifest's path below `Manifests`, and the hash of its text.
        """
        hash_alg, text, name = self._gather_upload_metadata(
            manifest=manifest, source_root=source_root, manifest_name_suffix=manifest_name_suffix
        )
        name = manifest_file_name or name
        partial_key = _join_s3_paths(partial_manifest_prefix, name) if partial_manifest_prefix else name
        operation = _native.snapshot(
            progress_tracker,
            {
                "manifest": manifest,
                "root": asset_root or source_root,
                "folder": snapshot_dir,
                "document": (f"{S3_MANIFEST_FOLDER_NAME}/{partial_key}", text),
                "confine_links": self.options.confine_links,
            },
        )
        operation.run()
        report_end(progress_tracker, "File snapshot cancelled.")
        return (partial_key, hash_data(text, hash_alg))
