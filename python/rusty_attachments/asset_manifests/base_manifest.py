"""What manifests of all versions have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ._explore import Explorable
from ._relation import Related
from .hash_algorithms import HashAlgorithm
from .versions import ManifestVersion

__all__ = ["BaseAssetManifest", "BaseManifestModel", "BaseManifestPath"]


@dataclass(eq=False)
class BaseManifestPath(Related, ABC):
    """A file in a manifest.

    Attributes:
        path: Its path below the root, with `/` between components.
        hash: The hash of its contents.
        size: Its size in bytes.
        mtime: When it was modified, in microseconds since the epoch.
        manifest_version: The version of manifests that the class belongs to.
    """

    path: str
    hash: str
    size: int
    mtime: int
    manifest_version: ClassVar[ManifestVersion]

    def __init__(self, *, path: str, hash: str, size: int, mtime: int) -> None:
        self.path = path
        self.hash = hash
        self.size = size
        self.mtime = mtime

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BaseManifestPath):
            return NotImplemented
        return (self.path, self.hash, self.size, self.mtime) == (
            other.path,
            other.hash,
            other.size,
            other.mtime,
        )

    __hash__ = None  # type: ignore[assignment,unused-ignore]


@dataclass(repr=False)
class BaseAssetManifest(Explorable, Related, ABC):
    """A manifest: the files below one root.

    Attributes:
        hashAlg: The algorithm of all its hashes.
        paths: Its files. What a decoder makes behaves as a list and keeps its entries in native columns until they are
            touched.
        totalSize: The sum of the sizes in bytes, as the manifest gives it.
        manifestVersion: The version of its format.
    """

    hashAlg: HashAlgorithm
    paths: list[BaseManifestPath]
    manifestVersion: ManifestVersion
    if TYPE_CHECKING:
        # Each version's class has the field; here it would come before others of theirs.
        totalSize: int

    def __init__(self, *, paths: list[BaseManifestPath], hash_alg: HashAlgorithm) -> None:
        self.paths = paths
        self.hashAlg = hash_alg

    @classmethod
    @abstractmethod
    def get_default_hash_alg(cls) -> HashAlgorithm:
        """Gives the algorithm to use where none is asked for."""

    @classmethod
    @abstractmethod
    def decode(cls, *, manifest_data: dict[str, Any]) -> BaseAssetManifest:
        """Makes a manifest of a JSON document that has been validated."""

    @abstractmethod
    def encode(self) -> str:
        """Gives the manifest as canonical JSON."""

    def __len__(self) -> int:
        return len(self.paths)

    def __bool__(self) -> bool:
        # A manifest without files is a manifest; without this, `len` would make it false.
        return True


class BaseManifestModel:
    """The classes of one version."""

    manifest_version: ManifestVersion = ManifestVersion.UNDEFINED
    AssetManifest: type[BaseAssetManifest]
    Path: type[BaseManifestPath]
