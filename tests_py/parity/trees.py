"""Generated trees of files, for tests that run ours and the reference on the same tree."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st

# Few names, so that patterns meet them; with all that a pattern or a manifest could trip over.
USUAL_NAMES = ["a", "b", "ab", "a.txt", "b.exr", ".hidden", ".a", "a b", "é", "\U0001f600", "\ufb33"]
ODD_NAMES = ["[x]", "*", "{a,b}", "caf\udce9", "-", "!", "^", "]", "a]", "..a", "x\ny"]
NAMES = st.sampled_from([*USUAL_NAMES, *ODD_NAMES])
CONTENTS = st.binary(max_size=40)


def trees(depth: int = 3):
    """Directories as dictionaries of names to bytes (files) or dictionaries."""
    return st.recursive(
        st.dictionaries(NAMES, CONTENTS, max_size=4),
        lambda below: st.dictionaries(NAMES, st.one_of(CONTENTS, below), max_size=4),
        max_leaves=depth * 3,
    )


def write_tree(folder, tree) -> None:
    """Writes a generated tree."""
    os.makedirs(folder, exist_ok=True)
    for name, below in tree.items():
        path = os.path.join(folder, name)
        if isinstance(below, dict):
            write_tree(path, below)
        else:
            Path(path).write_bytes(below)


def files_of(tree, prefix: str = "") -> list[str]:
    """The files of a generated tree, relative to it."""
    found = []
    for name, below in tree.items():
        if isinstance(below, dict):
            found += files_of(below, f"{prefix}{name}/")
        else:
            found.append(prefix + name)
    return found


@contextmanager
def temporary_folder():
    """A folder for one example; pytest's own last for a whole test, which has many examples."""
    folder = tempfile.mkdtemp()
    try:
        yield os.path.realpath(folder)
    finally:
        shutil.rmtree(folder)
