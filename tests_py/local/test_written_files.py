"""Small files that the Python face writes: wholly, or not at all."""

from __future__ import annotations

import os
import stat
import threading

import pytest
from rusty_attachments import _native
from rusty_attachments._files import write_text
from rusty_attachments.exceptions import PathOutsideDirectoryError


def names(folder):
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("private", [False, True])
def test_a_file_and_its_permissions(tmp_path, private):
    umask = os.umask(0o027)
    try:
        write_text(tmp_path / "state", "first", private=private)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == (0o600 if private else 0o640)
    write_text(str(tmp_path / "state"), "zweiter: \u00fc")
    assert (tmp_path / "state").read_text(encoding="utf-8") == "zweiter: \u00fc"
    assert names(tmp_path) == ["state"]


def test_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text("plain", "text")
    assert names(tmp_path) == ["plain"]


def test_what_was_there_stays_where_the_text_can_not_be_written(tmp_path):
    (tmp_path / "state").write_text("before")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "state", "\u00fc", encoding="ascii")
    with pytest.raises(OSError, match="missing"):
        write_text(tmp_path / "missing" / "state", "text")
    with pytest.raises(IsADirectoryError):
        write_text(tmp_path, "text")
    assert (names(tmp_path), (tmp_path / "state").read_text()) == (["state"], "before")


def test_the_name_is_one_component(tmp_path):
    for odd in (tmp_path / "..", tmp_path / "\0"):
        with pytest.raises((PathOutsideDirectoryError, OSError)):
            _native.write_file(odd, b"", False)
    assert names(tmp_path) == []


def test_links_and_pipes_are_written_through(tmp_path):
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    write_text(tmp_path / "link", "after")
    assert ((tmp_path / "real").read_text(), (tmp_path / "link").is_symlink()) == ("after", True)
    os.mkfifo(tmp_path / "pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_text()))
    reader.start()
    write_text(tmp_path / "pipe", "through")
    reader.join()
    assert got == ["through"]
