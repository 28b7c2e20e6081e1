"""Grouping and hashing of submissions: the same groups, manifests, warnings and errors as the reference's."""

from __future__ import annotations

import copy
import errno
import logging
import os
import pickle
import socket
import warnings
from pathlib import Path

import pytest
from deadline.job_attachments import exceptions as reference_exceptions
from deadline.job_attachments import models as reference_models
from deadline.job_attachments.caches import HashCache as ReferenceHashCache
from deadline.job_attachments.upload import S3AssetManager
from hypothesis import given, settings
from hypothesis import strategies as st
from rusty_attachments import exceptions, models
from rusty_attachments.caches import HashCache
from rusty_attachments.progress_tracker import SummaryStatistics
from rusty_attachments.upload.submission import LocalSubmission
from trees import files_of, temporary_folder, trees, write_tree


@pytest.fixture(scope="module")
def reference():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-west-2")
        patch.setenv("AWS_ACCESS_KEY_ID", "x")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        yield S3AssetManager()


def plain(upload_group):
    """The groups as plain data."""
    groups = [
        (group.file_system_location_name, group.root_path, group.inputs, group.outputs, group.references)
        for group in upload_group.asset_groups
    ]
    return groups, upload_group.total_input_files, upload_group.total_input_bytes


def outcome(call, *arguments, **keywords):
    """What a call gives, or the class and text of what it raises."""
    try:
        return plain(call(*arguments, **keywords))
    except Exception as error:
        # Our messages are UTF-8: what can't be is replaced.
        return type(error).__name__, str(error).encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def profile(module, locations):
    """A storage profile of a module's own classes."""
    return module.StorageProfile(
        storageProfileId="sp",
        displayName="sp",
        osFamily=module.StorageProfileOperatingSystemFamily.LINUX,
        fileSystemLocations=[
            module.FileSystemLocation(name=name, path=path, type=module.FileSystemLocationType(kind))
            for name, path, kind in locations
        ],
    )


@settings(max_examples=60, deadline=None)
@given(trees(), st.data())
def test_the_same_groups(reference, tree, data):
    with temporary_folder() as folder:
        write_tree(f"{folder}/root", tree)
        files = files_of(tree)
        folders = sorted({os.path.dirname(file) for file in files})
        some = st.sampled_from([*files, *folders, "missing", "missing/deep", ""])
        spelled = st.sampled_from(["{}/root/{}", "{}/root/./x/../{}", "{}//root/{}", "{}/root/{}/"])
        paths = st.lists(st.tuples(spelled, some), max_size=5).map(
            lambda pairs: [spelling.format(folder, name) for spelling, name in pairs]
        )
        usual = [
            f"{folder}/root/{file}"
            for file in data.draw(st.lists(st.sampled_from(files), max_size=6) if files else st.just([]))
        ]
        inputs = data.draw(st.one_of(st.just(usual), paths))
        outputs, references = data.draw(paths), data.draw(paths)
        locations = data.draw(
            st.lists(
                st.tuples(
                    st.text("abc", min_size=1, max_size=3),
                    st.sampled_from(
                        [f"{folder}/root/{name}" for name in [*folders, "a", ""]] + [folder, "/"]
                    ),
                    st.sampled_from(["LOCAL", "SHARED"]),
                ),
                max_size=3,
            )
        )
        required = data.draw(st.booleans())
        results = []
        for manager, module in ((LocalSubmission(), models), (reference, reference_models)):
            storage_profile = profile(module, locations) if locations else None
            results.append(
                outcome(
                    manager.prepare_paths_for_upload, inputs, outputs, references, storage_profile, required
                )
            )
        ours, theirs = results
        # The reference can't order groups of one root of which one has no location's name.
        if theirs[0] != "TypeError":
            assert ours == theirs


def test_the_reference_understands_our_groups_and_we_understand_its(reference, tmp_path):
    write_tree(tmp_path / "root", {"a": b"1", "b": {"c": b"22"}})
    files = [str(tmp_path / "root" / name) for name in ("a", "b/c")]
    ours, theirs = LocalSubmission(), reference
    texts = []
    for prepare, hasher in ((ours, theirs), (theirs, ours), (ours, ours), (theirs, theirs)):
        group = prepare.prepare_paths_for_upload(files, [str(tmp_path / "root" / "out")], [])
        statistics, manifests = hasher.hash_assets_and_create_manifest(
            group.asset_groups, group.total_input_files, group.total_input_bytes, str(tmp_path / "cache")
        )
        assert (statistics.total_files, statistics.total_bytes) == (2, 3)
        assert [path.name for path in manifests[0].outputs] == ["out"]
        texts.append(manifests[0].asset_manifest.encode())
    assert len(set(texts)) == 1


def test_a_missing_input_is_referenced_with_a_warning(reference, tmp_path, caplog):
    there = tmp_path / "there"
    there.write_text("x")
    messages = []
    for manager in (LocalSubmission(), reference):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            group = manager.prepare_paths_for_upload([str(there), str(tmp_path / "missing")], [], [])
        assert group.asset_groups[0].references == {tmp_path / "missing"}
        messages.append([record.getMessage() for record in caplog.records])
    assert messages[0] == messages[1]
    assert len(messages[0]) == 1


def test_texts_of_misconfigured_inputs(reference, tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
    inputs = [str(tmp_path / name) for name in ("z", "b", "a", "y")]
    for required in (False, True):
        with pytest.raises(reference_exceptions.MisconfiguredInputsError) as expected:
            reference.prepare_paths_for_upload(inputs, [], [], require_paths_exist=required)
        with pytest.raises(exceptions.MisconfiguredInputsError) as raised:
            LocalSubmission().prepare_paths_for_upload(inputs, [], [], require_paths_exist=required)
        assert str(raised.value) == str(expected.value)


def test_more_inputs_than_are_looked_at_at_once(reference, tmp_path):
    paths = [tmp_path / f"f{number:05}" for number in range(8200)]
    for path in paths[:-2]:
        path.touch()
    ours = LocalSubmission()
    given = ([str(path) for path in paths], [], [])
    groups = outcome(ours.prepare_paths_for_upload, *given)
    assert groups == outcome(reference.prepare_paths_for_upload, *given)
    assert groups[0][0][4] == set(paths[-2:]), "missing ones are referenced"
    paths[-1].mkdir()
    text = outcome(ours.prepare_paths_for_upload, *given, require_paths_exist=True)
    assert text == outcome(reference.prepare_paths_for_upload, *given, require_paths_exist=True)
    assert text[0] == "MisconfiguredInputsError"


def test_path_likes_relative_paths_and_empty_strings(reference, tmp_path, monkeypatch):
    write_tree(tmp_path, {"a": b"1", "b": {"c": b"22"}})
    monkeypatch.chdir(tmp_path)
    for inputs in (["a", "", "b/c"], [Path("a"), Path("b/../b/c")], {"a"}, ("./a",), []):
        assert plain(LocalSubmission().prepare_paths_for_upload(inputs, ["out", ""], [""])) == plain(
            reference.prepare_paths_for_upload(inputs, ["out", ""], [""])
        )


def hashed(manager, folder, **keywords):
    """Hashes all files below `<folder>/root`."""
    files = [str(path) for path in Path(folder, "root").rglob("*") if path.is_file() or path.is_symlink()]
    group = manager.prepare_paths_for_upload(files, [], [])
    return manager.hash_assets_and_create_manifest(
        group.asset_groups, group.total_input_files, group.total_input_bytes, f"{folder}/cache", **keywords
    )


def test_a_refused_report_cancels_with_statistics(tmp_path):
    write_tree(tmp_path / "root", {f"{number}": b"x" for number in range(20)})
    with pytest.raises(exceptions.AssetSyncCancelledError, match=r"^File hashing cancelled\.$") as raised:
        hashed(LocalSubmission(), tmp_path, on_preparing_to_submit=lambda report: False)
    assert isinstance(raised.value.summary_statistics, SummaryStatistics)
    assert raised.value.summary_statistics.total_files == 20
    # What was hashed before is known.
    statistics, _ = hashed(LocalSubmission(), tmp_path)
    assert statistics.skipped_files > 0


def test_what_a_callback_raises_is_raised(tmp_path):
    write_tree(tmp_path / "root", {f"{number}": b"x" for number in range(20)})

    def fail(report):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        hashed(LocalSubmission(), tmp_path, on_preparing_to_submit=fail)


def test_why_files_are_hashed_is_logged_and_the_second_run_hashes_nothing(tmp_path, caplog):
    write_tree(tmp_path / "root", {"a": b"1", "b": b"2", "c": b"3"})
    with caplog.at_level(logging.DEBUG, "rusty_attachments.upload"):
        hashed(LocalSubmission(), tmp_path)
    assert "3 because it is new; 0 were known" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "rusty_attachments.upload"):
        statistics, _ = hashed(LocalSubmission(), tmp_path)
    assert (statistics.processed_files, statistics.processed_bytes, statistics.skipped_files) == (0, 0, 3)
    assert "Hashing " not in caplog.text
    (tmp_path / "root" / "a").write_bytes(b"longer")
    file = tmp_path / "root" / "b"
    os.utime(file, (file.stat().st_atime + 5, file.stat().st_mtime + 5))
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "rusty_attachments.upload"):
        hashed(LocalSubmission(), tmp_path)
    assert f"Hashing {tmp_path}/root/a: its size has changed" in caplog.text
    assert f"Hashing {tmp_path}/root/b: its modification time has changed" in caplog.text
    assert "1 were known" in caplog.text


def test_single_files_and_their_statuses(reference, tmp_path):
    write_tree(tmp_path / "root", {"a": b"1"})
    file = tmp_path / "root" / "a"
    for classes in (
        (LocalSubmission(), HashCache, models, "ours"),
        (reference, ReferenceHashCache, reference_models, "theirs"),
    ):
        manager, cache_class, module, name = classes
        file.write_bytes(b"1")
        os.utime(file, (1_600_000_000, 1_600_000_000))
        with cache_class(str(tmp_path / name)) as cache:

            def process(update=True, manager=manager, cache=cache):
                status, size, entry = manager._process_input_path(
                    file, str(tmp_path / "root"), cache, update=update
                )
                assert (size, entry.path, entry.size) == (file.stat().st_size, "a", size)
                return status

            assert process(update=False) == module.FileStatus.NEW
            assert process() == module.FileStatus.NEW
            assert process() == module.FileStatus.UNCHANGED
            file.write_bytes(b"22")
            assert process() == module.FileStatus.MODIFIED
            manifest = manager._create_manifest_file([file], str(tmp_path / "root"), cache)
            assert [entry.path for entry in manifest.paths] == ["a"]
            with pytest.raises(ValueError, match="is not in the subpath of"):
                manager._process_input_path(file, str(tmp_path / "other"), cache)


def test_paths_are_left_in_descending_order(reference, tmp_path):
    write_tree(tmp_path / "root", dict.fromkeys(("b", "a", "\U0001f600", "\ufb33", "é", "a b"), b"x"))
    orders = [
        [entry.path for entry in hashed(manager, tmp_path)[1][0].asset_manifest.paths]
        for manager in (LocalSubmission(), reference)
    ]
    assert orders[0] == orders[1] == sorted(orders[0], reverse=True)


def test_what_is_no_file_is_an_error_that_names_it(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    os.mkfifo(root / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(root / "socket"))
    for name, text in (("fifo", "is not a regular file"), ("socket", "is not a regular file")):
        group = models.AssetRootGroup(root_path=str(root), inputs={root / name})
        with pytest.raises(exceptions.AssetSyncError, match=text) as raised:
            LocalSubmission().hash_assets_and_create_manifest([group], 1, 0, str(tmp_path / "cache"))
        assert str(root / name) in str(raised.value)
    listener.close()
    gone = models.AssetRootGroup(root_path=str(root), inputs={root / "gone"})
    with pytest.raises(exceptions.AssetSyncError, match="does not exist"):
        LocalSubmission().hash_assets_and_create_manifest([gone], 1, 0, str(tmp_path / "cache"))


def hash_one(manager, root, name, cache):
    module = models if isinstance(manager, LocalSubmission) else reference_models
    group = module.AssetRootGroup(root_path=str(root), inputs={root / name})
    manager.hash_assets_and_create_manifest([group], 1, 0, str(cache))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("gone", FileNotFoundError), ("folder", IsADirectoryError), ("secret", PermissionError)],
)
def test_what_cannot_be_hashed_is_the_references_error_too(reference, tmp_path, name, expected, request):
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "secret").write_text("x")
    (root / "secret").chmod(0)
    if name == "secret" and os.access(root / "secret", os.R_OK):
        # Root may read everything: as another user, in a process of its own.
        request.getfixturevalue("hashed_as_nobody")(root, name)
        return
    errors = []
    for manager in (reference, LocalSubmission()):
        with pytest.raises(expected) as raised:
            hash_one(manager, root, name, tmp_path / "cache")
        errors.append(raised.value)
    theirs, ours = errors
    assert (ours.errno, ours.strerror, ours.filename) == (theirs.errno, theirs.strerror, theirs.filename)
    assert isinstance(ours, exceptions.AssetSyncError)
    assert isinstance(ours, reference_exceptions.AssetSyncError)
    assert str(ours).startswith(f"{root}/{name}: ")
    again = pickle.loads(pickle.dumps(ours))
    assert type(again) is type(ours)
    for copied in (again, copy.copy(ours)):
        assert (str(copied), copied.args, copied.errno, copied.filename) == (
            str(ours),
            ours.args,
            ours.errno,
            ours.filename,
        )


@pytest.fixture
def hashed_as_nobody(tmp_path):
    """Hashes a file in a child process that has given up its rights; the child tells what it caught."""

    def run(root, name):
        for folder in (*reversed(root.parents), root):
            if folder.stat().st_uid == os.getuid() and folder != folder.parent:
                folder.chmod(folder.stat().st_mode | 0o055)
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 warns of forking with threads, which pytest's plugins have. The child runs no code of theirs.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                os.setuid(65534)
                hash_one(LocalSubmission(), root, name, tmp_path / "cache")
                text = "nothing"
            except PermissionError as error:
                text = f"{error.errno} {error.filename} {isinstance(error, exceptions.AssetSyncError)}"
            except BaseException as error:
                text = repr(error)
            os.write(writer, text.encode())
            os._exit(0)
        os.close(writer)
        with open(reader) as told:
            text = told.read()
        os.waitpid(child, 0)
        assert text == f"13 {root}/{name} True"

    return run


def test_other_reasons_are_os_errors_too():
    error = exceptions.source_file_error("f: the file cannot be read: x", errno.EIO, "f")
    assert type(error) is exceptions.SourceFileError
    assert isinstance(error, OSError)
    assert (str(error), error.errno) == ("f: the file cannot be read: x", errno.EIO)
    assert not isinstance(error, (FileNotFoundError, PermissionError))


def test_a_cache_that_cannot_be_used_is_a_warning(tmp_path, caplog):
    write_tree(tmp_path / "root", {"a": b"1"})
    (tmp_path / "cache").write_text("a file where the folder should be")
    statistics, manifests = hashed(LocalSubmission(), tmp_path)
    assert statistics.processed_files == 1
    assert len(manifests[0].asset_manifest.paths) == 1
    assert caplog.text.count("can't be used and is done without") == 1


def test_the_time_zone_changes(tmp_path):
    """F22: each run in a process of its own, as a process keeps its time zone."""
    import subprocess
    import sys

    write_tree(tmp_path / "root", {"a": b"before", "b": b"before"})
    # Half past one in the morning comes twice on this day in New York: at 05:30 and at 06:30 UTC.
    first, second = 1_667_712_600, 1_667_716_200
    code = (
        "import sys; sys.path[:0] = sys.argv[3].split(':')\n"
        "from rusty_attachments.api.manifest import manifest_snapshot\n"
        "heard = []\n"
        "result = manifest_snapshot(root=sys.argv[1] + '/root', destination=sys.argv[1] + '/out', name='n',\n"
        "    hash_cache_dir=sys.argv[1] + '/cache', telemetry_callback=heard.append)\n"
        "print(heard[0].processed_files, result.manifest)\n"
    )

    def run(zone):
        command = [sys.executable, "-c", code, str(tmp_path), "", ""]
        environment = {**os.environ, "TZ": zone}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        processed, manifest = done.stdout.split(maxsplit=1)
        return int(processed), Path(manifest.strip()).read_text()

    for name in ("a", "b"):
        os.utime(tmp_path / "root" / name, (first, first))
    processed, before = run("America/New_York")
    assert processed == 2
    # The same local time, an hour later, with other contents of the same size.
    (tmp_path / "root" / "a").write_bytes(b"after!")
    os.utime(tmp_path / "root" / "a", (second, second))
    processed, after = run("America/New_York")
    assert processed == 1
    assert after != before
    # Another zone changes nothing about the files: nothing is hashed, nothing is mistaken.
    assert run("Asia/Kolkata") == (0, after)
    assert run("UTC") == (0, after)
