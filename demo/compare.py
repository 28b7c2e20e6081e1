"""Comparing two trees, without this package's help."""

from __future__ import annotations

from pathlib import Path

_BLOCK_BYTES = 1 << 20


def compare_trees(left: Path, right: Path) -> tuple[int, int, list[str]]:
    """Compares every file byte for byte, and mtime for mtime in microseconds, which is what manifests hold.

    Args:
        left: One tree.
        right: The other.

    Returns:
        The number of files on the left, their bytes, and a line for each difference.
    """
    names, others = _files(left), _files(right)
    mismatches = [f"only in {left}: {name}" for name in sorted(names - others)]
    mismatches += [f"only in {right}: {name}" for name in sorted(others - names)]
    size_bytes = sum((left / name).stat().st_size for name in names)
    for name in sorted(names & others):
        if not _same_bytes(left / name, right / name):
            mismatches.append(f"other contents: {name}")
        if _mtime_micros(left / name) != _mtime_micros(right / name):
            mismatches.append(f"other mtime: {name}")
    return len(names), size_bytes, mismatches


def _files(root: Path) -> set[Path]:
    return {path.relative_to(root) for path in root.rglob("*") if not path.is_dir()}


def _mtime_micros(path: Path) -> int:
    return path.stat().st_mtime_ns // 1000


def _same_bytes(left: Path, right: Path) -> bool:
    with left.open("rb") as first, right.open("rb") as second:
        while True:
            blocks = first.read(_BLOCK_BYTES), second.read(_BLOCK_BYTES)
            if blocks[0] != blocks[1]:
                return False
            if not blocks[0]:
                return True
