"""The native module. Import its names from `rusty_attachments` and its submodules."""

import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Optional, TypedDict, final

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
