"""Makes the workloads: files of given sizes, trees and manifests. The same every time."""

from __future__ import annotations

import random
from pathlib import Path

from plan import Workload

_BLOCK_BYTES = 1 << 20


def files(folder: Path, count: int, size: int) -> None:
    """`count` files of `size` bytes, no two alike, a thousand to a folder."""
    block = random.Random(8).randbytes(min(_BLOCK_BYTES, max(size, 1)))
    for number in range(count):
        place = folder / f"folder_{number // 1000:04}"
        place.mkdir(parents=True, exist_ok=True)
        with (place / f"file_{number:07}.bin").open("wb") as file:
            written = 0
            while written < size:
                label = f"{number}.{written}.".encode().ljust(16, b".")
                written += file.write((label + block[16:])[: size - written])


def manifest_text(count: int, changed_every: int = 0, first: int = 0) -> str:
    """A canonical manifest v2023-03-03; each `changed_every`th entry has another hash and size."""
    rows = []
    total = 0
    for number in range(first, first + count):
        changed = changed_every and number % changed_every == 0
        size = 1_000 + number % 977 + (1 if changed else 0)
        total += size
        content = number * 0x9E3779B97F4A7C15 + (1 if changed else 0)
        rows.append(
            f'{{"hash":"{content & (1 << 128) - 1:032x}","mtime":{1_700_000_000_000_000 + number},'
            f'"path":"assets/seq_{number // 10_000:04}/shot_{number // 100 % 100:03}/frame.{number:07}.exr",'
            f'"size":{size}}}'
        )
    paths = ",".join(rows)
    return f'{{"hashAlg":"xxh128","manifestVersion":"2023-03-03","paths":[{paths}],"totalSize":{total}}}'


def generate(workload: Workload, folder: Path, quick: bool) -> None:
    """Makes what the workload needs in the folder."""
    count, size = workload.measures(quick)
    if workload.kind == "files":
        files(folder / "files", count, size)
    elif workload.kind == "tree":
        for number in range(count):
            place = folder / "files" / f"folder_{number // 100:04}"
            if number % 100 == 0:
                place.mkdir(parents=True)
            (place / f"file_{number:07}.txt").write_bytes(f"tiny {number:010}\n".encode())
    elif workload.kind == "manifest":
        folder.mkdir(parents=True)
        (folder / "one.manifest").write_text(manifest_text(count))
        (folder / "two.manifest").write_text(manifest_text(count, changed_every=100))
    else:
        folder.mkdir(parents=True)
        tenth = count // 10
        for number in range(10):
            # Each overlaps the one before by half.
            text = manifest_text(tenth, first=number * tenth // 2)
            (folder / f"{number}.manifest").write_text(text)
