"""Files that another process holds a lease on, as file servers do for their clients."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Takes a write lease, says so, and gives it up a while after somebody has asked for the file.
_HOLDER = """
import fcntl, os, signal, sys, time
asked = []
signal.signal(signal.SIGIO, lambda *_: asked.append(True))
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
while not asked:
    time.sleep(0.01)
time.sleep(float(sys.argv[2]))
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
"""


@contextmanager
def lease(path: Path, for_s: float) -> Iterator[None]:
    """Somebody holds a lease on the file, and gives it up so many seconds after he was asked to.

    Raises:
        RuntimeError: Leases can't be had here, or nobody has asked for the file by the end.
    """
    command = [sys.executable, "-c", _HOLDER, str(path), str(for_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            if holder.stdout is None or holder.stdout.readline() != "held\n":
                raise RuntimeError("leases can't be had here")
            yield
            try:
                holder.wait(60)
            except subprocess.TimeoutExpired:
                raise RuntimeError("nobody has asked for the leased file") from None
        finally:
            holder.kill()
