"""The Python of README.md and of the guide runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs" / "guide").glob("*.md"))]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")

#: The bucket that the documents speak of.
BUCKET = "my-farm-bucket"


def blocks(document: Path) -> list[tuple[int, str]]:
    """The Python blocks with the line they begin at."""
    text = document.read_text(encoding="utf-8")
    return [(text.count("\n", 0, found.start(1)) + 1, found[1]) for found in PYTHON.finditer(text)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_its_python_runs(document, rig, tmp_path, monkeypatch):
    """The blocks of one document are one program, in a folder with a shot in it."""
    rig.create_bucket(BUCKET)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shot_010" / "textures").mkdir(parents=True)
    (tmp_path / "shot_010" / "scene.blend").write_bytes(b"scene" * 1000)
    (tmp_path / "shot_010" / "textures" / "wood.png").write_bytes(b"wood" * 1000)
    names = {"__name__": "__main__"}
    for line, block in blocks(document):
        # With as many empty lines before it, a traceback names the document's line.
        exec(compile("\n" * (line - 1) + block, str(document), "exec"), names)


def test_the_readme_moves_files(rig, tmp_path, monkeypatch, capsys):
    test_its_python_runs(REPOSITORY / "README.md", rig, tmp_path, monkeypatch)
    output = capsys.readouterr().out
    assert "manifest: DeadlineCloud/Manifests/farm-1/queue-1/Inputs/0123/" in output
    assert "2 files, 9000 bytes" in output
    downloaded = tmp_path / "session" / "shot_010"
    assert (downloaded / "textures" / "wood.png").read_bytes() == b"wood" * 1000
    assert (downloaded / "scene.blend").read_bytes() == b"scene" * 1000


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_its_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    assert [link for link in LINK.findall(text) if not (document.parent / link).exists()] == []


def test_the_readme_names_only_targets_that_make_has():
    makefiles = [REPOSITORY / "Makefile", *(REPOSITORY / "make").glob("*.mk")]
    targets = set(re.findall(r"^([\w-]+):", "\n".join(path.read_text() for path in makefiles), re.MULTILINE))
    named = set(
        re.findall(
            r"\bmake ([\w-]+)\b",
            "\n".join(re.findall(r"`[^`]*`|```sh.*?```", (REPOSITORY / "README.md").read_text(), re.DOTALL)),
        )
    )
    assert named
    assert named <= targets
