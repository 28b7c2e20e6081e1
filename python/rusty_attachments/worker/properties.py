"""A job's asset roots with the places that they have on a worker, and the file that holds them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional, Union

from .. import _native
from .._files import write_text
from ..models import ManifestProperties, PathFormat, PathMappingRule
from ..path_mapping import convert_directory


class WorkerManifestProperties:
    """An asset root of a job with the places that it has on a worker.

    Its JSON form is that of the worker agent's class of the same name.

    Args:
        manifest_properties: The root as the job has it.
        local_root_path: The root's directory on the worker.
        local_manifest_paths: Manifest files on the worker: the inputs' and those of earlier steps' outputs.
        local_input_manifest_path: The file of the merged input manifest, if the root has inputs.
    """

    def __init__(
        self,
        manifest_properties: ManifestProperties,
        local_root_path: str,
        local_manifest_paths: Optional[list[str]] = None,
        local_input_manifest_path: Optional[str] = None,
    ) -> None:
        self.manifest_properties = manifest_properties
        self.local_root_path = local_root_path
        self.local_manifest_paths = list(local_manifest_paths or ())
        self.local_input_manifest_path = local_input_manifest_path

    @property
    def root_path(self) -> str:
        """The root's path on the submitter's machine."""
        return self.manifest_properties.rootPath

    @property
    def root_path_format(self) -> PathFormat:
        """The format of that path."""
        return self.manifest_properties.rootPathFormat

    @property
    def file_system_location_name(self) -> Optional[str]:
        """The LOCAL location that the root lies in, if any."""
        return self.manifest_properties.fileSystemLocationName

    @property
    def input_manifest_path(self) -> Optional[str]:
        """The input manifest's key without `<rootPrefix>/Manifests/`."""
        return self.manifest_properties.inputManifestPath

    @property
    def input_manifest_hash(self) -> Optional[str]:
        """The hash of the input manifest's text."""
        return self.manifest_properties.inputManifestHash

    @property
    def output_relative_directories(self) -> Optional[list[str]]:
        """Where outputs are looked for, relative to the root, in its format."""
        return self.manifest_properties.outputRelativeDirectories

    def local_output_relative_directories(self) -> Optional[list[str]]:
        """The same in this machine's format.

        Raises:
            ValueError: A directory of the other format has a drive or a root.
        """
        if self.output_relative_directories is None:
            return None
        host = PathFormat.get_host_path_format()
        return [
            convert_directory(directory, self.root_path_format, host)
            for directory in self.output_relative_directories
        ]

    def as_output_metadata(self) -> dict[str, dict[str, str]]:
        """The S3 metadata of an output manifest of this root; see `ManifestProperties.as_output_metadata`."""
        return self.manifest_properties.as_output_metadata()

    def to_path_mapping_rule(self) -> PathMappingRule:
        """The rule that maps the root to the worker's directory."""
        return PathMappingRule(
            source_path_format=self.root_path_format.value,
            source_path=self.root_path,
            destination_path=self.local_root_path,
        )

    def get_hashed_source_path(self) -> str:
        """The hash of the location's name and the root path, which output manifests are named after."""
        text = f"{self.file_system_location_name or ''}{self.root_path}"
        return _native.hash_data(text.encode("utf-8", "surrogatepass"))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "manifestProperties": self.manifest_properties.to_dict(),
            "localManifestPaths": self.local_manifest_paths,
            "localRootPath": self.local_root_path,
            "localInputManifestPath": self.local_input_manifest_path,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> WorkerManifestProperties:
        """From the JSON form; unknown fields are ignored.

        Raises:
            KeyError: A field is missing.
            ValueError: The root's path format is none.
        """
        return cls(
            manifest_properties=ManifestProperties.from_dict(data["manifestProperties"]),
            local_root_path=data["localRootPath"],
            local_manifest_paths=data.get("localManifestPaths"),
            local_input_manifest_path=data.get("localInputManifestPath"),
        )

    def _key(self) -> tuple[object, ...]:
        of_job = self.manifest_properties
        return (
            of_job.rootPath,
            of_job.rootPathFormat.value,
            of_job.fileSystemLocationName,
            of_job.inputManifestPath,
            of_job.inputManifestHash,
            None if of_job.outputRelativeDirectories is None else tuple(of_job.outputRelativeDirectories),
            self.local_root_path,
            tuple(self.local_manifest_paths),
            self.local_input_manifest_path,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WorkerManifestProperties) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"WorkerManifestProperties.from_dict({self.to_dict()!r})"


def read_worker_properties(path: Union[str, os.PathLike[str]]) -> list[WorkerManifestProperties]:
    """Reads a properties file.

    Raises:
        OSError: The file can't be read.
        json.JSONDecodeError: It is no JSON.
        ValueError: It is no list of properties; the message names the entry and the field.
    """
    text = Path(path).read_text(encoding="utf-8")
    return [_of_native(entry) for entry in _native.read_worker_properties(text)]


def _of_native(entry: _native.WorkerProperties) -> WorkerManifestProperties:
    return WorkerManifestProperties(
        manifest_properties=ManifestProperties(
            rootPath=entry["root_path"],
            rootPathFormat=PathFormat(entry["root_path_format"]),
            fileSystemLocationName=entry["file_system_location_name"],
            inputManifestPath=entry["input_manifest_path"],
            inputManifestHash=entry["input_manifest_hash"],
            outputRelativeDirectories=entry["output_relative_directories"],
        ),
        local_root_path=entry["local_root_path"],
        local_manifest_paths=entry["local_manifest_paths"],
        local_input_manifest_path=entry["local_input_manifest_path"],
    )


def write_worker_properties(
    path: Union[str, os.PathLike[str]], properties: Iterable[WorkerManifestProperties]
) -> None:
    """Writes a properties file, which the agent's scripts read too."""
    write_text(path, json.dumps([each.to_dict() for each in properties]))
