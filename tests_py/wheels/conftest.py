"""The scripts of `make/` can be imported; `compiled` makes small libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MAKE = Path(__file__).resolve().parents[2] / "make"


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(MAKE))


@pytest.fixture
def compiled(tmp_path: Path):
    """A function that compiles C into a shared library."""

    def build(name: str, source: str, *flags: str) -> Path:
        file, library = tmp_path / f"{name}.c", tmp_path / f"{name}.so"
        file.write_text(source)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, file, *flags], check=True)
        return library

    return build


@pytest.fixture
def fresh_python():
    """A function that runs a script in a process of its own and returns what it printed."""

    def run(script: str, *arguments: object) -> str:
        command = [sys.executable, "-c", script, *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return run
