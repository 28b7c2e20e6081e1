"""Memory that is held between the measured calls, so that the calls get pages that the machine really has.

A virtual machine whose balloon reports free pages loses them to its host within seconds, and each first touch
afterwards costs 0.4 to 6 s per GiB: several times what is measured. So the memory is touched once and held,
as much as there is, and each call gets some of it back just before it begins.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from plan import GIB, MIB

#: What a measured call gets, beside twice the bytes of its workload: its process, and the server's.
CALL_BYTES = GIB
#: The same for quick runs: taking memory again costs more than their calls.
QUICK_CALL_BYTES = 256 * MIB

_BLOCK_BYTES = 256 * MIB

#: What stays free for everything else.
_LEFT_FREE_BYTES = 3 * GIB


def _available_bytes() -> int:
    with Path("/proc/meminfo").open() as lines:
        line = next(line for line in lines if line.startswith("MemAvailable"))
    return int(line.split()[1]) * 1024


class Ballast:
    """Touched memory.

    Args:
        most_bytes: how much is held at most; nothing for 0.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_blocks = min(most_bytes, _available_bytes() * 85 // 100) // _BLOCK_BYTES
        self._blocks: list[mmap.mmap] = []
        self.take()

    def take(self) -> None:
        """Takes and touches as much as may be held."""
        while len(self._blocks) < self._most_blocks and _available_bytes() > _LEFT_FREE_BYTES:
            block = mmap.mmap(-1, _BLOCK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            block.madvise(mmap.MADV_HUGEPAGE)
            for offset in range(0, _BLOCK_BYTES, mmap.PAGESIZE):
                block[offset] = 1
            self._blocks.append(block)

    def give(self, wanted_bytes: int) -> None:
        """Frees at least so much, for the call that begins now."""
        for _ in range(min(len(self._blocks), -(-wanted_bytes // _BLOCK_BYTES))):
            self._blocks.pop().close()
