"""What a directory holds, and both implementations side by side."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path
from typing import Any

from deadline.job_attachments import download as their_download
from deadline.job_attachments import models as their_models
from deadline.job_attachments import os_file_permission as their_permissions
from deadline.job_attachments.asset_manifests.decode import decode_manifest as their_decode
from rusty_attachments import download as our_download
from rusty_attachments import models as our_models
from rusty_attachments import os_file_permission as our_permissions
from rusty_attachments.asset_manifests.decode import decode_manifest as our_decode


@dataclasses.dataclass(frozen=True)
class Side:
    """One implementation."""

    name: str
    download: Any
    models: Any
    permissions: Any
    decode: Any


THEIRS = Side("theirs", their_download, their_models, their_permissions, their_decode)
OURS = Side("ours", our_download, our_models, our_permissions, our_decode)
SIDES = [THEIRS, OURS]


def tree(root: Path) -> dict[str, tuple[Any, ...]]:
    """Everything below a directory: files with bytes, time and mode, directories with mode, links."""
    found: dict[str, tuple[Any, ...]] = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in folders + files:
            path = os.path.join(folder, name)
            shown = os.fsdecode(os.path.relpath(path, os.fsencode(root)))
            status = os.lstat(path)
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISLNK(status.st_mode):
                found[shown] = ("link", os.fsdecode(os.readlink(path)))
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    # In microseconds, rounded: the reference's times go through a float.
                    found[shown] = (
                        "file",
                        file.read(),
                        round(status.st_mtime_ns / 1000),
                        mode,
                        status.st_gid,
                    )
            else:
                found[shown] = ("directory" if stat.S_ISDIR(status.st_mode) else "other", mode, status.st_gid)
    return found


def contents(root: Path) -> dict[str, bytes]:
    """The files below a directory."""
    return {path: row[1] for path, row in tree(root).items() if row[0] == "file"}


def leftovers(root: Path) -> list[str]:
    """Temporary files."""
    return [path for path in tree(root) if ".rusty-attachments-" in path]


def told_statistics(statistics: Any, base: Path) -> dict[str, Any]:
    """Statistics without what depends on time, paths relative to `base`."""
    told = dataclasses.asdict(statistics)
    assert told.pop("total_time") > 0
    rate = told.pop("transfer_rate")
    assert rate == statistics.processed_bytes / statistics.total_time
    told["downloaded_files"] = [os.path.relpath(path, base) for path in told["downloaded_files"]]
    told["file_counts_by_root_directory"] = {
        os.path.relpath(path, base): count for path, count in told["file_counts_by_root_directory"].items()
    }
    return told


def told_error(error: BaseException, base: Path) -> tuple[str, str]:
    """An error's class and words, paths relative to `base`."""
    return type(error).__name__, str(error).replace(str(base), "BASE")
