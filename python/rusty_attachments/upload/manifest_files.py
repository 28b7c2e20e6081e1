"""What is made of a manifest besides its object in S3: its name, a local copy, a note of where it went."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional

from .. import _native
from .._files import write_text
from .._logs import logger
from .._utils import _join_s3_paths
from ..asset_manifests import BaseAssetManifest, HashAlgorithm, hash_data
from ..models import JobAttachmentS3Settings

Metadata = Mapping[str, Mapping[str, str]]


class ManifestPlacing(NamedTuple):
    """Where a manifest goes besides its files, and under which name: as `upload_assets` says of its arguments."""

    partial_prefix: Optional[str]
    name_suffix: str
    file_name: Optional[str]
    write_dir: Optional[str]
    metadata: Metadata


class ManifestFiles:
    """Names manifests after their roots, and writes local copies of them."""

    def _prepare(
        self,
        settings: JobAttachmentS3Settings,
        manifest: BaseAssetManifest,
        source_root: Path,
        placing: ManifestPlacing,
    ) -> PreparedManifest:
        hash_alg, text, name = self._gather_upload_metadata(
            manifest=manifest, source_root=source_root, manifest_name_suffix=placing.name_suffix
        )
        name = placing.file_name or name
        prefix = placing.partial_prefix
        partial_key = _join_s3_paths(prefix, name) if prefix else name
        full_key = settings.add_root_and_manifest_folder_prefix(partial_key)
        if placing.write_dir:
            self._write_local_manifest(placing.write_dir, name, full_key, manifest)
        document = make_document(full_key, text, placing.metadata) if prefix else None
        return PreparedManifest(partial_key, hash_data(text, hash_alg), document)

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
        logger("upload").debug("Creating local manifest file: %s", path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, manifest.encode(), encoding="ascii")
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


class PreparedManifest:
    """A manifest, ready to be uploaded."""

    __slots__ = ("document", "partial_key", "text_hash")

    def __init__(
        self, partial_key: str, text_hash: str, document: Optional[_native.DocumentArguments]
    ) -> None:
        self.partial_key = partial_key
        self.text_hash = text_hash
        self.document = document


def make_document(key: str, body: bytes, extra_args: Mapping[str, Any]) -> _native.DocumentArguments:
    """An object as the native module takes it; `extra_args` are boto3's, of which it knows two.

    Raises:
        ValueError: `extra_args` has something else.
    """
    unknown = set(extra_args) - {"Metadata", "ContentType"}
    if unknown:
        raise ValueError(f"Only Metadata and ContentType can be given for an object, not {sorted(unknown)}")
    return {
        "key": key,
        "body": body,
        "metadata": dict(extra_args.get("Metadata", {})),
        "content_type": extra_args.get("ContentType"),
    }


def _encoded(root: str) -> bytes:
    """A root's bytes: names that are no UTF-8 hold lone surrogates."""
    return root.encode("utf-8", "surrogatepass")
