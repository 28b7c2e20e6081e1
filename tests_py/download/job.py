"""Jobs as S3 has them: contents, input manifests, output manifests, made without either implementation."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Optional

import xxhash
from rig.server import RigServer

PREFIX = "root prefix"
FARM, QUEUE, JOB = "farm-1", "queue-1", "job-1"
IDS = (FARM, QUEUE, JOB)
MTIME_MICROS = 1_700_000_000_123_456


def xxh128(body: bytes) -> str:
    return xxhash.xxh3_128_hexdigest(body)


def entry(path: str, body: bytes, mtime: int = MTIME_MICROS) -> dict[str, Any]:
    return {"path": path, "hash": xxh128(body), "size": len(body), "mtime": mtime}


def manifest_text(entries: list[dict[str, Any]]) -> str:
    """A manifest of version 2023-03-03; the entries stay in their order."""
    return json.dumps(
        {
            "hashAlg": "xxh128",
            "manifestVersion": "2023-03-03",
            "paths": entries,
            "totalSize": sum(row["size"] for row in entries),
        },
        separators=(",", ":"),
        sort_keys=True,
    )


@dataclass
class JobInS3:
    """Puts things where uploaders put them."""

    rig: RigServer
    bucket: str
    contents: dict[str, bytes] = field(default_factory=dict)

    def data(self, body: bytes, suffix: str = ".xxh128") -> str:
        """Stores contents; the key."""
        key = f"{PREFIX}/Data/{xxh128(body)}{suffix}"
        self.rig.put(self.bucket, key, body)
        self.contents[xxh128(body)] = body
        return key

    def manifest(self, files: dict[str, bytes]) -> str:
        """Stores the contents of files; the text of their manifest."""
        for body in files.values():
            self.data(body)
        return manifest_text([entry(path, body) for path, body in files.items()])

    def input(self, name: str, files: dict[str, bytes]) -> str:
        """An input manifest; its partial key."""
        partial = f"{FARM}/{QUEUE}/Inputs/0123456789abcdef0123456789abcdef/{name}_input"
        self.rig.put(self.bucket, f"{PREFIX}/Manifests/{partial}", self.manifest(files).encode())
        return partial

    def output(
        self,
        folder: str,
        files: dict[str, bytes],
        root: Optional[str] = "/root",
        name: str = "a",
        headers: Optional[dict[str, str]] = None,
    ) -> str:
        """An output manifest in a folder below the job's; its key."""
        key = f"{PREFIX}/Manifests/{FARM}/{QUEUE}/{JOB}/{folder}/{name}_output"
        metadata = dict(headers or {})
        if root is not None:
            metadata["x-amz-meta-asset-root"] = root
        self.rig.put(self.bucket, key, self.manifest(files).encode(), metadata)
        return key
