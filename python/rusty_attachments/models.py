"""The data of job attachments: queues, storage profiles, submissions and what the manifest commands return.

All are true dataclasses and enums with the reference's names, fields and defaults
(`deadline.job_attachments.models`). Field names in camel case are those of the Deadline Cloud API.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union
from urllib.parse import urlparse

from ._utils import _float_to_iso_datetime_string, _generate_random_guid, _join_s3_paths
from .asset_manifests.hash_algorithms import hash_data
from .exceptions import MalformedAttachmentSettingError, MissingS3RootPrefixError

if TYPE_CHECKING:
    from . import _native
    from .asset_manifests import BaseAssetManifest, BaseManifestPath, HashAlgorithm

S3_DATA_FOLDER_NAME = "Data"
S3_MANIFEST_FOLDER_NAME = "Manifests"
S3_INPUT_MANIFEST_FOLDER_NAME = "Inputs"


@dataclass
class AssetRootManifest:
    """A manifest and the output directories of one asset root."""

    file_system_location_name: Optional[str] = None
    root_path: str = ""
    asset_manifest: Optional[BaseAssetManifest] = None
    outputs: list[Path] = field(default_factory=list)


@dataclass
class AssetRootGroup:
    """The input files, output directories and referenced paths of one asset root.

    In a group that `prepare_paths_for_upload` has made, each set is made when it is first looked at: a path costs
    several times more as an object than as text.
    """

    file_system_location_name: Optional[str] = None
    root_path: str = ""
    inputs: set[Path] = field(default_factory=set)
    outputs: set[Path] = field(default_factory=set)
    references: set[Path] = field(default_factory=set)

    @classmethod
    def _of_native(
        cls, file_system_location_name: Optional[str], root_path: str, **paths: _native.LocalPaths
    ) -> AssetRootGroup:
        """A group whose `inputs`, `outputs` and `references` are native until they are looked at."""
        group = cls(file_system_location_name, root_path)
        for name in paths:
            delattr(group, name)
        group.__dict__["_native"] = paths
        return group

    if not TYPE_CHECKING:  # else any name would pass for an attribute

        def __getattr__(self, name: str) -> set[Path]:
            """Makes a set that the instance does not have yet."""
            native = self.__dict__.get("_native", {}).get(name)
            if native is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            # Of two threads that come first at the same time, both get the same set.
            return self.__dict__.setdefault(name, set(map(Path, native.strings())))

    def __getstate__(self) -> dict[str, Any]:
        # For copies and pickles: what is native stays here.
        return {each.name: getattr(self, each.name) for each in fields(self)}


def _held_inputs(group: AssetRootGroup) -> Union[set[Path], _native.LocalPaths]:
    """The inputs of a group as they are held. The group may be the reference's: it has the same fields."""
    held = getattr(group, "__dict__", {})
    if "_native" not in held or "inputs" in held:
        return group.inputs
    native: _native.LocalPaths = held["_native"]["inputs"]
    return native


@dataclass
class AssetUploadGroup:
    """All that an upload is prepared from.

    Attributes:
        asset_groups: One group for each asset root.
        known_asset_paths: Paths that need no warning.
        total_input_files: Files in all groups.
        total_input_bytes: Their size in bytes.
    """

    asset_groups: list[AssetRootGroup] = field(default_factory=list)
    known_asset_paths: list[Path] = field(default_factory=list)
    total_input_files: int = 0
    total_input_bytes: int = 0


@dataclass
class ManifestPathGroup:
    """The entries of several manifests under one root, by hash algorithm.

    Attributes:
        total_bytes: The sum of the manifests' totals.
        files_by_hash_alg: Entries in the order in which they were added.
    """

    total_bytes: int = 0
    files_by_hash_alg: dict[HashAlgorithm, list[BaseManifestPath]] = field(default_factory=dict)

    def add_manifest_to_group(self, manifest: BaseAssetManifest) -> None:
        """Appends a manifest's entries. The manifest itself stays as it is."""
        self._append(manifest.hashAlg, manifest.paths)
        self.total_bytes += manifest.totalSize

    def combine_with_group(self, group: ManifestPathGroup) -> None:
        """Appends another group's entries. The other group stays as it is."""
        for hash_alg, paths in group.files_by_hash_alg.items():
            self._append(hash_alg, paths)
        self.total_bytes += group.total_bytes

    def _append(self, hash_alg: HashAlgorithm, paths: list[BaseManifestPath]) -> None:
        known = self.files_by_hash_alg.get(hash_alg)
        if known is None:
            # A copy: a later append must not grow the list of the manifest that came first.
            self.files_by_hash_alg[hash_alg] = paths[:]
        else:
            known.extend(paths)

    def get_all_paths(self) -> list[str]:
        """The paths of all entries, sorted; twice where two algorithms name one path."""
        return sorted(entry.path for entries in self.files_by_hash_alg.values() for entry in entries)


@dataclass
class OutputFile:
    """A file that a task wrote.

    Attributes:
        file_size: In bytes.
        file_hash: The hash of its contents.
        rel_path: Its path below the root.
        full_path: Its path on this machine.
        s3_key: Where its contents are stored.
        in_s3: Whether they are stored already.
        base_dir: The directory that it must lie in, if any.
    """

    file_size: int
    file_hash: str
    rel_path: str
    full_path: str
    s3_key: str
    in_s3: bool
    base_dir: Optional[str]


class StorageProfileOperatingSystemFamily(str, Enum):
    """The operating system of a storage profile; its name in any case is accepted."""

    WINDOWS = "windows"
    LINUX = "linux"
    MACOS = "macos"

    @classmethod
    def _missing_(cls, value: object) -> Optional[StorageProfileOperatingSystemFamily]:
        if not isinstance(value, str):
            return None
        return next((member for member in cls if member.value == value.lower()), None)

    @classmethod
    def get_host_os_family(cls) -> StorageProfileOperatingSystemFamily:
        """The family of this machine.

        Raises:
            NotImplementedError: `sys.platform` is of no known family.
        """
        known = {"win": cls.WINDOWS, "darwin": cls.MACOS, "linux": cls.LINUX}
        for prefix, family in known.items():
            if sys.platform.startswith(prefix):
                return family
        raise NotImplementedError(f"Operating system {sys.platform} is not supported.")


class AssetType(str, Enum):
    """Which assets a command is about."""

    INPUT = "input"
    OUTPUT = "output"
    ALL = "all"


class PathFormat(str, Enum):
    """Whose rules a path follows."""

    WINDOWS = "windows"
    POSIX = "posix"

    @classmethod
    def get_host_path_format(cls) -> PathFormat:
        """The format of this machine, by `sys.platform` at the time of the call.

        Raises:
            NotImplementedError: The platform is not known.
        """
        if sys.platform.startswith("win"):
            return cls.WINDOWS
        if sys.platform.startswith(("darwin", "linux")):
            return cls.POSIX
        raise NotImplementedError(f"Operating system {sys.platform} is not supported.")

    @classmethod
    def get_host_path_format_string(cls) -> str:
        """The value of `get_host_path_format`."""
        return cls.get_host_path_format().value


class JobAttachmentsFileSystem(str, Enum):
    """How a worker gets its inputs: copied before the job runs, or on demand from a virtual file system."""

    COPIED = "COPIED"
    VIRTUAL = "VIRTUAL"


@dataclass
class ManifestProperties:
    """One asset root of a job.

    Attributes:
        rootPath: The path on the submitter's machine that the manifest's paths are relative to.
        rootPathFormat: The format of that path.
        fileSystemLocationName: The LOCAL location of the submitter's storage profile that the root lies in,
            if any.
        inputManifestPath: The input manifest's key without `<rootPrefix>/Manifests/`.
        inputManifestHash: The hash of the input manifest's text.
        outputRelativeDirectories: Where outputs are looked for, relative to the root.
    """

    rootPath: str
    rootPathFormat: PathFormat
    fileSystemLocationName: Optional[str] = None
    inputManifestPath: Optional[str] = None
    inputManifestHash: Optional[str] = None
    outputRelativeDirectories: Optional[list[str]] = None

    def to_dict(self) -> dict[str, Any]:
        """The form that the Deadline Cloud API takes; fields without a value are left out."""
        candidates = {
            "rootPath": self.rootPath,
            "fileSystemLocationName": self.fileSystemLocationName or None,
            "rootPathFormat": self.rootPathFormat.value,
            "inputManifestPath": self.inputManifestPath or None,
            "inputManifestHash": self.inputManifestHash or None,
            "outputRelativeDirectories": self.outputRelativeDirectories or None,
        }
        return {name: value for name, value in candidates.items() if value is not None}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ManifestProperties:
        """The inverse of `to_dict`; unknown fields are ignored.

        Raises:
            KeyError: `rootPath` or `rootPathFormat` is missing.
            ValueError: `rootPathFormat` is none.
        """
        optional = (
            "fileSystemLocationName",
            "inputManifestPath",
            "inputManifestHash",
            "outputRelativeDirectories",
        )
        return cls(
            rootPath=data["rootPath"],
            rootPathFormat=PathFormat(data["rootPathFormat"]),
            **{name: data.get(name) for name in optional},
        )

    def as_output_metadata(self) -> dict[str, dict[str, str]]:
        """The S3 metadata of an output manifest under this root, as `{"Metadata": {…}}`.

        S3 metadata is ASCII. A root with other characters is written as JSON with escapes, under
        `asset-root-json`, which readers prefer, and under `asset-root`, for those that know only this.
        """
        metadata: dict[str, str] = {"asset-root": self.rootPath}
        if not self.rootPath.isascii():
            metadata["asset-root-json"] = metadata["asset-root"] = json.dumps(self.rootPath)
        if self.fileSystemLocationName:
            metadata["file-system-location-name"] = self.fileSystemLocationName
        return {"Metadata": metadata}


@dataclass
class Attachments:
    """The attachments of a job: one entry for each asset root, and how the worker loads them."""

    manifests: list[ManifestProperties] = field(default_factory=list)
    fileSystem: str = JobAttachmentsFileSystem.COPIED.value

    def to_dict(self) -> dict[str, Any]:
        """The form that the Deadline Cloud API takes."""
        return {"manifests": [entry.to_dict() for entry in self.manifests], "fileSystem": self.fileSystem}


@dataclass
class JobAttachmentS3Settings:
    """Where a queue keeps its attachments.

    Prefixes are used as they are: a root prefix that ends with a slash gives keys with two.

    Attributes:
        s3BucketName: The bucket.
        rootPrefix: The prefix that all keys begin with.
    """

    s3BucketName: str
    rootPrefix: str

    @staticmethod
    def from_root_path(root_path: str) -> JobAttachmentS3Settings:
        """From `bucket/prefix`.

        Raises:
            MalformedAttachmentSettingError: There is no slash.
        """
        bucket, slash, prefix = root_path.partition("/")
        if not slash:
            raise MalformedAttachmentSettingError(
                "Invalid root path format, should be s3BucketName/rootPrefix."
            )
        return JobAttachmentS3Settings(bucket, prefix)

    @staticmethod
    def from_s3_root_uri(uri: str) -> JobAttachmentS3Settings:
        """From `s3://bucket/prefix`.

        Raises:
            MalformedAttachmentSettingError: The scheme is another, or the bucket or the prefix is missing.
        """
        parts = urlparse(uri)
        prefix = parts.path[1:]
        if parts.scheme != "s3" or not parts.netloc or not prefix:
            raise MalformedAttachmentSettingError(
                "Invalid root uri format, should be s3://s3BucketName/rootPrefix."
            )
        return JobAttachmentS3Settings(parts.netloc, prefix)

    def to_root_path(self) -> str:
        """`bucket/prefix`."""
        return _join_s3_paths(self.s3BucketName, self.rootPrefix)

    def to_s3_root_uri(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self.to_root_path()}"

    def full_cas_prefix(self) -> str:
        """The prefix of contents: `<rootPrefix>/Data`.

        Raises:
            MissingS3RootPrefixError: There is no root prefix; so do the other full prefixes.
        """
        return self._below_root(S3_DATA_FOLDER_NAME)

    def full_job_output_prefix(self, farm_id: str, queue_id: str, job_id: str) -> str:
        """The prefix of a job's output manifests."""
        return self._below_root(S3_MANIFEST_FOLDER_NAME, farm_id, queue_id, job_id)

    def full_step_output_prefix(self, farm_id: str, queue_id: str, job_id: str, step_id: str) -> str:
        """The prefix of a step's output manifests."""
        return self._below_root(S3_MANIFEST_FOLDER_NAME, farm_id, queue_id, job_id, step_id)

    def full_task_output_prefix(
        self, farm_id: str, queue_id: str, job_id: str, step_id: str, task_id: str
    ) -> str:
        """The prefix of a task's output manifests."""
        return self._below_root(S3_MANIFEST_FOLDER_NAME, farm_id, queue_id, job_id, step_id, task_id)

    def full_output_prefix(
        self, farm_id: str, queue_id: str, job_id: str, step_id: str, task_id: str, session_action_id: str
    ) -> str:
        """The prefix of one session action's output manifests."""
        return self._below_root(
            S3_MANIFEST_FOLDER_NAME, farm_id, queue_id, job_id, step_id, task_id, session_action_id
        )

    @staticmethod
    def partial_session_action_manifest_prefix(
        farm_id: str,
        queue_id: str,
        job_id: str,
        step_id: str,
        task_id: str,
        session_action_id: str,
        time: float,
    ) -> str:
        """Where a task's session action puts its output manifests, below `<rootPrefix>/Manifests`.

        Args:
            farm_id: The farm.
            queue_id: The queue.
            job_id: The job.
            step_id: The step.
            task_id: The task.
            session_action_id: The session action.
            time: Unix time in seconds; the folder's name begins with it, so that folders sort by time.
        """
        folder = f"{_float_to_iso_datetime_string(time)}_{session_action_id}"
        return _join_s3_paths(farm_id, queue_id, job_id, step_id, task_id, folder)

    @staticmethod
    def partial_session_action_manifest_prefix_without_task(
        farm_id: str,
        queue_id: str,
        job_id: str,
        step_id: str,
        session_action_id: str,
        time: float,
    ) -> str:
        """The same for a session action that runs a chunk of several tasks."""
        folder = f"{_float_to_iso_datetime_string(time)}_{session_action_id}"
        return _join_s3_paths(farm_id, queue_id, job_id, step_id, folder)

    def partial_manifest_prefix(self, farm_id: str, queue_id: str) -> str:
        """A new place for input manifests, below `<rootPrefix>/Manifests`."""
        return _join_s3_paths(farm_id, queue_id, S3_INPUT_MANIFEST_FOLDER_NAME, _generate_random_guid())

    def add_root_and_manifest_folder_prefix(self, path: str) -> str:
        """The full key of a manifest whose partial key is given."""
        return self._below_root(S3_MANIFEST_FOLDER_NAME, path)

    def _below_root(self, *parts: str) -> str:
        self._validate_root_prefix()
        return _join_s3_paths(self.rootPrefix, *parts)

    def _validate_root_prefix(self) -> None:
        if not self.rootPrefix:
            raise MissingS3RootPrefixError("Missing S3 root prefix")


@dataclass
class Fleet:
    """A fleet of workers."""

    fleetId: str
    priority: int


@dataclass
class Queue:
    """A queue, with its job attachment settings if it has any."""

    queueId: str
    displayName: str
    farmId: str
    status: str
    defaultBudgetAction: str
    jobAttachmentSettings: Optional[JobAttachmentS3Settings] = None


@dataclass
class Job:
    """What job attachments need of a job."""

    jobId: str
    attachments: Optional[Attachments] = None


class FileSystemLocationType(str, Enum):
    """Whether a location is the same storage on every machine, or has contents of its own on each."""

    SHARED = "SHARED"
    LOCAL = "LOCAL"


@dataclass
class FileSystemLocation:
    """A named place in a storage profile."""

    name: str
    path: str
    type: FileSystemLocationType

    def to_dict(self) -> dict[str, Any]:
        """The form that the Deadline Cloud API takes."""
        return {"name": self.name, "path": self.path, "type": self.type.value}


@dataclass
class StorageProfile:
    """Where the named locations of a farm are on one kind of machine."""

    storageProfileId: str
    displayName: str
    osFamily: StorageProfileOperatingSystemFamily
    fileSystemLocations: list[FileSystemLocation] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The form that the Deadline Cloud API takes."""
        return {
            "storageProfileId": self.storageProfileId,
            "displayName": self.displayName,
            "osFamily": self.osFamily.value,
            "fileSystemLocations": [location.to_dict() for location in self.fileSystemLocations],
        }


class SymlinkPolicy(str, Enum):
    """What becomes of symbolic links; one escapes if what it points to is not listed itself."""

    COLLAPSE_ESCAPING = "COLLAPSE_ESCAPING"
    """Links stay links; those that escape are replaced by what they point to."""
    COLLAPSE_ALL = "COLLAPSE_ALL"
    """All links are replaced by what they point to."""
    EXCLUDE_ESCAPING = "EXCLUDE_ESCAPING"
    """Links stay links; those that escape are left out."""
    EXCLUDE_ALL = "EXCLUDE_ALL"
    """All links are left out."""


class FileConflictResolution(Enum):
    """What a download does with a file that is there already.

    `RESUME` is not in the reference: a file that has the manifest's size and contents is kept, and gets the
    manifest's time; any other is replaced, so that a retry fetches only what is missing.
    """

    NOT_SELECTED = 0
    SKIP = 1
    OVERWRITE = 2
    CREATE_COPY = 3
    RESUME = 4


def default_glob_all() -> list[str]:
    """The patterns that take every file."""
    return ["**/*"]


@dataclass
class GlobConfig:
    """Which files to take, as patterns."""

    include_glob: list[str] = field(default_factory=default_glob_all)
    exclude_glob: list[str] = field(default_factory=list)

    # Without annotations they are names of the class, not fields: the keys of the JSON form.
    INCLUDE = "include"
    EXCLUDE = "exclude"


@dataclass
class ManifestSnapshot:
    """A snapshot: its root, and the manifest file that was written."""

    root: str
    manifest: str


@dataclass
class ManifestDiff:
    """Paths, relative to the root, in which a directory differs from a manifest."""

    new: list[str] = field(default_factory=list)
    modified: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


@dataclass
class ManifestDownload:
    """A downloaded manifest: its root, and the local file."""

    manifest_root: str = ""
    local_manifest_path: str = ""


@dataclass
class ManifestMerge:
    """A merged manifest: its root, and the local file."""

    manifest_root: str = ""
    local_manifest_path: str = ""


@dataclass
class ManifestDownloadResponse:
    """All manifests that a download fetched."""

    downloaded: list[ManifestDownload] = field(default_factory=list)


@dataclass
class PathMappingRule:
    """Paths at or below a source path are mapped to the destination path.

    Attributes:
        source_path_format: `"windows"` or `"posix"`: how `source_path` is read.
        source_path: What is mapped.
        destination_path: What it becomes, a path of this machine.
    """

    source_path_format: str
    source_path: str
    destination_path: str

    def get_hashed_source_path(self, hash_alg: HashAlgorithm) -> str:
        """The hash of the source path's UTF-8, in hexadecimal: manifest files are named after it."""
        return hash_data(self.source_path.encode("utf-8", "surrogatepass"), hash_alg)


class FileStatus(Enum):
    """How a local file compares to a manifest's entry."""

    UNCHANGED = 0
    NEW = 1
    MODIFIED = 2
    DELETED = 3


@dataclass
class UploadManifestInfo:
    """An output manifest that was uploaded.

    Attributes:
        output_manifest_path: Its key without `<rootPrefix>/Manifests/`.
        output_manifest_hash: The hash of its text.
        source_path: The source path of the path mapping rule that led to its root, if one did.
    """

    output_manifest_path: str
    output_manifest_hash: str
    source_path: Optional[str] = None
