"""A file system with the manners of network file systems, object stores and shared folders, for the scorecard.

`python fuse_fs.py BACK MOUNT MANNERS`: what is written below MOUNT lands in the folder BACK. MANNERS is JSON:

- `quota_bytes`: how much of a file there is room for. More is taken at first, as write-back caches do.
- `told_at`: where the lack of room is told of: some of `write`, `flush` (that is `close`) and `fsync`.
- `error`: what is told then, as `errno` names it.
- `refused`: some of `link`, `exclusive rename`, `rename over`, `times`, `modes`; how: `refusal`.

While the file `BACK.lifted` is there, there is room for everything. Needs libfuse 3 and mfusepy, and to be root.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any, Callable

import mfusepy

_STAT = ("st_gid", "st_mode", "st_nlink", "st_size", "st_uid", "st_atime_ns", "st_mtime_ns", "st_ctime_ns")
_STATVFS = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_frsize", "f_namemax")


class FileSystem(mfusepy.Operations):
    """Everything is done below another folder, unless the manners say otherwise."""

    use_ns = True

    def __init__(self, back: str, manners: dict[str, Any]) -> None:
        self.back = back
        self.manners = manners
        self.incomplete: set[int] = set()

    def _path(self, path: str) -> str:
        return self.back + path

    def _do(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except OSError as error:
            raise mfusepy.FuseOSError(error.errno) from None

    def _refuse(self, what: str) -> None:
        if what in self.manners.get("refused", []):
            raise mfusepy.FuseOSError(getattr(errno, self.manners.get("refusal", "EPERM")))

    def _tell(self, where: str, handle: int) -> None:
        if handle in self.incomplete and where in self.manners.get("told_at", []):
            raise mfusepy.FuseOSError(getattr(errno, self.manners["error"]))

    def getattr(self, path: str, fh: Any = None) -> dict[str, Any]:
        stat = self._do(os.lstat, self._path(path))
        found = {name: getattr(stat, name) for name in _STAT}
        return {**found, **{f"st_{kind}time": found[f"st_{kind}time_ns"] for kind in "amc"}}

    def readdir(self, path: str, fh: Any) -> list[str]:
        return [".", "..", *self._do(os.listdir, self._path(path))]

    def readlink(self, path: str) -> Any:
        return self._do(os.readlink, self._path(path))

    def mkdir(self, path: str, mode: int) -> Any:
        return self._do(os.mkdir, self._path(path), mode)

    def rmdir(self, path: str) -> Any:
        return self._do(os.rmdir, self._path(path))

    def unlink(self, path: str) -> Any:
        return self._do(os.unlink, self._path(path))

    def symlink(self, target: str, source: str) -> Any:
        return self._do(os.symlink, source, self._path(target))

    def rename(self, old: str, new: str, flags: int = 0) -> Any:
        if os.path.lexists(self._path(new)):
            self._refuse("rename over")
        return self._do(os.rename, self._path(old), self._path(new))

    def link(self, target: str, source: str) -> Any:
        self._refuse("link")
        return self._do(os.link, self._path(source), self._path(target))

    def create(self, path: str, mode: int, fi: Any = None) -> Any:
        return self._do(os.open, self._path(path), os.O_RDWR | os.O_CREAT, mode)

    def open(self, path: str, flags: int) -> Any:
        return self._do(os.open, self._path(path), flags & ~os.O_CREAT)

    def read(self, path: str, size: int, offset: int, fh: int) -> Any:
        return self._do(os.pread, fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        room = len(data)
        if "quota_bytes" in self.manners and not Path(f"{self.back}.lifted").exists():
            room = min(room, max(0, self.manners["quota_bytes"] - offset))
        if room < len(data):
            self.incomplete.add(fh)
            self._tell("write", fh)
        os.pwrite(fh, data[:room], offset)
        return len(data)

    def flush(self, path: str, fh: int) -> int:
        self._tell("flush", fh)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self._tell("fsync", fh)
        return 0

    def release(self, path: str, fh: int) -> int:
        self.incomplete.discard(fh)
        os.close(fh)
        return 0

    def truncate(self, path: str, length: int, fh: Any = None) -> Any:
        return self._do(os.truncate, self._path(path), length)

    def utimens(self, path: str, times: Any = None) -> Any:
        self._refuse("times")
        return self._do(lambda: os.utime(self._path(path), ns=times))

    def chmod(self, path: str, mode: int) -> Any:
        self._refuse("modes")
        return self._do(os.chmod, self._path(path), mode)

    def chown(self, path: str, uid: int, gid: int) -> Any:
        self._refuse("modes")
        return self._do(os.chown, self._path(path), uid, gid)

    def statfs(self, path: str) -> dict[str, Any]:
        found = os.statvfs(self.back)
        return {name: getattr(found, name) for name in _STATVFS}


class Mounted(mfusepy.FUSE):
    """Sees the flags of a rename, which mfusepy's operations don't."""

    def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> Any:
        if flags and "exclusive rename" in self.operations.manners.get("refused", []):
            return -errno.EINVAL
        if flags and os.path.lexists(self.operations._path(new.decode(self.encoding, self.errors))):
            return -errno.EEXIST
        return super().rename_fuse_3(old, new, flags)


if __name__ == "__main__":
    Mounted(FileSystem(sys.argv[1], json.loads(sys.argv[3])), sys.argv[2], foreground=True, nothreads=True)
