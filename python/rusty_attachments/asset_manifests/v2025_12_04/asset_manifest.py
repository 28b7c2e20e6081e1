"""Manifests of version 2025-12-04-beta: also directories, links, execute bits, chunks and deletions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any, Optional, cast

from ... import _native
from ...exceptions import ManifestDecodeValidationError
from ..base_manifest import BaseAssetManifest, BaseManifestModel, BaseManifestPath
from ..hash_algorithms import HashAlgorithm
from ..versions import ManifestVersion

__all__ = [
    "CHUNK_SIZE_BYTES",
    "DEFAULT_HASH_ALG",
    "SUPPORTED_HASH_ALGS",
    "AssetManifest",
    "ManifestDirectoryPath",
    "ManifestFilePath",
    "ManifestModel",
    "ManifestType",
]

SUPPORTED_HASH_ALGS: set[HashAlgorithm] = {HashAlgorithm.XXH128}
DEFAULT_HASH_ALG: HashAlgorithm = HashAlgorithm.XXH128
CHUNK_SIZE_BYTES = 256 * 1024 * 1024
"""The size of a chunk of a large file."""


class ManifestType(str, Enum):
    """What a manifest describes: a whole tree, or the changes between two."""

    SNAPSHOT = "snapshot"
    DIFF = "diff"


@dataclass(eq=False)
class ManifestFilePath(BaseManifestPath):
    """A file, link or deletion in a manifest of version 2025-12-04-beta.

    Attributes:
        path: Its path below the root.
        hash: The hash of its contents, or `None` for chunks, links and deletions.
        size: Its size in bytes; 0 for links and deletions.
        mtime: When it was modified, in microseconds since the epoch; 0 for links and deletions.
        runnable: Whether it has the execute bit.
        chunkhashes: The hashes of its chunks of 256 MiB, if it is stored in chunks.
        symlink_target: What a link points to, relative to the manifest's root (not to the link).
        deleted: Whether a diff deletes it.
    """

    hash: Optional[str]  # type: ignore[assignment,unused-ignore]
    runnable: bool
    chunkhashes: Optional[list[str]]
    symlink_target: Optional[str]
    deleted: bool

    manifest_version = ManifestVersion.v2025_12_04_beta

    def __init__(
        self,
        *,
        path: str,
        hash: Optional[str] = None,
        size: int = 0,
        mtime: int = 0,
        runnable: bool = False,
        chunkhashes: Optional[list[str]] = None,
        symlink_target: Optional[str] = None,
        deleted: bool = False,
    ) -> None:
        self.path = path
        self.hash = hash
        self.size = size
        self.mtime = mtime
        self.runnable = runnable
        self.chunkhashes = chunkhashes
        self.symlink_target = symlink_target
        self.deleted = deleted

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ManifestFilePath):
            return NotImplemented
        return self._values() == other._values()

    __hash__ = None  # type: ignore[assignment,unused-ignore]

    def _values(self) -> tuple[object, ...]:
        return (
            self.path,
            self.hash,
            self.size,
            self.mtime,
            self.runnable,
            self.chunkhashes,
            self.symlink_target,
            self.deleted,
        )


@dataclass
class ManifestDirectoryPath:
    """A directory in a manifest of version 2025-12-04-beta.

    Attributes:
        path: Its path below the root.
        deleted: Whether a diff deletes it.
    """

    path: str
    deleted: bool = False


@dataclass(repr=False)
class AssetManifest(BaseAssetManifest):
    """A manifest of version 2025-12-04-beta: a snapshot, or a diff if it has a `parentManifestHash`.

    Attributes:
        paths: Its files, links and deletions; `files` is the same list.
        totalSize: The sum of the sizes in bytes, as the manifest gives it.
        dirs: Its directories; empty ones are known only from here.
        parentManifestHash: The hash of the manifest that a diff is against.
    """

    totalSize: int
    dirs: list[ManifestDirectoryPath]
    parentManifestHash: Optional[str]

    def __init__(
        self,
        *,
        hash_alg: HashAlgorithm,
        paths: list[BaseManifestPath],
        total_size: int,
        dirs: Optional[list[ManifestDirectoryPath]] = None,
        parent_manifest_hash: Optional[str] = None,
    ) -> None:
        if hash_alg not in SUPPORTED_HASH_ALGS:
            raise ManifestDecodeValidationError(
                f"Unsupported hashing algorithm: {hash_alg}. "
                f"Must be one of: {[known.value for known in SUPPORTED_HASH_ALGS]}"
            )
        super().__init__(hash_alg=hash_alg, paths=paths)
        self.totalSize = total_size
        self.manifestVersion = ManifestVersion.v2025_12_04_beta
        self.dirs = [] if dirs is None else dirs
        self.parentManifestHash = parent_manifest_hash

    @property
    def files(self) -> list[BaseManifestPath]:
        """The files, links and deletions; the same list as `paths`."""
        return self.paths

    @property
    def manifest_type(self) -> ManifestType:
        """Whether it is a snapshot or a diff."""
        return ManifestType.SNAPSHOT if self.parentManifestHash is None else ManifestType.DIFF

    @classmethod
    def decode(cls, *, manifest_data: dict[str, Any]) -> AssetManifest:
        """Makes a manifest of a JSON document.

        Args:
            manifest_data: The document.

        Raises:
            ManifestDecodeValidationError: It is not valid.
        """
        return cast(AssetManifest, _native.decode_manifest(json.dumps(manifest_data), False))

    @classmethod
    def get_default_hash_alg(cls) -> HashAlgorithm:
        """Gives the algorithm to use where none is asked for."""
        return DEFAULT_HASH_ALG

    def encode(self) -> str:
        """Gives the manifest as canonical JSON, and leaves `paths` sorted as it is written.

        Raises:
            ManifestDecodeValidationError: It holds what the format refuses, and could not be read again.
            TypeError: A field has a type that the format has no place for.
            OverflowError: A number doesn't fit 64 bits.
        """
        return _native.encode_manifest(self)


class ManifestModel(BaseManifestModel):
    """The classes of version 2025-12-04-beta."""

    manifest_version: ManifestVersion = ManifestVersion.v2025_12_04_beta
    AssetManifest: type[AssetManifest] = AssetManifest
    Path: type[ManifestFilePath] = ManifestFilePath
    Directory: type[ManifestDirectoryPath] = ManifestDirectoryPath
