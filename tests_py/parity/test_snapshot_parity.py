"""Snapshots and differences of generated trees: manifests, lines and cache rows are the reference's."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from deadline.job_attachments import _diff as reference_diff
from deadline.job_attachments.api import manifest as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from rusty_attachments import _diff as our_diff
from rusty_attachments.api import manifest as ours
from trees import CONTENTS, files_of, temporary_folder, trees, write_tree

OLD = 1_600_000_000_123_456_789
"""A modification time long ago, in nanoseconds."""

SIDES = {"ours": ours, "reference": reference}


def without_time(line) -> str:
    """A printed line without what differs from run to run."""
    line = re.sub(r"-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.manifest", "-TIME.manifest", str(line))
    line = re.sub(r"Total processing time of .*", "Total processing time of TIME", line)
    return re.sub(r"/(ours|reference)(?=/|-)", "/SIDE", line)


def rows(folder) -> set:
    """The reference's table in a cache."""
    with closing(sqlite3.connect(f"{folder}/hash_cache.db")) as connection:
        return set(connection.execute("SELECT * FROM hashesV4"))


def snapshot(side, folder, **arguments):
    """Runs a snapshot; returns the result, the manifest's text and the printed lines (as a multiset)."""
    printed = []
    result = SIDES[side]._manifest_snapshot(
        root=f"{folder}/root",
        destination=f"{folder}/{side}",
        name=arguments.pop("name", "snap"),
        hash_cache_dir=f"{folder}/{side}-{arguments.pop('cache', 'cache')}",
        print_function_callback=printed.append,
        **arguments,
    )
    text = None if result is None else Path(result.manifest).read_text()
    return result, text, [without_time(line) for line in printed]


def both(folder, **arguments):
    """Runs a snapshot with both sides, and compares all that there is to compare."""
    our_result, our_text, our_lines = snapshot("ours", folder, **dict(arguments))
    result, text, lines = snapshot("reference", folder, **dict(arguments))
    assert our_text == text
    # The reference lists files in the order of a set.
    assert sorted(our_lines) == sorted(lines)
    assert our_lines[-1:] == lines[-1:]
    if result is None:
        assert our_result is None
        assert not os.path.exists(f"{folder}/ours") or arguments.get("diff")
    else:
        assert our_result.root == result.root
        assert without_time(our_result.manifest) == without_time(result.manifest)
    if os.path.exists(f"{folder}/reference-cache/hash_cache.db"):
        assert rows(f"{folder}/ours-cache") == rows(f"{folder}/reference-cache")
    return our_result


@settings(max_examples=40, deadline=None)
@given(
    trees(),
    st.sampled_from([None, ["**/*.txt"], ["**/*"], ["a/**"]]),
    st.sampled_from([None, ["b*"], ["**/*.exr"]]),
)
def test_manifests_lines_and_cache_rows_are_the_same(tree, include, exclude):
    with temporary_folder() as folder:
        write_tree(f"{folder}/root", tree)
        both(folder, include=include, exclude=exclude)
        # Once more, from the cache.
        both(folder, include=include, exclude=exclude)


@st.composite
def changes(draw):
    """What happens to a tree after its first snapshot."""
    return {
        "new": draw(trees(1)),
        "edit": draw(st.lists(st.tuples(st.integers(0, 20), CONTENTS), max_size=3)),
        "touch": draw(
            st.lists(
                st.tuples(st.integers(0, 20), st.sampled_from([0, 1, 999, 1000, 1001, 2000, 10**9])),
                max_size=3,
            )
        ),
        "delete": draw(st.lists(st.integers(0, 20), max_size=2)),
    }


def apply_changes(root, tree, change):
    files = [file for file in files_of(tree) if os.path.exists(f"{root}/{file}")]
    for file in files:
        os.utime(f"{root}/{file}", ns=(OLD, OLD))
    return files


@settings(max_examples=40, deadline=None)
@given(trees(), changes(), st.booleans())
def test_differences_are_the_same(tree, change, force_rehash):
    with temporary_folder() as folder:
        root = f"{folder}/root"
        write_tree(root, tree)
        files = apply_changes(root, tree, change)
        first = both(folder)
        if first is None:
            return
        for name, below in change["new"].items():
            if not os.path.lexists(f"{root}/{name}"):
                write_tree(root, {name: below})
        for index, contents in change["edit"]:
            Path(root, files[index % len(files)]).write_bytes(contents)
        for index, later in change["touch"]:
            file = f"{root}/{files[index % len(files)]}"
            os.utime(file, ns=(OLD + later, OLD + later))
        for index in change["delete"]:
            Path(root, files[index % len(files)]).unlink(missing_ok=True)

        if not force_rehash:
            # A cache of this run's own: the reference's would hide edits that keep the time.
            both(folder, diff=first.manifest, name="diff", cache="second-cache")
        lines = {}
        found = {}
        for side, module in SIDES.items():
            printed = []
            difference = module._manifest_diff(
                manifest=first.manifest,
                root=root,
                force_rehash=force_rehash,
                print_function_callback=printed.append,
                cache_dir=f"{folder}/{side}-diff-cache",
            )
            lines[side] = sorted(printed)
            found[side] = tuple(
                sorted(paths) for paths in (difference.new, difference.modified, difference.deleted)
            )
        assert found["ours"] == found["reference"]
        assert lines["ours"] == lines["reference"]


@settings(max_examples=40, deadline=None)
@given(
    trees(),
    st.lists(
        st.tuples(st.text("ab./\u00e9", min_size=1, max_size=5), st.integers(0, 3), st.integers(-3, 3)),
        max_size=5,
    ),
)
def test_file_lists_against_any_manifest(tree, entries):
    """Entries need no normal form, and may be there twice."""
    from deadline.job_attachments.asset_manifests.v2023_03_03.asset_manifest import (
        AssetManifest,
        ManifestPath,
    )

    with temporary_folder() as folder:
        write_tree(f"{folder}/root", tree)
        files = files_of(tree)
        for file in files:
            os.utime(f"{folder}/root/{file}", ns=(OLD, OLD))
        known = [
            ManifestPath(
                path=file,
                hash="a",
                size=os.path.getsize(f"{folder}/root/{file}") + entries[0][1],
                mtime=OLD // 1000,
            )
            for file in files[:1]
            if entries
        ]
        manifest = AssetManifest(
            hash_alg="xxh128",
            total_size=0,
            paths=known
            + [
                ManifestPath(path=path, hash="a", size=size, mtime=OLD // 1000 + off)
                for path, size, off in entries
            ],
        )
        current = [f"{folder}/root/{file}" for file in files]
        for relative in (True, False):
            results = {}
            for side, module in (("ours", our_diff), ("reference", reference_diff)):
                printed = []
                found = module._fast_file_list_to_manifest_diff(
                    f"{folder}/root", current, manifest, printed.append, relative
                )
                results[side] = (sorted((path, status.name) for path, status in found), sorted(printed))
            assert results["ours"] == results["reference"]


def test_a_link_is_listed_under_its_own_name(tmp_path):
    write_tree(tmp_path / "root", {"a": {"file": b"in"}})
    write_tree(tmp_path / "outside", {"x": b"outside", "sub": {"y": b"below"}})
    os.symlink("../outside/x", tmp_path / "root" / "link")
    os.symlink("../outside/sub", tmp_path / "root" / "folder")
    os.symlink("nowhere", tmp_path / "root" / "dead")
    both(tmp_path)
    both(tmp_path)


@pytest.mark.parametrize("name", ["", "given", "_given", "a/b"])
def test_names_of_manifests(tmp_path, name, monkeypatch):
    write_tree(tmp_path / "root", {"a": b"1"})
    both(tmp_path, name=name)
    monkeypatch.chdir(tmp_path)
    for root in ("root", "./root", "root/"):
        results = [
            module._manifest_snapshot(root=root, destination="out/deep", name=name, hash_cache_dir="cache")
            for module in (ours, reference)
        ]
        assert results[0].root == results[1].root == root
        assert without_time(results[0].manifest) == without_time(results[1].manifest)
        assert os.path.exists(results[0].manifest)


@pytest.mark.usefixtures("slow_clock")
@pytest.mark.parametrize("files", [0, 1, 49, 50, 120])
def test_progress_statistics_and_telemetry(tmp_path, files):
    write_tree(tmp_path / "root", {f"{number:03}": b"x" * number for number in range(files)})
    for _ in range(2):
        heard = {}
        for side in SIDES:
            reports, telemetry = [], []
            snapshot(
                side,
                tmp_path,
                hashing_progress_callback=lambda report, to=reports: to.append(report) or True,
                telemetry_callback=telemetry.append,
            )
            assert len(telemetry) == 1
            statistics = {
                key: value
                for key, value in vars(telemetry[0]).items()
                if key not in ("total_time", "transfer_rate")
            }
            assert telemetry[0].transfer_rate == (
                telemetry[0].processed_bytes / telemetry[0].total_time if telemetry[0].total_time else 0
            )
            last = reports[-1]
            message = re.sub(r"speed: .*", "", last.progressMessage)
            # From 50 files the reference reports once more in the middle, by the clock.
            calls = len(reports) if files < 50 else len(reports) > 0
            heard[side] = (calls, statistics, last.processedFiles, last.progress, message, last.status.name)
        assert heard["ours"] == heard["reference"]


def test_merging_files(tmp_path):
    write_tree(tmp_path / "root", {"a": b"1", "b": b"2"})
    first = both(tmp_path, name="first")
    (tmp_path / "root" / "a").write_bytes(b"longer")
    (tmp_path / "root" / "c").write_bytes(b"3")
    second = both(tmp_path, name="second")
    texts = []
    for side, module in SIDES.items():
        printed = []
        merged = module._manifest_merge(
            root=str(tmp_path / "root"),
            manifest_files=[first.manifest, second.manifest],
            destination=str(tmp_path / side),
            name="merged",
            print_function_callback=printed.append,
        )
        assert merged.manifest_root == str(tmp_path / "root")
        assert printed == [f"Manifest generated at {merged.local_manifest_path}"]
        texts.append((Path(merged.local_manifest_path).read_text(), without_time(merged.local_manifest_path)))
    assert texts[0] == texts[1]
    assert [entry["path"] for entry in json.loads(texts[0][0])["paths"]] == ["a", "b", "c"]
    assert (
        ours._manifest_merge("/r", [], str(tmp_path), None)
        is reference._manifest_merge("/r", [], str(tmp_path), None)
        is None
    )


def test_a_relative_root_can_be_compared(tmp_path, monkeypatch):
    """The reference raises ValueError."""
    write_tree(tmp_path / "root", {"a": b"1"})
    result = both(tmp_path)
    (tmp_path / "root" / "b").write_bytes(b"2")
    monkeypatch.chdir(tmp_path)
    assert ours._manifest_diff(result.manifest, "root").new == ["b"]
    with pytest.raises(ValueError, match="subpath"):
        reference._manifest_diff(result.manifest, "root")


def test_an_edit_that_keeps_the_time_is_seen(tmp_path):
    """The reference takes the old hash from its cache."""
    write_tree(tmp_path / "root", {"a": b"before"})
    file = tmp_path / "root" / "a"
    os.utime(file, ns=(OLD, OLD))
    before = Path(both(tmp_path).manifest).read_text()
    file.write_bytes(b"after!")
    os.utime(file, ns=(OLD, OLD))
    _, our_text, _ = snapshot("ours", tmp_path)
    _, text, _ = snapshot("reference", tmp_path)
    assert our_text != before
    assert text == before


@settings(max_examples=30, deadline=None)
@given(trees(), st.data())
def test_the_drawn_tree_has_the_references_lines(tree, data):
    from deadline.job_attachments.models import ManifestDiff

    with temporary_folder() as folder:
        root = f"{folder}/root"
        # Names with surrogates can't be printed, which is not what this is about.
        files = [file for file in files_of(tree) if file.isprintable()]
        subset = st.lists(st.sampled_from(files), max_size=3) if files else st.just([])
        difference = ManifestDiff(
            new=data.draw(subset), modified=data.draw(subset), deleted=data.draw(subset)
        )
        full = [f"{root}/{file}" for file in files]
        logger = reference_diff.logging.getLogger("deadline.job_attachments._diff")
        records = []
        handler = reference_diff.logging.Handler()
        handler.emit = lambda record: records.append(record.getMessage())
        logger.addHandler(handler)
        try:
            reference_diff.pretty_print_cli(root, full, difference)
        finally:
            for each in list(logger.handlers):
                logger.removeHandler(each)
        assert [*our_diff.diff_tree_lines(root, full, difference), ""] == records


def test_names_are_there_without_underscores():
    for name in ("glob_files", "manifest_snapshot", "manifest_diff", "manifest_merge"):
        assert getattr(ours, name) is getattr(ours, f"_{name}")
