"""The Python of README.md and of the guide has types that checkers accept, as a reader would write it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_readme import DOCUMENTS, REPOSITORY, blocks


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> Path:
    """A folder with a program for each document. Each block is at its own line: errors name the document's."""
    folder = tmp_path_factory.mktemp("programs")
    for document in DOCUMENTS:
        lines = [""] * len(document.read_text(encoding="utf-8").splitlines())
        for line, block in blocks(document):
            for number, text in enumerate(block.splitlines()):
                lines[line - 1 + number] = text
        # Two documents are a README.md.
        name = "_".join(document.relative_to(REPOSITORY).with_suffix("").parts)
        (folder / f"{name}_.py").write_text("\n".join(lines) + "\n")
    return folder


def checked(module: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a checker on a folder."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_mypy_accepts_it(programs, tmp_path):
    ended = checked("mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), ".", folder=programs)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_pyright_accepts_it(programs, tmp_path):
    """As editors run it. basedpyright is pyright as a wheel, which downloads nothing when it is run."""
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(json.dumps({"include": [str(programs)], "typeCheckingMode": "standard"}))
    arguments = ["--project", str(settings), "--pythonpath", sys.executable, "--outputjson"]
    ended = checked("basedpyright", *arguments, folder=programs)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert json.loads(ended.stdout)["summary"]["filesAnalyzed"] == len(DOCUMENTS)
