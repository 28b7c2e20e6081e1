"""The workloads of the benchmark: what is made, what is done with it, and what ours must reach.

The ratios are those of the performance targets in `docs/performance.md`: reference's wall time by ours, pair
by pair in one run, never absolute times.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

#: Of any transfer, with the default settings.
MAX_TRANSFER_RSS_MB = 150
#: Of decoding and encoding a manifest of a million entries (138 MB of text).
MAX_MANIFEST_RSS_MB = 400


@dataclass(frozen=True)
class Operation:
    """One row of the table.

    Attributes:
        name: what the row says.
        step: the function of `operation.py` that does it.
        target: how many times faster than the reference it must be; `None` for a row that is only told.
        quick_target: the same for the small workloads of `--quick`, where the reference's cost grows faster
            than the workload and the full target can't be asked.
        home: `fresh` (no caches), `keep` (those of the operation before) or `no check cache`.
        fresh_bucket: whether it starts with an empty bucket.
        transfers: whether the limit of a transfer's memory holds.
        max_rss_mb: a limit of its own.
        wants_objects: the bucket must hold all contents afterwards.
    """

    name: str
    step: str
    target: Optional[float]
    quick_target: Optional[float] = None
    home: str = "keep"
    fresh_bucket: bool = False
    transfers: bool = False
    max_rss_mb: Optional[int] = None
    wants_objects: bool = False


@dataclass(frozen=True)
class Workload:
    """Something made once, and the operations on it, in their order.

    Attributes:
        name: for `--workloads`.
        title: what the table says; `{count}` and `{size}` are filled in.
        kind: `files`, `tree`, `manifest` or `manifests`.
        count: files, or entries of a manifest.
        size: bytes of each file.
        quick_count: for `--quick`.
        quick_size: for `--quick`.
        delay_ms: added to each reply of the server.
        in_quick: whether it is among the workloads of `--quick`.
    """

    name: str
    title: str
    kind: str
    count: int
    size: int
    quick_count: int
    quick_size: int
    operations: list[Operation] = field(default_factory=list)
    delay_ms: int = 0
    in_quick: bool = True

    def measures(self, quick: bool) -> tuple[int, int]:
        """Count and size."""
        return (self.quick_count, self.quick_size) if quick else (self.count, self.size)


def _transfers(hash_cold: float, upload: float, download: float) -> list[Operation]:
    return [
        Operation("hash, cold cache", "hash_files", hash_cold, home="fresh"),
        Operation(
            "hash + upload",
            "hash_and_upload",
            upload,
            home="fresh",
            fresh_bucket=True,
            transfers=True,
            wants_objects=True,
        ),
        Operation("download", "download", download, transfers=True),
    ]


_COLD, _UPLOAD, _DOWNLOAD = _transfers(6, 25, 20)


def _manifests_of(name: str, count: int) -> list[Workload]:
    """The manifest operations at another size than that of the targets: to see how times grow."""
    told = [Operation("encode", "encode", None), Operation("decode", "decode", None)]
    told.append(Operation("compare two", "compare", None))
    merged = [Operation("merge", "merge", None)]
    one, ten = "manifest, {count:,} entries", "manifests, 10 × {tenth:,}"
    return [
        Workload(f"manifest-{name}", one, "manifest", count, 0, count, 0, told, in_quick=False),
        Workload(f"merge-{name}", ten, "manifests", count, 0, count, 0, merged, in_quick=False),
    ]


WORKLOADS = [
    Workload(
        "small",
        "small: {count:,} × 4 KiB",
        "files",
        10_000,
        4 * KIB,
        600,
        4 * KIB,
        [
            _COLD,
            Operation("hash, warm cache", "hash_files", 20),
            _UPLOAD,
            Operation("upload again, warm check cache", "upload", 8, transfers=True, wants_objects=True),
            Operation(
                "upload again, no check cache",
                "upload",
                18,
                home="no check cache",
                transfers=True,
                wants_objects=True,
            ),
            _DOWNLOAD,
        ],
    ),
    Workload("medium", "medium: {count:,} × 8 MiB", "files", 200, 8 * MIB, 20, 8 * MIB, _transfers(6, 3, 3)),
    Workload(
        "large", "large: {count} × {size_mib:,} MiB", "files", 1, 2 * GIB, 1, 256 * MIB, _transfers(2, 2, 2.5)
    ),
    Workload(
        "latency",
        "{delay} ms added to each reply, {count:,} × 4 KiB",
        "files",
        1_000,
        4 * KIB,
        150,
        4 * KIB,
        [
            Operation(
                "upload", "upload", 32, home="fresh", fresh_bucket=True, transfers=True, wants_objects=True
            ),
            Operation("download", "download", 20, transfers=True),
        ],
        delay_ms=30,
    ),
    *_manifests_of("10k", 10_000),
    *_manifests_of("100k", 100_000),
    Workload(
        "manifest",
        "manifest, {count:,} entries",
        "manifest",
        1_000_000,
        0,
        50_000,
        0,
        [
            Operation("encode", "encode", 20, max_rss_mb=MAX_MANIFEST_RSS_MB),
            Operation("decode", "decode", 8, max_rss_mb=MAX_MANIFEST_RSS_MB),
            Operation("compare two", "compare", 20),
        ],
    ),
    Workload(
        "merge",
        "manifests, 10 × {tenth:,}",
        "manifests",
        1_000_000,
        0,
        100_000,
        0,
        [Operation("merge", "merge", 10)],
    ),
    Workload(
        "tree",
        "tree of {count:,} tiny files",
        "tree",
        100_000,
        16,
        3_000,
        16,
        [
            Operation("snapshot, cold", "snapshot", 12, home="fresh"),
            Operation("snapshot, warm hash cache", "snapshot", 15),
            # The reference looks each file up in a list: its time grows with the square of the tree.
            Operation("snapshot with diff=, nothing changed", "snapshot_diff", 60, quick_target=15),
        ],
    ),
]
