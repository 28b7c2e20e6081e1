"""Finding files by patterns: the same files as the reference's, which are Python's glob's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from deadline.job_attachments import _glob as reference
from deadline.job_attachments.api import manifest as reference_api
from deadline.job_attachments.exceptions import NonValidInputError as ReferenceNonValidInputError
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rusty_attachments import _glob as ours
from rusty_attachments.api import manifest as our_api
from rusty_attachments.exceptions import NonValidInputError
from trees import NAMES, temporary_folder, trees, write_tree

PARTS = st.one_of(
    st.sampled_from(
        [
            "*",
            "**",
            "?",
            "*.txt",
            "a*",
            "*a*",
            ".*",
            "[ab]*",
            "[!a]*",
            "[[]*",
            "[]]",
            "[a-c]",
            "[c-a]",
            "[",
            ".",
        ]
    ),
    st.sampled_from(["***", "**a", "[!]", "[--a]", "[a-]", "[!-]*", "?*", "[^a]*", "*[*]", "", "[a--]"]),
    NAMES,
    st.text("ab*?[]!-^.\\", min_size=1, max_size=6),
)
PATTERNS = st.lists(PARTS, min_size=1, max_size=4).map("/".join).filter(lambda text: not text.startswith("/"))


@settings(max_examples=400, deadline=None)
@given(trees(), st.lists(PATTERNS, min_size=1, max_size=3), st.lists(PATTERNS, max_size=2))
@example({"a": {"b": b"", ".hidden": b""}, ".a": {"b": b""}}, ["**"], [])
@example({"a": {"b": b""}}, ["*/**"], ["**/b/"])
@example({"a": {"b": b""}, "b": b""}, ["../*/a/*", "a/../b"], [])
def test_the_same_files_are_found(tree, include, exclude):
    with temporary_folder() as folder:
        write_tree(f"{folder}/root", tree)
        root = f"{folder}/root"
        expected = sorted(reference._glob_paths(root, include, exclude))
        assert sorted(ours._glob_paths(root, include, exclude)) == expected


@settings(max_examples=100, deadline=None)
@given(trees(), st.lists(PATTERNS, min_size=1, max_size=2), st.data())
def test_links_to_files_and_folders_are_followed_and_dead_ones_are_not_there(tree, include, data):
    with temporary_folder() as folder:
        write_tree(f"{folder}/root", tree)
        write_tree(f"{folder}/outside", {"a": {"b": b"", ".b": b""}, "b": b""})
        names = data.draw(st.lists(NAMES, max_size=3, unique=True))
        for name in names:
            if not os.path.lexists(f"{folder}/root/{name}"):
                target = data.draw(st.sampled_from(["../outside", "../outside/b", "nowhere", "../outside/a"]))
                os.symlink(target, f"{folder}/root/{name}")
        expected = sorted(reference._glob_paths(f"{folder}/root", include))
        assert sorted(ours._glob_paths(f"{folder}/root", include)) == expected


def test_absolute_patterns_and_relative_roots(tmp_path, monkeypatch):
    write_tree(tmp_path / "root", {"a": b"", "b": {"c": b""}})
    write_tree(tmp_path / "elsewhere", {"x": b""})
    monkeypatch.chdir(tmp_path)
    for root in ("root", "./root/", "root/../root", tmp_path / "root"):
        for include in (["**/*", f"{tmp_path}/elsewhere/*"], ["../elsewhere/*"], ["b/c"], ["missing"], [""]):
            for exclude in ([], [f"{tmp_path}/root/a"], [f"{tmp_path}/**"], ["b/../a"]):
                expected = sorted(reference._glob_paths(root, include, exclude))
                assert sorted(ours._glob_paths(root, include, exclude)) == expected, (root, include, exclude)


def test_roots_that_are_files_or_missing_have_no_files(tmp_path):
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "missing"):
        assert ours._glob_paths(str(root)) == reference._glob_paths(str(root)) == []


def test_a_loop_of_links_is_walked_once(tmp_path, caplog):
    write_tree(tmp_path / "root", {"a": {"b": b""}})
    os.symlink("..", tmp_path / "root" / "a" / "up")
    found = ours._glob_paths(str(tmp_path / "root"))
    assert found == [f"{tmp_path}/root/a/b"]
    assert "leads back to a directory above it" in caplog.text
    # The reference goes round until the system has enough.
    assert len(reference._glob_paths(str(tmp_path / "root"))) > 30
    assert ours._glob_paths(str(tmp_path / "root"), ["./../root/**/b"]) == found


def test_a_root_whose_name_looks_like_a_pattern_is_itself(tmp_path):
    write_tree(tmp_path / "shot[1]", {"a": b""})
    assert ours._glob_paths(str(tmp_path / "shot[1]")) == [f"{tmp_path}/shot[1]/a"]
    assert reference._glob_paths(str(tmp_path / "shot[1]")) == []


def test_specials_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_text("")
    assert ours._glob_paths(str(tmp_path)) == reference._glob_paths(str(tmp_path)) == [f"{tmp_path}/file"]


CONFIGS = [
    "",
    "{}",
    '{"include": ["*.txt"]}',
    '{"include": ["*"], "exclude": ["b*"]}',
    '{"exclude": ["**/*.exr"], "other": 1}',
]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("as_file", [False, True])
def test_configurations(tmp_path, config, as_file):
    write_tree(tmp_path / "root", {"a.txt": b"", "b.exr": b"", "sub": {"b.exr": b"", "c.txt": b""}})
    argument = config
    if as_file:
        (tmp_path / "config").write_text(config or "{}")
        argument = str(tmp_path / "config")
    expected = sorted(reference_api._glob_files(str(tmp_path / "root"), include_exclude_config=argument))
    assert sorted(our_api._glob_files(str(tmp_path / "root"), include_exclude_config=argument)) == expected
    assert vars(ours._process_glob_inputs(argument)) == vars(reference._process_glob_inputs(argument))


@pytest.mark.parametrize(
    "bad", ["no json", "[1]", '"text"', "{", "/no/such/file", "x" * 5000, "nul\0", "1", "[" * 100_000]
)
def test_a_configuration_that_is_no_json_object(bad):
    with pytest.raises(ReferenceNonValidInputError) as expected:
        reference._process_glob_inputs(bad)
    with pytest.raises(NonValidInputError) as raised:
        ours._process_glob_inputs(bad)
    assert str(raised.value) == str(expected.value)


def test_include_and_exclude_win_over_the_configuration(tmp_path):
    write_tree(tmp_path, {"a": b"", "b": b""})
    config = json.dumps({"include": ["b"]})
    for include, exclude in ((["a"], None), (None, ["a"]), ([], ["b"]), ([], [])):
        arguments = (str(tmp_path), include, exclude, config)
        assert sorted(our_api._glob_files(*arguments)) == sorted(reference_api._glob_files(*arguments))


@pytest.mark.skipif(not Path("/usr/bin/setpriv").exists(), reason="needs setpriv to become another user")
def test_a_directory_that_cannot_be_read_is_an_error_that_names_it(tmp_path):
    import subprocess
    import sys

    write_tree(tmp_path / "root", {"a": b"", "closed": {"b": b""}})
    tmp_path.chmod(0o755)
    (tmp_path / "root" / "closed").chmod(0o000)
    code = (
        "import sys; from rusty_attachments import _glob\n"
        "try: _glob._glob_paths(sys.argv[1])\n"
        "except PermissionError as error: print(error)\n"
    )
    for folder in [*tmp_path.parents][:-2]:
        folder.chmod(folder.stat().st_mode | 0o055)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", code]
    # The root as such, and one that cannot even be looked at.
    for root in (tmp_path / "root", tmp_path / "root" / "closed" / "below"):
        result = subprocess.run([*command, str(root)], capture_output=True, text=True, check=False)
        assert f"{tmp_path}/root/closed" in result.stdout, result.stderr
