"""What is done with whole manifests: merging, comparing, filtering."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Optional

from .. import _native
from ._lazy_list import LazyList
from .base_manifest import BaseAssetManifest, BaseManifestPath
from .versions import ManifestVersion

if TYPE_CHECKING:
    from ..models import FileStatus

__all__ = [
    "Differences",
    "apply_diffs",
    "compare_manifest",
    "compute_diff",
    "convert",
    "filter_manifests",
    "merge_asset_manifests",
    "partition",
    "subtree",
    "with_prefix",
]


class Differences(LazyList["tuple[FileStatus, BaseManifestPath]"]):
    """A list of statuses and entries that is made of native columns as it is touched."""

    __slots__ = ()


def merge_asset_manifests(manifests: Sequence[BaseAssetManifest]) -> Optional[BaseAssetManifest]:
    """Merges manifests; where several have a path, the last one's entry counts, in the place of the first one's.

    Duplicates within one manifest are settled in the same way. Files of version 2023-03-03 whose paths are directories
    in another manifest stay beside these; in version 2025-12-04-beta, of a file and a directory with the same path the
    later manifest's counts.

    Args:
        manifests: The manifests, oldest first.

    Returns:
        `None` for none, the manifest itself for one, else a new one with its total computed anew.

    Raises:
        NotImplementedError: The hash algorithms or the versions differ, or there is a diff among several manifests.
    """
    if not manifests:
        return None
    if len(manifests) == 1:
        return manifests[0]
    hash_alg = manifests[0].hashAlg
    for manifest in manifests:
        if manifest.hashAlg != hash_alg:
            raise NotImplementedError(
                "Merging manifests with different hash algorithms is not supported.  "
                f"{manifest.hashAlg.value} does not match {hash_alg.value}"
            )
    return _native.merge_manifests(list(manifests))


def merge_asset_manifests_by_last_modified(
    manifests_with_last_modified_timestamps: Iterable[tuple[datetime, BaseAssetManifest]],
) -> Optional[BaseAssetManifest]:
    """Merges manifests from the oldest to the newest; those of the same time stay in their order."""
    by_time = sorted(manifests_with_last_modified_timestamps, key=lambda pair: pair[0])
    return merge_asset_manifests([manifest for _, manifest in by_time])


def compare_manifest(
    reference_manifest: BaseAssetManifest, compare_manifest: BaseAssetManifest
) -> list[tuple[FileStatus, BaseManifestPath]]:
    """Compares two manifests by their files' contents; sizes and times don't count.

    Of duplicate paths the last entry counts. Hash algorithms are not compared.

    Args:
        reference_manifest: What was before.
        compare_manifest: What is now.

    Returns:
        The files of `compare_manifest` in its order as new, modified or unchanged, then those that only
        `reference_manifest` has as deleted. Entries that have not been touched are made when the list is.
    """
    compared = _native.compare_manifests(reference_manifest, compare_manifest)
    return compared if isinstance(compared, list) else Differences.over(compared)


def filter_manifests(
    manifests_by_root: Mapping[str, Sequence[BaseAssetManifest]], path_filters: Sequence[str]
) -> dict[str, list[BaseAssetManifest]]:
    """Keeps the files whose full paths match any of the patterns.

    `*` crosses `/`; a pattern that begins with neither `/` nor `*` nor a drive matches anywhere; one that ends in `/`
    takes all below. Totals stay as they are, and of duplicates each is kept or not.

    Args:
        manifests_by_root: Manifests by the root that goes before their paths.
        path_filters: Patterns as `fnmatch` takes them.

    Returns:
        Copies of the manifests with the files that match; without manifests and roots that have none.
    """
    patterns = list(path_filters)
    filtered: dict[str, list[BaseAssetManifest]] = {}
    for root, manifests in manifests_by_root.items():
        kept = [_native.filter_manifest(manifest, root, patterns) for manifest in manifests]
        chosen = [manifest for manifest in kept if manifest is not None]
        if chosen:
            filtered[root] = chosen
    return filtered


def compute_diff(parent: BaseAssetManifest, current: BaseAssetManifest) -> BaseAssetManifest:
    """Computes the diff manifest that leads from one snapshot to another.

    An entry counts as changed if its contents, size, time or execute bit differ. Of duplicate paths the last entry
    counts. A directory that became a file, or the other way, is deleted and added. `totalSize` is that of the entries
    in the diff.

    Args:
        parent: A snapshot of version 2025-12-04-beta; the diff carries its hash.
        current: The snapshot to reach.

    Raises:
        NotImplementedError: One of them is no snapshot of that version, or the hash algorithms differ.
        ManifestDecodeValidationError: `parent` holds what the format refuses.
    """
    return _native.compute_manifest_diff(parent, current)


def apply_diffs(snapshot: BaseAssetManifest, diffs: Sequence[BaseAssetManifest]) -> BaseAssetManifest:
    """Applies diff manifests in order, each to what the one before has made.

    Changed files keep their place, new ones come last. Files below a deleted directory are deleted only by name.
    Deleting what is not there changes nothing.

    Raises:
        NotImplementedError: The first is no snapshot of version 2025-12-04-beta, another is no diff, or the hash
            algorithms differ.
        ManifestDecodeValidationError: A diff is against another manifest, or a path would be a file and a directory.
    """
    return _native.apply_manifest_diffs(snapshot, list(diffs))


def subtree(manifest: BaseAssetManifest, root: str) -> BaseAssetManifest:
    """Takes what is below a directory, with paths relative to it and the total computed anew.

    Raises:
        ValueError: `root` is no relative path.
        NotImplementedError: The manifest is a diff, or a link leads out of the subtree.
    """
    return _native.subtree_manifest(manifest, root)


def with_prefix(manifest: BaseAssetManifest, prefix: str) -> BaseAssetManifest:
    """Puts a directory before all paths and link targets.

    Raises:
        ValueError: `prefix` is no relative path.
        NotImplementedError: The manifest is a diff.
    """
    return _native.prefix_manifest(manifest, prefix)


def partition(
    manifest: BaseAssetManifest, roots: Sequence[str]
) -> tuple[dict[str, BaseAssetManifest], BaseAssetManifest]:
    """Splits a manifest by directories; where they are nested, the innermost takes an entry.

    Args:
        manifest: A snapshot of any version.
        roots: Relative paths.

    Returns:
        A manifest for each root with paths relative to it, and one with what is below none of them.

    Raises:
        ValueError: A root is no relative path.
        NotImplementedError: The manifest is a diff, or a link leads from one part to another.
    """
    parts, rest = _native.partition_manifest(manifest, list(roots))
    return dict(zip(roots, parts)), rest


def convert(manifest: BaseAssetManifest, version: ManifestVersion) -> BaseAssetManifest:
    """Gives the manifest in another version, if nothing is lost by it.

    Raises:
        ManifestDecodeValidationError: Something would be lost; the text names it.
        ValueError: The version is not known.
    """
    return _native.convert_manifest(manifest, version.value)
