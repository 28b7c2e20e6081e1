"""What is made of a manifest besides its object in S3: its name, a local copy, a note of where it went."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Optional

from .asset_manifests import BaseAssetManifest, HashAlgorithm, hash_data

logger = logging.getLogger("rusty_attachments.upload")


class ManifestFiles:
    """Names manifests after their roots, and writes local copies of them."""

    @staticmethod
    def _gather_upload_metadata(
        manifest: BaseAssetManifest,
        source_root: Path,
        manifest_name_suffix: str,
        file_system_location_name: Optional[str] = None,
    ) -> tuple[HashAlgorithm, bytes, str]:
        """The hash algorithm, the manifest's text, and its name, made from the root's path."""
        hash_alg = manifest.get_default_hash_alg()
        text = manifest.encode().encode("utf-8")
        root_hash = hash_data(_encoded(str(source_root)), hash_alg)
        return (hash_alg, text, f"{root_hash}_{manifest_name_suffix}")

    @staticmethod
    def _get_hashed_file_name_from_root_str(
        manifest: BaseAssetManifest, source_root: str, manifest_name_suffix: str
    ) -> tuple[HashAlgorithm, str]:
        """The hash algorithm, and a manifest's name made from a text that stands for its root."""
        hash_alg = manifest.get_default_hash_alg()
        return (hash_alg, f"{hash_data(_encoded(source_root), hash_alg)}_{manifest_name_suffix}")

    def _write_local_manifest(
        self,
        manifest_write_dir: str,
        manifest_name: str,
        full_manifest_key: str,
        manifest: BaseAssetManifest,
        root_dir_name: Optional[str] = None,
    ) -> None:
        """Writes a manifest, and notes the key that it has in S3."""
        self._write_local_input_manifest(manifest_write_dir, manifest_name, manifest, root_dir_name)
        self._write_local_manifest_s3_mapping(manifest_write_dir, manifest_name, full_manifest_key)

    @staticmethod
    def _write_local_input_manifest(
        manifest_write_dir: str,
        manifest_name: str,
        manifest: BaseAssetManifest,
        root_dir_name: Optional[str] = None,
    ) -> Path:
        """Writes a manifest into the folder `manifests`, or `<root_dir_name>_manifests`."""
        folder = "manifests" if root_dir_name is None else f"{root_dir_name}_manifests"
        path = Path(manifest_write_dir, folder, manifest_name)
        logger.debug("Creating local manifest file: %s", path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(manifest.encode(), encoding="ascii")
        return path

    def _write_local_manifest_s3_mapping(
        self,
        manifest_write_dir: str,
        manifest_name: str,
        full_manifest_key: str,
        manifest_dir_name: Optional[str] = None,
    ) -> None:
        """Appends which key a local manifest has in S3: names would be too long for some file systems."""
        path = Path(manifest_write_dir, manifest_dir_name or "manifests", "manifest_s3_mapping")
        mapping = {"local_file": manifest_name, "s3_key": full_manifest_key}
        with path.open("a") as file:
            file.write(f"{mapping}\n")


def _encoded(root: str) -> bytes:
    """A root's bytes: names that are no UTF-8 hold lone surrogates."""
    return root.encode("utf-8", "surrogatepass")
