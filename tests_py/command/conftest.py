"""The program `rusty-attachments`, and a folder to move."""

from __future__ import annotations

from pathlib import Path

import pytest

from command.program import COUNT, DELAY_MS, FILES, Command, built_command, write_tree


@pytest.fixture
def command(tmp_path, monkeypatch) -> Command:
    """The program, in a folder of the test's own."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Command([str(built_command())], tmp_path)


@pytest.fixture
def shot(tmp_path) -> Path:
    return write_tree(tmp_path / "shot_010", FILES)


@pytest.fixture
def place(rig_bucket) -> str:
    """Where a queue's attachments are."""
    return f"s3://{rig_bucket}/DeadlineCloud"


@pytest.fixture
def slow(command, rig, place, tmp_path):
    """A manifest whose files take some seconds to fetch."""
    write_tree(tmp_path / "many", {f"{number:03}.exr": b"%03d" % number * 1000 for number in range(COUNT)})
    manifest = command("push", "many", place, "--json").summary()["manifest"]
    rig.config(delay_ms=DELAY_MS)
    return manifest
