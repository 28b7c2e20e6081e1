"""Both implementations download the same manifests and leave the same trees, statistics, reports and errors."""

from __future__ import annotations

import grp
import logging
import os

import pytest
from download.job import MTIME_MICROS, PREFIX, JobInS3, entry, manifest_text
from download.trees import SIDES, leftovers, told_error, told_statistics, tree

pytestmark = pytest.mark.usefixtures("slow_clock")
RESOLUTIONS = ["SKIP", "OVERWRITE", "CREATE_COPY"]
BODIES = {
    "plain.exr": b"one",
    "folder/b.tar.gz": b"two" * 1000,
    "folder/noext": b"three",
    "folder/.hidden": b"four",
    "deep/er/file with blanks.txt": b"five",
    "deep/er/empty": b"",
    "same/as/plain.exr": b"one",
    "ünï/\u65e5\u672c": b"six",
}


@pytest.fixture
def job(rig, rig_bucket) -> JobInS3:
    return JobInS3(rig, rig_bucket)


class Outcome:
    """What one side did below a directory of its own."""

    def __init__(self, side, job, tmp_path, roots, before=None, **options):
        self.base = tmp_path / side.name
        self.base.mkdir()
        self.reports = []
        self.statistics = self.error = None
        if before:
            before(self.base)
        resolution = options.pop("resolution", "CREATE_COPY")
        if isinstance(resolution, str):
            resolution = getattr(side.models.FileConflictResolution, resolution)
        callback = options.pop("callback", lambda report: True)

        def report(progress):
            self.reports.append(progress)
            return callback(progress)

        permissions = options.pop("permissions", None)
        try:
            statistics = side.download.download_files_from_manifests(
                s3_bucket=job.bucket,
                manifests_by_root={str(self.base / root): side.decode(text) for root, text in roots.items()},
                cas_prefix=f"{PREFIX}/Data",
                fs_permission_settings=permissions(side) if permissions else None,
                on_downloading_files=report,
                conflict_resolution=resolution,
                **options,
            )
            self.statistics = told_statistics(statistics, self.base)
        except Exception as error:
            self.error = told_error(error, self.base)
        assert leftovers(self.base) == []
        self.tree = tree(self.base)

    def told(self):
        """Everything that should be the same."""
        last = self.reports[-1] if self.reports else None
        return {
            "tree": self.tree,
            "statistics": self.statistics,
            "error": self.error,
            "reports": len(self.reports),
            "last": last and (last.status.value, last.progress, last.processedFiles),
        }


def both(job, tmp_path, roots, **options):
    theirs, ours = (Outcome(side, job, tmp_path, roots, **options) for side in SIDES)
    assert ours.told() == theirs.told()
    return ours


def some_are_there(base):
    """Conflicts of all kinds below the first root."""
    for path, body in {
        "plain.exr": b"other bytes",
        "folder/b.tar.gz": b"two" * 1000,
        "folder/b.tar (1).gz": b"first copy",
        "folder/b.tar (2).gz": b"second copy",
        "folder/.hidden": b"",
        "folder/noext": b"x",
        "unrelated": b"stays",
    }.items():
        file = base / "root" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        os.utime(file, ns=(10**18, 10**18))


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("before", [None, some_are_there])
def test_trees_statistics_and_reports(job, tmp_path, resolution, before):
    ours = both(job, tmp_path, {"root": job.manifest(BODIES)}, resolution=resolution, before=before)
    assert ours.error is None
    skipped = 4 if before and resolution == "SKIP" else 0
    assert ours.statistics["skipped_files"] == skipped
    assert ours.statistics["processed_files"] == len(BODIES) - skipped
    if before and resolution == "CREATE_COPY":
        copies = {"plain (1).exr", "folder/b.tar (3).gz", "folder/.hidden (1)", "folder/noext (1)"}
        assert {f"root/{path}" for path in copies} <= set(ours.tree)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_the_second_download_of_the_same(job, tmp_path, resolution):
    text = job.manifest(BODIES)
    trees = []
    for side in SIDES:
        first = Outcome(side, job, tmp_path, {"root": text})
        assert first.error is None
        again = tmp_path / f"{side.name} again"
        again.mkdir()
        (tmp_path / side.name).rename(again / side.name)
        (again / side.name).rename(tmp_path / f"{side.name} moved")

        def put_back(base, side=side):
            base.rmdir()
            (tmp_path / f"{side.name} moved").rename(base)

        trees.append(
            Outcome(side, job, tmp_path, {"root": text}, resolution=resolution, before=put_back).told()
        )
    assert trees[0] == trees[1]


@pytest.mark.parametrize("resolution", ["NOT_SELECTED", None, "unheard of"])
def test_a_resolution_is_looked_at_only_on_conflict(job, tmp_path, resolution):
    text = job.manifest({"plain.exr": b"one"})
    both(job, tmp_path, {"root": text}, resolution=_resolution(resolution))
    (tmp_path / "second").mkdir()
    ours = both(
        job, tmp_path / "second", {"root": text}, resolution=_resolution(resolution), before=some_are_there
    )
    assert ours.error[0] == "ValueError"
    assert ours.error[1].startswith("Unknown choice for file conflict resolution: ")


def _resolution(value):
    class Given:
        name = "SKIP"

        def __str__(self):
            return "unheard of"

    return {"NOT_SELECTED": "NOT_SELECTED", None: Given(), "unheard of": 17}[value]


@pytest.mark.parametrize("count", [1, 2, 49, 50, 120])
def test_number_of_reports(job, tmp_path, count):
    files = {f"{number:03}.exr": f"{number}".encode() for number in range(count)}
    ours = both(job, tmp_path, {"root": job.manifest(files)})
    assert len(ours.reports) == (count + 1 if count < 50 else count // 50 + 1 + (count % 50 > 0))


def test_several_roots_with_counts_of_each(job, tmp_path):
    roots = {"one": job.manifest(BODIES), "two": job.manifest({"a": b"a", "plain.exr": b"one"})}
    ours = both(job, tmp_path, roots)
    assert ours.statistics["file_counts_by_root_directory"] == {"one": len(BODIES), "two": 2}


def test_a_root_that_is_a_link_is_named_as_it_was_given(job, tmp_path):
    def link(base):
        (base / "real").mkdir()
        (base / "root").symlink_to("real")

    ours = both(job, tmp_path, {"root": job.manifest(BODIES)}, before=link)
    assert all(path.startswith("real/") for path in ours.statistics["downloaded_files"])
    assert list(ours.statistics["file_counts_by_root_directory"]) == ["root"]


def test_links_below_the_root_are_followed(job, tmp_path):
    def link(base):
        (base / "root/elsewhere").mkdir(parents=True)
        (base / "root/folder").symlink_to("elsewhere")
        (base / "root/dangling").symlink_to("nowhere")

    files = {"folder/a": b"a", "dangling": b"b"}
    ours = both(job, tmp_path, {"root": job.manifest(files)}, before=link)
    assert ours.tree["root/elsewhere/a"][1] == b"a"


def test_a_link_out_of_the_root_is_refused(job, tmp_path):
    def link(base):
        (base / "outside").mkdir()
        (base / "root").mkdir()
        (base / "root/folder").symlink_to("../outside")
        (base / "outside/file").write_bytes(b"precious")
        os.utime(base / "outside/file", (1, 1))
        (base / "root/file").symlink_to("../outside/file")

    for path in ["folder/a", "file"]:
        (tmp_path / path[:2]).mkdir()
        theirs, ours = (
            Outcome(side, job, tmp_path / path[:2], {"root": job.manifest({path: b"x"})}, before=link)
            for side in SIDES
        )
        assert ours.tree == theirs.tree
        assert ours.error[0] == theirs.error[0] == "PathOutsideDirectoryError"
        # Ours says why as well.
        assert ours.error[1].startswith(theirs.error[1])


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/absolute"])
def test_paths_that_lead_out(job, tmp_path, path):
    text = manifest_text([entry(path, b"x"), entry("good", b"good")])
    job.data(b"x")
    job.data(b"good")
    theirs, ours = (Outcome(side, job, tmp_path, {"root": text}) for side in SIDES)
    assert ours.error[0] == theirs.error[0] == "PathOutsideDirectoryError"
    assert ours.error[1].startswith(theirs.error[1])
    # Ours writes nothing at all, theirs what came first.
    assert set(ours.tree) <= {"root"}


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_modes_and_groups(job, tmp_path, umask):
    group = grp.getgrgid(os.getgroups()[-1] if os.getgroups() else os.getgid()).gr_name

    def permissions(side):
        return side.permissions.PosixFileSystemPermissionSettings(
            os_user="nobody", os_group=group, dir_mode=0o031, file_mode=0o604
        )

    def before(base):
        (base / "root/unrelated").mkdir(parents=True)
        (base / "root/deep").mkdir(mode=0o700)

    old = os.umask(umask)
    try:
        both(job, tmp_path, {"root": job.manifest(BODIES)}, permissions=permissions, before=before)
    finally:
        os.umask(old)


def test_permissions_for_another_system_and_for_no_group(job, tmp_path):
    def windows(side):
        enum = side.permissions.WindowsPermissionEnum
        return side.permissions.WindowsFileSystemPermissionSettings("user", enum.READ, enum.READ)

    def unknown(side):
        return side.permissions.PosixFileSystemPermissionSettings("nobody", "no-such-group", 0o20, 0o20)

    for permissions in [windows, unknown]:
        folder = tmp_path / permissions.__name__
        folder.mkdir()
        theirs, ours = (
            Outcome(side, job, folder, {"root": job.manifest({"a": b"a"})}, permissions=permissions)
            for side in SIDES
        )
        assert ours.error == theirs.error
        # Ours looks first.
        assert ours.tree == {}


def test_cancellation(job, tmp_path):
    text = job.manifest({f"{number}": f"{number}".encode() for number in range(20)})
    slow = job.data(b"13")
    job.rig.rules({"operation": "GetObject", "key": slow, "fault": {"kind": "delay", "ms": 1500}})
    theirs, ours = (
        Outcome(side, job, tmp_path, {"root": text}, callback=lambda report: None) for side in SIDES
    )
    assert ours.error == ("AssetSyncCancelledError", "File download cancelled.")
    # The reference may take a transfer that it has cancelled itself for one that failed.
    assert theirs.error == ours.error or theirs.error[1].startswith("('File download failed.'")
    assert "root/13" not in ours.tree


def test_what_a_callback_raises_is_what_the_call_raises(job, tmp_path):
    def fail(report):
        raise ZeroDivisionError("from the callback")

    ours = Outcome(SIDES[1], job, tmp_path, {"root": job.manifest(BODIES)}, callback=fail)
    assert ours.error == ("ZeroDivisionError", "from the callback")


def test_an_object_under_its_bare_hash_and_none_at_all(job, tmp_path):
    job.data(b"bare", suffix="")
    both(job, tmp_path, {"root": manifest_text([entry("a", b"bare")])})
    (tmp_path / "missing").mkdir()
    ours = both(
        job, tmp_path / "missing", {"root": manifest_text([entry("a", b"missing")])}, resolution="SKIP"
    )
    assert ours.error[0] == "JobAttachmentsS3ClientError"
    assert ".xxh128'" not in ours.error[1]
    assert ours.error[1].endswith("(Failed to download the file to BASE/root/a)")


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "AccessDenied", "Access Denied"),
        (403, "AccessDenied", "kms:Decrypt"),
        (301, "PermanentRedirect", "x"),
    ],
)
def test_refused_requests(job, tmp_path, status, code, message):
    text = job.manifest({"a": b"a"})
    fault = {"kind": "status", "status": status, "code": code, "message": message}
    job.rig.rules({"operation": "*Object", "fault": fault})
    theirs, ours = (Outcome(side, job, tmp_path, {"root": text}) for side in SIDES)
    assert ours.error == theirs.error
    assert ours.error[0] == "JobAttachmentsS3ClientError"


def test_a_directory_that_cannot_be_made(job, tmp_path):
    def in_the_way(base):
        (base / "root").mkdir()
        (base / "root/folder").write_bytes(b"a file")

    theirs, ours = (
        Outcome(side, job, tmp_path, {"root": job.manifest({"folder/a": b"x"})}, before=in_the_way)
        for side in SIDES
    )
    opening = "Failed to create download directory 'BASE/root/folder': "
    for error in [theirs.error, ours.error]:
        assert issubclass(getattr(__builtins__, error[0], None) or _builtin(error[0]), OSError)
        assert error[1].startswith(opening)
        assert error[1].endswith("choose a valid local path when prompted.")


def _builtin(name):
    import builtins

    return getattr(builtins, name)


def test_log_lines(job, tmp_path, caplog):
    text = job.manifest({"a/b": b"x", "c": b"y"})
    lines = []
    for side, name in zip(SIDES, ["deadline.job_attachments.download", "rusty_attachments.download"]):
        caplog.clear()
        with caplog.at_level(logging.DEBUG, logger=name):
            Outcome(side, job, tmp_path, {"root": text})
        base = str(tmp_path / side.name)
        texts = (
            record.getMessage().replace(base, "BASE") for record in caplog.records if record.name == name
        )
        lines.append(sorted(text for text in texts if text.startswith("Downloaded ")))
    assert lines[0] == lines[1] == ["Downloaded a/b to BASE/root/a/b", "Downloaded c to BASE/root/c"]


def test_the_logger_gets_the_same_messages(job, tmp_path, caplog):
    text = job.manifest({f"{number}": bytes(1000) + bytes([number]) for number in range(10)})
    counts = []
    for side in SIDES:
        caplog.clear()
        logger = logging.getLogger(f"test.{side.name}")
        with caplog.at_level(logging.INFO, logger=logger.name):
            Outcome(side, job, tmp_path, {"root": text}, logger=logger)
        messages = [record.getMessage() for record in caplog.records if record.name == logger.name]
        assert messages[-1].startswith("Downloaded 10.01 KB / 10.01 KB of 10 files (Transfer rate: ")
        counts.append(len(messages))
    # Ours may log several tenths of the way at once.
    assert 1 <= counts[1] <= counts[0] + 1


def test_times_before_and_after_the_epoch(job, tmp_path):
    rows = [entry(f"{mtime}", b"x", mtime) for mtime in [0, 1, -1_000_000, 10**15 + 1, MTIME_MICROS]]
    job.data(b"x")
    theirs, ours = (Outcome(side, job, tmp_path, {"root": manifest_text(rows)}) for side in SIDES)
    assert set(ours.tree) == set(theirs.tree)
    for row in rows:
        path = f"root/{row['path']}"
        assert ours.tree[path][2] == theirs.tree[path][2] == row["mtime"]
        assert (ours.base / path).stat().st_mtime_ns == row["mtime"] * 1000


def test_names_that_are_no_utf8(job, tmp_path):
    both(job, tmp_path, {"root": job.manifest({"caf\udce9/\udcff": b"x"})})
