"""Links in submissions and storage profiles, and names that leave no room."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from download.job import PREFIX, JobInS3
from download.trees import contents
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.refuse_calls import can_refuse, refusing
from rig.server import REPOSITORY
from rusty_attachments.api.attachment import _attachment_download
from rusty_attachments.asset_manifests.decode import decode_manifest
from rusty_attachments.download import download_files_from_manifests
from rusty_attachments.exceptions import MisconfiguredInputsError
from rusty_attachments.models import (
    FileConflictResolution,
    FileSystemLocation,
    FileSystemLocationType,
    JobAttachmentS3Settings,
    StorageProfile,
    StorageProfileOperatingSystemFamily,
)
from rusty_attachments.upload import S3AssetManager
from rusty_attachments.upload.submission import LocalSubmission


def profile(**locations: Path) -> StorageProfile:
    rows = [
        FileSystemLocation(name=name, path=str(path), type=FileSystemLocationType.LOCAL)
        for name, path in locations.items()
    ]
    return StorageProfile("sp-1", "profile", StorageProfileOperatingSystemFamily.LINUX, rows)


def grouped(inputs, storage_profile, outputs=(), references=()):
    group = LocalSubmission().prepare_paths_for_upload(
        [str(path) for path in inputs], [str(path) for path in outputs], references, storage_profile
    )
    rows = {
        (each.root_path, each.file_system_location_name): sorted(str(path) for path in each.inputs)
        for each in group.asset_groups
    }
    assert len(rows) == len(group.asset_groups)
    assert group.total_input_files == len(set(map(str, inputs)))
    return rows


@pytest.fixture
def base(tmp_path) -> Path:
    base = Path(os.path.realpath(tmp_path))
    for name in ("plain/p", "plain/q", "show/a", "show/b/c", "show/b/d"):
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return base


def test_a_link_from_elsewhere_into_a_location_stays_with_its_folder(base, caplog):
    (base / "plain/link").symlink_to(base / "show/a")
    inputs = [base / "plain/p", base / "plain/link", base / "show/a", base / "show/b/c"]
    assert grouped(inputs, profile(show=base / "show")) == {
        (str(base / "plain"), None): [str(base / "plain/link"), str(base / "plain/p")],
        (str(base / "show"), "show"): [str(base / "show/a"), str(base / "show/b/c")],
    }
    assert "lead into the file system location 'show' from outside" in caplog.text
    # The one that the reference can't sort: one root, with and without the location's name.
    assert grouped(inputs[:2], profile(show=base / "show")) == {
        (str(base / "plain"), None): [str(base / "plain/link"), str(base / "plain/p")],
    }


def test_a_link_to_a_folder_of_a_location_may_be_its_root(base):
    (base / "alias").symlink_to(base / "show/b")
    inputs = [base / "alias/c", base / "alias/d"]
    # As the reference groups them: all of the root is in the location.
    assert grouped(inputs, profile(show=base / "show")) == {
        (str(base / "alias"), "show"): sorted(map(str, inputs))
    }
    assert grouped([*inputs, base / "show/a", base / "plain/p"], profile(show=base / "show")) == {
        (str(base), None): sorted(map(str, [*inputs, base / "plain/p"])),
        (str(base / "show"), "show"): [str(base / "show/a")],
    }


def test_a_location_that_is_given_by_a_link_is_one(base):
    (base / "mount").symlink_to(base / "show")
    inputs = [base / "mount/a", base / "mount/b/c"]
    expected = {(str(base / "mount"), "show"): sorted(map(str, inputs))}
    assert grouped(inputs, profile(show=base / "mount")) == expected
    both = grouped([*inputs, base / "show/b/d"], profile(show=base / "mount"))
    assert both == {**expected, (str(base / "show/b"), None): [str(base / "show/b/d")]}


def test_a_link_out_of_a_location_does_not_split_a_root(base):
    (base / "show/link").symlink_to(base / "plain/p")
    inputs = [base / "show/link", base / "show/a"]
    assert grouped(inputs, profile(show=base / "show")) == {
        (str(base / "show"), "show"): sorted(map(str, inputs))
    }


def test_outputs_and_references_move_with_the_inputs(base):
    (base / "plain/out").symlink_to(base / "show/b")
    group = LocalSubmission().prepare_paths_for_upload(
        [str(base / "plain/p"), str(base / "show/a")],
        [str(base / "plain/out"), str(base / "show/b")],
        [str(base / "plain/out/reference")],
        profile(show=base / "show"),
    )
    plain, show = group.asset_groups
    assert (plain.root_path, plain.file_system_location_name) == (str(base / "plain"), None)
    assert plain.outputs == {base / "plain/out"}
    assert plain.references == {base / "plain/out/reference"}
    assert (show.root_path, show.file_system_location_name) == (str(base / "show"), "show")
    assert show.outputs == {base / "show/b"}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_links_give_each_root_one_group_and_locations_their_own(tmp_path_factory, data):
    base = Path(os.path.realpath(tmp_path_factory.mktemp("links")))
    folders = ["plain", "plain/sub", "one", "one/sub", "two"]
    for folder in folders:
        (base / folder).mkdir(exist_ok=True)
        (base / folder / "file").write_text(folder)
    inputs = {base / folder / "file" for folder in data.draw(st.sets(st.sampled_from(folders), min_size=1))}
    links = data.draw(st.lists(st.tuples(st.sampled_from(folders), st.sampled_from(folders)), max_size=4))
    for number, (place, target) in enumerate(links):
        of_folder = data.draw(st.booleans())
        link = base / place / f"link{number}"
        link.symlink_to(base / target if of_folder else base / target / "file")
        inputs.add(link / "file" if of_folder else link)
    locations = {"one": base / "one", "two": base / "two"}
    groups = LocalSubmission().prepare_paths_for_upload(map(str, inputs), [], [], profile(**locations))
    roots = [group.root_path for group in groups.asset_groups]
    assert len(roots) == len(set(roots))
    assert sorted(path for group in groups.asset_groups for path in group.inputs) == sorted(inputs)
    assert groups.total_input_files == len(inputs)
    for group in groups.asset_groups:
        if group.file_system_location_name:
            location = locations[group.file_system_location_name]
            assert Path(group.root_path).resolve().is_relative_to(location)


def manager() -> S3AssetManager:
    return S3AssetManager("farm-1", "queue-1", JobAttachmentS3Settings("bucket", "root"))


def many_roots(base: Path, count: int) -> tuple[list[str], StorageProfile]:
    for number in range(count):
        (base / f"disk{number}").mkdir()
        (base / f"disk{number}/file").write_text(str(number))
    locations = {f"disk{number}": base / f"disk{number}" for number in range(count)}
    return [str(path / "file") for path in locations.values()], profile(**locations)


def test_more_roots_than_a_job_can_have_are_told_of_before_anything_is_hashed(base, caplog):
    inputs, locations = many_roots(base, 11)
    with caplog.at_level(logging.WARNING, "rusty_attachments.upload"):
        group = manager().prepare_paths_for_upload(inputs, [], [], locations)
    assert "11 asset roots" in caplog.text
    assert "10 at most" in caplog.text
    assert all(str(base / f"disk{number}") in caplog.text for number in range(11))
    # Hashing is of use without a job.
    _, manifests = manager().hash_assets_and_create_manifest(group.asset_groups, 11, 11, str(base / "cache"))
    assert len(manifests) == 11


def test_more_roots_than_a_job_can_have_are_not_uploaded(base, rig, rig_bucket):
    inputs, locations = many_roots(base, 11)
    settings = JobAttachmentS3Settings(rig_bucket, "root")
    submission = S3AssetManager("farm-1", "queue-1", settings)
    group = submission.prepare_paths_for_upload(inputs, [], [], locations)
    _, manifests = submission.hash_assets_and_create_manifest(group.asset_groups, 11, 11, str(base / "cache"))
    caches = {"s3_check_cache_dir": str(base / "cache")}
    with pytest.raises(MisconfiguredInputsError, match="11 asset roots") as raised:
        submission.upload_assets(manifests, **caches)
    assert str(base / "disk7") in str(raised.value)
    assert rig.objects(rig_bucket) == []
    submission.upload_assets(manifests[:10], **caches)
    assert len([row for row in rig.objects(rig_bucket) if "/Manifests/" in row["key"]]) == 10


FILES = {"a.exr": b"data", "s/b.exr": b"two"}


def test_a_manifest_in_the_working_directory_is_no_obstacle(base, rig, rig_bucket, monkeypatch):
    manifest = base / "plain/abc_input"
    manifest.write_text(JobInS3(rig, rig_bucket).manifest(FILES))
    monkeypatch.chdir(base / "plain")
    lines: list[str] = []
    for name in ("abc_input", "./abc_input", str(manifest)):
        _attachment_download(
            [name],
            f"s3://{rig_bucket}/{PREFIX}",
            print_function_callback=lines.append,
            conflict_resolution=FileConflictResolution.OVERWRITE,
        )
    assert contents(base / "plain/abc_input_files") == FILES
    assert "abc_input_files" in lines[0]
    # Elsewhere the folder has the manifest's name, as the reference's.
    monkeypatch.chdir(base / "show")
    _attachment_download([str(manifest)], f"s3://{rig_bucket}/{PREFIX}")
    assert contents(base / "show/abc_input") == FILES


@pytest.mark.parametrize("name", ["n" * 251 + ".exr", "n" * 255, "雪" * 83 + ".exr", "a." + "x" * 253])
def test_copies_of_long_names_are_made(base, rig, rig_bucket, name):
    files = {name: b"data", f"{name[:-1]}2": b"of another"} if len(name) > 253 else {name: b"data"}
    manifest = decode_manifest(JobInS3(rig, rig_bucket).manifest(files))
    root = base / "target"
    for count in (1, 2, 3):
        download_files_from_manifests(rig_bucket, {str(root): manifest}, cas_prefix=f"{PREFIX}/Data")
        found = contents(root)
        assert len(found) == count * len(files)
        assert sorted(found.values()) == sorted([*files.values()] * count)
    assert all(len(os.fsencode(name)) <= 255 for name in os.listdir(root))


#: What is about paths, containment and links.
SUITES = ["download/test_paths.py", "local/test_collect_tree.py"]
#: Not those that take many or large files: they have nothing to do with links.
CHOSEN = "not many_entries and not large_files"


@pytest.mark.skipif(not can_refuse(), reason="seccomp filters for this machine are not known here")
@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
def test_suites_hold_where_openat2_is_refused(error):
    """The files above once more, all of them in one process whose calls of `openat2` the kernel refuses."""
    files = [str(REPOSITORY / "tests_py" / name) for name in SUITES]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", CHOSEN, *files]
    ended = subprocess.run(
        [*refusing(f"openat2={error}"), *command],
        cwd=REPOSITORY,
        env={**os.environ, "DOWNLOAD_SWAPS": "2000", "HOSTILE_EXAMPLES": "20"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-2000:]
    assert " passed" in ended.stdout
