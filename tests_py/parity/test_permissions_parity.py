"""Groups and permission bits on downloaded files and the directories above them, as the reference sets them.

Runs without privileges too: the group is one of the process's own, another than its files have where it has several.
"""

from __future__ import annotations

import grp
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from deadline.job_attachments import download as their_download
from deadline.job_attachments import os_file_permission as their_permissions
from rusty_attachments import download as our_download
from rusty_attachments import os_file_permission as our_permissions
from transfers import child_environment

SIDES = {
    "theirs": (their_download, their_permissions),
    "ours": (our_download, our_permissions),
}


def other_group() -> int:
    """A group that new files don't have, where this process may give files to one."""
    if os.geteuid() == 0:
        return next(group.gr_gid for group in grp.getgrall() if group.gr_gid != os.getegid())
    return next((group for group in os.getgroups() if group != os.getegid()), os.getegid())


def tree(base: Path) -> dict[str, tuple[int, int]]:
    """Modes and groups of everything, links not followed."""
    found = {}
    for path in [base, *base.rglob("*")]:
        status = path.lstat()
        found[str(path.relative_to(base))] = (stat.S_IMODE(status.st_mode), status.st_gid)
    return found


def make(base: Path) -> None:
    """Files with and without rights, and what nobody asked for beside them."""
    for path, mode in {
        "above/root/a": 0o600,
        "above/root/one/b": 0o444,
        "above/root/one/two/c": 0o7755,
        "above/root/one/two/not asked for": 0o600,
        "above/root/other/d": 0o640,
    }.items():
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_bytes(b"x")
        (base / path).chmod(mode)
    for path, mode in {"above": 0o700, "above/root": 0o750, "above/root/one": 0o500}.items():
        (base / path).chmod(mode)
    (base / "outside").write_bytes(b"x")
    (base / "outside").chmod(0o600)


ASKED = ["a", "one/b", "one/two/c"]


def told(tmp_path, name, paths=ASKED, root="above/root", arrange=make, group=None, modes=(0o031, 0o604)):
    download, permissions = SIDES[name]
    base = tmp_path / name
    base.mkdir()
    arrange(base)
    settings = permissions.PosixFileSystemPermissionSettings(
        os_user="nobody",
        os_group=grp.getgrgid(other_group()).gr_name if group is None else group,
        dir_mode=modes[0],
        file_mode=modes[1],
    )
    error = None
    try:
        download._set_fs_group([str(base / root / path) for path in paths], str(base / root), settings)
    except Exception as caught:
        error = (type(caught).__name__, str(caught).replace(str(base), "BASE"))
    return error, tree(base)


def both(tmp_path, **options):
    theirs, ours = (told(tmp_path, name, **options) for name in SIDES)
    assert ours == theirs
    return ours


@pytest.mark.parametrize("modes", [(0o031, 0o604), (0, 0), (0o777, 0o777), (0o2070, 0o060), (0o1020, 0o4020)])
def test_bits_are_added_to_files_and_to_each_directory_from_the_root_down(tmp_path, modes):
    error, found = both(tmp_path, modes=modes)
    assert error is None
    group, own = other_group(), (tmp_path / "ours").stat().st_gid
    asked = {"above/root", "above/root/one", "above/root/one/two"}
    asked |= {f"above/root/{path}" for path in ASKED}
    assert {path for path, (_, gid) in found.items() if gid == group} == (
        asked if group != own else set(found)
    )
    assert found["above"][0] == 0o700
    assert found["above/root/other/d"][0] == 0o640
    # The system drops these two of a file's bits where its group changes.
    assert found["above/root/one/b"][0] & ~0o6000 == (0o444 | modes[1]) & ~0o6000
    assert found["above/root/one"][0] & 0o1777 == (0o500 | modes[0]) & 0o1777


def test_no_files_and_the_same_file_twice(tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "twice").mkdir()
    error, found = both(tmp_path / "none", paths=[])
    assert error is None
    assert found["above/root/a"][0] == 0o600
    assert both(tmp_path / "twice", paths=["a", "a"])[0] is None


def test_links(tmp_path):
    def arrange(base):
        make(base)
        (base / "above/root/link").symlink_to("one/b")
        (base / "above/root/folder").symlink_to("one")

    error, found = both(tmp_path, paths=["link", "folder/two/c"], arrange=arrange)
    assert error is None
    assert found["above/root/one/b"][0] & 0o604 == 0o604


def test_a_root_that_is_a_link(tmp_path):
    def arrange(base):
        make(base)
        (base / "link").symlink_to("above/root")

    error, found = both(tmp_path, root="link", arrange=arrange)
    assert error is None
    assert found["above/root/a"][0] == 0o604


@pytest.mark.parametrize("path", ["../../outside", "/outside", "one/../../../outside"])
def test_files_outside_the_root(tmp_path, path):
    # The last of the paths is outside: nothing may be changed there.
    theirs, ours = (told(tmp_path, name, paths=[path]) for name in SIDES)
    assert theirs[0][0] == ours[0][0] == "PathOutsideDirectoryError"
    assert ours[0][1].startswith(theirs[0][1]) or theirs[0][1] == ours[0][1]
    for _, found in (theirs, ours):
        assert found["outside"] == (0o600, (tmp_path / "ours").stat().st_gid)
    assert ours[1] == theirs[1]


def test_files_that_are_not_there_and_unknown_groups(tmp_path):
    for number, options in enumerate([{"paths": ["none"]}, {"group": "no-such-group"}]):
        (tmp_path / str(number)).mkdir()
        theirs, ours = (told(tmp_path / str(number), name, **options) for name in SIDES)
        assert ours[0][0] == theirs[0][0]
    assert ours[0] == theirs[0] == ("LookupError", "no such group: 'no-such-group'")


@pytest.mark.parametrize("settings", [None, 3, "posix"])
def test_settings_of_another_type(tmp_path, settings):
    for download, _ in SIDES.values():
        with pytest.raises(TypeError, match="must be specific to Posix-based system"):
            download._set_fs_group([str(tmp_path / "a")], str(tmp_path), settings)


WITHOUT_PRIVILEGES = """
import os, sys, tempfile
from pathlib import Path
from parity import test_permissions_parity as tests

user, group = int(sys.argv[1]), int(sys.argv[2])
# Looked up once while the interpreter's folders can still be read.
tests.our_permissions.PosixFileSystemPermissionSettings("nobody", "root", 0, 0)
os.setgroups([user, group])
os.setgid(user)
os.setuid(user)
assert tests.other_group() == group
with tempfile.TemporaryDirectory(dir=sys.argv[3]) as folder:
    def fresh():
        return Path(tempfile.mkdtemp(dir=folder))

    for modes in [(0o031, 0o604), (0, 0), (0o777, 0o777), (0o1020, 0o4020)]:
        tests.test_bits_are_added_to_files_and_to_each_directory_from_the_root_down(fresh(), modes)
    tests.test_no_files_and_the_same_file_twice(fresh())
    tests.test_links(fresh())
    tests.test_a_root_that_is_a_link(fresh())
    # A group that this user is not in.
    error, found = tests.told(fresh(), "ours", group="root")
    assert error[0] == "PermissionError", error
    assert "above/root/a" in error[1], error
    assert found == tests.told(fresh(), "theirs", group="root")[1]
print("all of it")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="does as another user what the rest does as root")
def test_the_same_without_privileges():
    folder = Path(tempfile.mkdtemp())
    user = 65_534
    os.chown(folder, user, user)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", WITHOUT_PRIVILEGES, str(user), str(other_group()), str(folder)],
            capture_output=True,
            text=True,
            env={**child_environment(), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert ended.stdout == "all of it\n", ended.stdout + ended.stderr
    finally:
        shutil.rmtree(folder)
