"""Groups and permission bits of files that are there: the reference's results and errors."""

from __future__ import annotations

import grp
import os
import stat

import pytest
from deadline.job_attachments import os_file_permission as theirs
from rusty_attachments import os_file_permission as ours
from rusty_attachments.exceptions import PathOutsideDirectoryError

SIDES = pytest.mark.parametrize("side", [ours, theirs], ids=["ours", "theirs"])
GROUP = grp.getgrgid(os.getgid()).gr_name


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "beside").mkdir()
    for name in ("a/b/file", "a/other", "a/left alone"):
        (root / name).write_bytes(b"x")
        (root / name).chmod(0o600)
    for folder in ("", "a", "a/b", "beside"):
        (root / folder).chmod(0o700)
    return root


def modes(root):
    return {
        str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")]
    }


def settings(side, group=GROUP):
    return side.PosixFileSystemPermissionSettings(
        os_user="u", os_group=group, dir_mode=0o030, file_mode=0o040
    )


@SIDES
def test_files_and_the_directories_above_them(side, root):
    files = [str(root / "a" / "b" / "file"), str(root / "a" / "other")]
    side._set_fs_group_for_posix(files, str(root), settings(side))
    assert modes(root) == {
        ".": 0o730,
        "a": 0o730,
        "a/b": 0o730,
        "beside": 0o700,
        "a/b/file": 0o640,
        "a/other": 0o640,
        "a/left alone": 0o600,
    }


@SIDES
def test_a_file_outside_and_a_group_that_is_none(side, root, tmp_path):
    with pytest.raises(Exception, match=r"is not under the root directory") as raised:
        side._set_fs_group_for_posix([str(tmp_path / "x")], str(root), settings(side))
    assert isinstance(raised.value, PathOutsideDirectoryError)
    assert str(raised.value) == f"The provided path '{tmp_path}/x' is not under the root directory: {root}"
    with pytest.raises(LookupError):
        side._set_fs_group_for_posix([str(root / "a" / "other")], str(root), settings(side, "no such group"))


@SIDES
def test_one_file(side, root):
    side._change_permission_for_posix(str(root / "a" / "other"), GROUP, 0o111)
    assert modes(root)["a/other"] == 0o711
    assert modes(root)["a"] == 0o700
    with pytest.raises(FileNotFoundError):
        side._change_permission_for_posix(str(root / "none"), GROUP, 0o111)
    with pytest.raises(LookupError):
        side._change_permission_for_posix(str(root / "a" / "other"), "no such group", 0o111)
