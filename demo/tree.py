"""The tree that the demo takes through S3."""

from __future__ import annotations

import random
import shutil
import sysconfig
from pathlib import Path

#: Enough for a multipart upload and for a download in ranges.
GENERATED_BYTES = 200_000_000
GENERATED_FOLDER = "generated"
_BLOCK_BYTES = 1_000_000
#: Packages that were installed beside the standard library are somebody's, and may be gigabytes.
_LEFT_OUT = shutil.ignore_patterns("site-packages", "dist-packages")


def make_tree(folder: Path) -> None:
    """Copies the standard library, since it may change while Python runs, and adds a large file.

    Args:
        folder: Made by this.
    """
    library = Path(sysconfig.get_path("stdlib"))
    # With times; links become what they point to, as manifests of this version have no links.
    shutil.copytree(library, folder / library.name, ignore=_LEFT_OUT, ignore_dangling_symlinks=True)
    blocks = random.Random(0)
    generated = folder / GENERATED_FOLDER / "simulation cache.0001.bin"
    generated.parent.mkdir()
    with generated.open("wb") as file:
        for _ in range(GENERATED_BYTES // _BLOCK_BYTES):
            file.write(blocks.randbytes(_BLOCK_BYTES))
