"""Manifests of version 2023-03-03: files only, each with one hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ... import _native
from ...exceptions import ManifestDecodeValidationError
from ..base_manifest import BaseAssetManifest, BaseManifestModel, BaseManifestPath
from ..hash_algorithms import HashAlgorithm
from ..versions import ManifestVersion

__all__ = ["DEFAULT_HASH_ALG", "SUPPORTED_HASH_ALGS", "AssetManifest", "ManifestModel", "ManifestPath"]

SUPPORTED_HASH_ALGS: set[HashAlgorithm] = {HashAlgorithm.XXH128}
DEFAULT_HASH_ALG: HashAlgorithm = HashAlgorithm.XXH128


@dataclass(eq=False)
class ManifestPath(BaseManifestPath):
    """A file in a manifest of version 2023-03-03."""

    manifest_version = ManifestVersion.v2023_03_03

    def __init__(self, *, path: str, hash: str, size: int, mtime: int) -> None:
        super().__init__(path=path, hash=hash, size=size, mtime=mtime)


@dataclass(repr=False)
class AssetManifest(BaseAssetManifest):
    """A manifest of version 2023-03-03.

    Attributes:
        totalSize: The sum of the sizes in bytes, as the manifest gives it.
    """

    totalSize: int

    def __init__(self, *, hash_alg: HashAlgorithm, paths: list[BaseManifestPath], total_size: int) -> None:
        if hash_alg not in SUPPORTED_HASH_ALGS:
            raise ManifestDecodeValidationError(
                f"Unsupported hashing algorithm: {hash_alg}. "
                f"Must be one of: {[known.value for known in SUPPORTED_HASH_ALGS]}"
            )
        super().__init__(hash_alg=hash_alg, paths=paths)
        self.totalSize = total_size
        self.manifestVersion = ManifestVersion.v2023_03_03

    @classmethod
    def decode(cls, *, manifest_data: dict[str, Any]) -> AssetManifest:
        """Makes a manifest of a JSON document that `decode.validate_manifest` has found valid.

        Args:
            manifest_data: The document.

        Raises:
            ManifestDecodeValidationError: The hash algorithm is not known.
        """
        try:
            hash_alg = HashAlgorithm(manifest_data["hashAlg"])
        except ValueError:
            raise ManifestDecodeValidationError(
                f"Unsupported hashing algorithm: {manifest_data['hashAlg']}. "
                f"Must be one of: {[known.value for known in SUPPORTED_HASH_ALGS]}"
            ) from None
        paths: list[BaseManifestPath] = [
            ManifestPath(path=entry["path"], hash=entry["hash"], size=entry["size"], mtime=entry["mtime"])
            for entry in manifest_data["paths"]
        ]
        return cls(hash_alg=hash_alg, paths=paths, total_size=manifest_data["totalSize"])

    @classmethod
    def get_default_hash_alg(cls) -> HashAlgorithm:
        """Gives the algorithm to use where none is asked for."""
        return DEFAULT_HASH_ALG

    def encode(self) -> str:
        """Gives the manifest as canonical JSON, and leaves `paths` sorted as it is written.

        Raises:
            TypeError: A field has a type that the format has no place for.
            OverflowError: A number doesn't fit 64 bits.
        """
        return _native.encode_manifest(self)


class ManifestModel(BaseManifestModel):
    """The classes of version 2023-03-03."""

    manifest_version: ManifestVersion = ManifestVersion.v2023_03_03
    AssetManifest: type[AssetManifest] = AssetManifest
    Path: type[ManifestPath] = ManifestPath
