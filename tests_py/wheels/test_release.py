"""What keeps a tree from being released."""

from __future__ import annotations

import hashlib

import pytest

GOOD = """# Changelog

## [Unreleased]

## [1.2.0] - 2030-01-31

### Added

- Something.

## [1.1.0] - 2029-01-01
"""


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "Cargo.toml").write_text('[package]\nname = "rusty-attachments"\nversion = "1.2.0"\n')
    (tmp_path / "Cargo.lock").write_text('[[package]]\nname = "rusty-attachments"\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(GOOD)
    return tmp_path


def test_a_tree_with_everything_is_ready(tree):
    import release

    assert release.faults(tree) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("Cargo.lock", "1.2.0", "1.1.0", "Cargo.lock does not have version 1.2.0"),
        ("CHANGELOG.md", "[1.2.0]", "[1.2.1]", "CHANGELOG.md has no entries for 1.2.0"),
        ("CHANGELOG.md", "- Something.", "", "CHANGELOG.md has no entries for 1.2.0"),
        ("CHANGELOG.md", " - 2030-01-31", "", "CHANGELOG.md has no date"),
        (
            "CHANGELOG.md",
            "[Unreleased]\n",
            "[Unreleased]\n\n- Later.\n",
            "CHANGELOG.md has entries below [Unreleased]",
        ),
    ],
)
def test_what_is_missing_is_named(tree, file, old, new, fault):
    import release

    path = tree / file
    path.write_text(path.read_text().replace(old, new))
    [found] = release.faults(tree)
    assert found.startswith(fault)


def test_checksums_are_as_sha256sum_reads_them(tmp_path):
    import release

    (tmp_path / "a.whl").write_bytes(b"a")
    (tmp_path / "a.tar.gz").write_bytes(b"b")
    (tmp_path / "other").write_bytes(b"c")
    expected = [
        (hashlib.sha256(content).hexdigest(), name) for content, name in ((b"b", "a.tar.gz"), (b"a", "a.whl"))
    ]
    assert release.checksums(tmp_path) == "".join(f"{digest}  {name}\n" for digest, name in expected)
