"""The Python of README.md and of the guide has types that a checker accepts, as a reader would write it."""

from __future__ import annotations

import subprocess
import sys

from test_readme import DOCUMENTS, blocks


def test_its_python_has_types(tmp_path):
    for document in DOCUMENTS:
        # Each block at its own line, so that an error names the document's line.
        lines = [""] * len(document.read_text(encoding="utf-8").splitlines())
        for line, block in blocks(document):
            for number, text in enumerate(block.splitlines()):
                lines[line - 1 + number] = text
        (tmp_path / f"{document.stem}_.py").write_text("\n".join(lines) + "\n")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
