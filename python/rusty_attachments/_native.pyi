"""The native module. Import its names from `rusty_attachments` and its submodules."""

import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Optional, TypedDict, final
from collections.abc import Sequence
from typing import Any, Optional, Union, final

from ._operation import StoreArguments
from .asset_manifests import BaseAssetManifest

__version__: str

@final
class ManifestTable:
    def __len__(self) -> int: ...
    def element(self, row: int) -> Any: ...
    def elements(self, start: int, stop: int) -> list[Any]: ...

def decode_manifest(text: str, strict: bool) -> BaseAssetManifest: ...
def encode_manifest(manifest: BaseAssetManifest) -> str: ...
def hash_data(data: bytes) -> str: ...
def hash_descriptor(descriptor: int) -> str: ...
def validate_manifest(text: str, version: str) -> Optional[str]: ...

# What functions that begin long calls take. They exist for type checkers only.

class DocumentArguments(TypedDict):
    key: str
    body: bytes
    metadata: dict[str, str]
    content_type: Optional[str]

class UploadArguments(TypedDict):
    manifest: BaseAssetManifest
    root: Path
    bucket: str
    cas_prefix: str
    document: Optional[DocumentArguments]
    check_cache_dir: Optional[str]
    force_check: bool
    small_file_threshold: int
    follow_links: bool

class DownloadArguments(TypedDict):
    bucket: str
    cas_prefix: Optional[str]
    roots: list[tuple[str, BaseAssetManifest]]
    conflict_resolution: str
    verify: str
    fsync: bool
    permissions: Optional[tuple[Optional[int], int, int]]

@final
class Operation:
    def run(self) -> Any: ...
    def step(self) -> bool: ...
    def result(self) -> Any: ...
    def cancel(self) -> None: ...

def wait(operation: Operation) -> Awaitable[None]: ...
def upload(store: StoreArguments, tracker: Optional[Any], request: UploadArguments) -> Operation: ...
def sample_check_cache(
    store: StoreArguments, manifest: BaseAssetManifest, place: tuple[str, str], check_cache_dir: str
) -> Operation: ...
def put_bytes(store: StoreArguments, bucket: str, document: DocumentArguments) -> Operation: ...
def put_local_file(
    store: StoreArguments, tracker: Optional[Any], path: os.PathLike[str], place: tuple[str, str]
) -> Operation: ...
def head_object(store: StoreArguments, bucket: str, key: str) -> Operation: ...
def download_manifests(
    store: StoreArguments, tracker: Optional[Any], request: DownloadArguments
) -> Operation: ...
# Path mapping. Formats are "posix" or "windows"; rules are (format, source path, destination path).

@final
class PathMappingRuleApplier:
    def __new__(cls, rules: list[tuple[str, str, str]], classic: bool) -> PathMappingRuleApplier: ...
    def transform(self, path: str) -> str | None: ...

def generate_path_mapping_rules(
    source: tuple[str, str, list[tuple[str, str]]], destination: tuple[str, str, list[tuple[str, str]]]
) -> list[tuple[str, str, str]]: ...
def unique_directory_name(root_path: str) -> str: ...
def generate_dynamic_path_mapping(
    session_directory: str, roots: list[tuple[str, str, str | None]]
) -> list[tuple[str, str, str]]: ...
def local_destination(
    root_path: str,
    has_location: bool,
    dynamic: list[tuple[str, str, str]],
    by_profile: list[tuple[str, str]],
) -> str: ...
def convert_directory(directory: str, source_format: str, target_format: str) -> str: ...
def path_mapping_rules_from_json(text: str) -> list[tuple[str, str, str]]: ...

# Worker.

@final
class LowTransferRateDetector:
    def __new__(cls, threshold_bytes_per_second: float, maximum_reports: int) -> LowTransferRateDetector: ...
    def observe(
        self, transfer_rate: float, processed_files: int, processed_bytes: Optional[int]
    ) -> bool: ...
    @property
    def low_reports(self) -> int: ...
    @property
    def failure_message(self) -> str: ...

def normalize_worker_properties(text: str) -> str: ...
@final
class CacheConnection:
    @classmethod
    def open(
        cls, file: Union[str, os.PathLike[str]], table_name: str, create_query: str
    ) -> tuple[CacheConnection, Optional[str]]: ...
    def execute(self, sql: str, parameters: Optional[Sequence[Any]] = None) -> CacheRows: ...
    def close(self) -> None: ...

@final
class CacheRows:
    def fetchone(self) -> Optional[tuple[Any, ...]]: ...
    def fetchall(self) -> list[tuple[Any, ...]]: ...
