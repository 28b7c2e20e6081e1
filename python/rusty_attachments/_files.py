"""Writing small files so that nobody ever reads half of one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Union

from . import _native


def write_text(
    path: Union[str, os.PathLike[str]], text: str, encoding: str = "utf-8", private: bool = False
) -> None:
    """Writes a text file over what is there: wholly, or not at all.

    A network file system may take what is written and refuse it when the file is closed: the file gets its name
    only after that. What is there and is no regular file, such as a link or a pipe, is written to as it is.

    Args:
        path: The file; its directory has to be there.
        text: What it holds.
        encoding: How.
        private: Whether its owner alone may read it.

    Raises:
        OSError: It can't be written; what was there stays, and nothing else is left.
    """
    target = Path(path)
    if target.is_symlink() or (target.exists() and not target.is_file()):
        target.write_text(text, encoding=encoding)
    else:
        _native.write_file(target, text.encode(encoding), private)
