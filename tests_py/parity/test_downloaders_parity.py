"""InputDownloader and OutputDownloader of both implementations: roots, filters, every conflict resolution."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import boto3
import pytest
from download.job import IDS, PREFIX, JobInS3
from download.trees import OURS, SIDES, leftovers, told_error, told_statistics, tree

pytestmark = pytest.mark.usefixtures("slow_clock")
RESOLUTIONS = ["SKIP", "OVERWRITE", "CREATE_COPY", "NOT_SELECTED"]
FOLDER = "2023-01-01T00:00:00.000000Z_sessionaction-1-0"

OUTPUTS = {
    "/proj/shot": {"renders/a.exr": b"a", "renders/b.exr": b"b", "renders/a.png": b"p", "log.txt": b"log"},
    "/other": {"log.txt": b"other log", "renders/c.exr": b"c"},
    "C:\\third": {"log.txt": b"third log", "x.bin": b"\0" * 3000},
}


@pytest.fixture
def job(rig, rig_bucket) -> JobInS3:
    return JobInS3(rig, rig_bucket)


@dataclass
class Told:
    """What one side has answered and left behind, without what depends on where and when."""

    base: Path
    rows: list[Any] = field(default_factory=list)

    def say(self, value: Any) -> None:
        self.rows.append(self._without_base(value))

    def _without_base(self, value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(str(self.base), "BASE")
        if isinstance(value, dict):
            return {self._without_base(key): self._without_base(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._without_base(each) for each in value]
        return value


class Driver:
    """One side's downloader of one kind, with what both kinds share."""

    def __init__(self, side, job, kind, tmp_path, filters: Optional[list[str]] = None, **ids: str) -> None:
        self.side, self.job = side, job
        base = tmp_path / side.name
        base.mkdir(exist_ok=True)
        self.told = Told(base)
        settings = side.models.JobAttachmentS3Settings(s3BucketName=job.bucket, rootPrefix=PREFIX)
        more = {"session": boto3.Session(), "include_filters": filters}
        if kind == "output":
            self.downloader = side.download.OutputDownloader(settings, *IDS, **ids, **more)
        else:
            posix = side.models.PathFormat.POSIX
            rows = [
                side.models.ManifestProperties(root, posix, inputManifestPath=partial)
                for root, partial in job.partials
            ]
            attachments = side.models.Attachments(manifests=rows)
            self.downloader = side.download.InputDownloader(settings, attachments, **more)
        self.look()

    def look(self) -> None:
        """Notes paths, files and bytes."""
        groups = self.downloader.paths_by_root
        self.told.say(self.downloader.get_paths_by_root())
        self.told.say(list(groups))
        self.told.say({root: group.total_bytes for root, group in groups.items()})
        self.told.say(
            {
                root: {
                    alg.value: [(row.path, row.hash, row.size, row.mtime) for row in entries]
                    for alg, entries in group.files_by_hash_alg.items()
                }
                for root, group in groups.items()
            }
        )

    def at(self, path: str) -> str:
        """A path below this side's own folder."""
        return str(self.told.base / path)

    def move(self, original: str, new: str) -> None:
        self.downloader.set_root_path(original, new)
        self.look()

    def narrow(self, *patterns: str) -> None:
        self.downloader.apply_include_filters(list(patterns))
        self.look()

    def fetch(self, resolution: Optional[str] = None, callback: Any = None) -> None:
        """Downloads, and notes statistics or the error, the last report, and the tree."""
        reports: list[Any] = []

        def report(progress):
            reports.append(progress)
            return True if callback is None else callback(progress)

        options: dict[str, Any] = {"on_downloading_files": report}
        if resolution is not None:
            options["file_conflict_resolution"] = self.side.models.FileConflictResolution[resolution]
        try:
            statistics = self.downloader.download(**options)
            self.told.say(told_statistics(statistics, self.told.base))
            self.told.say(len(reports))
            self.told.say([(row.status.value, row.progress, row.processedFiles) for row in reports[-1:]])
        except Exception as error:
            self.told.say(told_error(error, self.told.base))
        self.told.say(tree(self.told.base))
        assert leftovers(self.told.base) == []

    def fails(self, call) -> None:
        with pytest.raises(ValueError, match=r"was not found in") as caught:
            call()
        self.told.say(told_error(caught.value, self.told.base))


@pytest.fixture(params=["output", "input"])
def drive(request, job, tmp_path):
    """Does the same with both sides and compares; gives ours."""
    for number, (root, files) in enumerate(OUTPUTS.items()):
        job.output(f"step-1/task-1/{FOLDER}", files, root, f"m{number}")
    job.partials = [
        (root, job.input(f"in{number}", files)) for number, (root, files) in enumerate(OUTPUTS.items())
    ]
    attempts = itertools.count()

    def both(what, kind=request.param, **options):
        folder = tmp_path / f"attempt{next(attempts)}"
        folder.mkdir()
        drivers = []
        for side in SIDES:
            driver = Driver(side, job, kind, folder, **options)
            what(driver)
            drivers.append(driver)
        theirs, ours = (driver.told.rows for driver in drivers)
        for number, (one, other) in enumerate(zip(theirs, ours)):
            assert other == one, number
        assert len(ours) == len(theirs)
        return drivers[1]

    both.kind = request.param
    return both


def to_own_folders(driver) -> None:
    for number, root in enumerate(OUTPUTS):
        driver.move(root, driver.at(f"root{number}"))


def some_are_there(driver) -> None:
    for path, body in {
        "root0/renders/a.exr": b"mine",
        "root0/log.txt": b"log",
        "root0/log (1).txt": b"first copy",
        "root1/log.txt": b"",
        "root1/unrelated": b"stays",
    }.items():
        file = driver.told.base / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        os.utime(file, ns=(10**18, 10**18))


@pytest.mark.parametrize("resolution", [None, *RESOLUTIONS])
@pytest.mark.parametrize("before", [False, True])
def test_downloads_under_every_resolution(drive, resolution, before):
    def what(driver):
        to_own_folders(driver)
        if before:
            some_are_there(driver)
        # Which of several clashes is told of first depends on threads in the reference.
        if before and resolution == "NOT_SELECTED":
            driver.narrow("*/a.exr")
        driver.fetch(resolution)

    ours = drive(what)
    statistics = ours.told.rows[-4]
    if before and resolution == "NOT_SELECTED":
        assert ours.told.rows[-2][0] == "ValueError"
        return
    assert statistics["skipped_files"] == (3 if before and resolution == "SKIP" else 0)
    copied = "root0/log (2).txt" in ours.told.rows[-1]
    assert copied == (before and resolution in (None, "CREATE_COPY"))


@pytest.mark.parametrize("resolution", [None, *RESOLUTIONS[:3]])
def test_the_second_download_of_the_same(drive, resolution):
    def what(driver):
        to_own_folders(driver)
        driver.fetch()
        driver.fetch(resolution)

    drive(what)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_roots_put_together_rename_what_clashes(drive, order):
    def what(driver):
        for number in order:
            driver.move(list(OUTPUTS)[number], driver.at("one"))
        driver.fetch()

    ours = drive(what)
    files = {path for path, row in ours.told.rows[-1].items() if row[0] == "file"}
    # What was put there first keeps its name: nobody's file is dropped.
    assert len(files) == sum(map(len, OUTPUTS.values()))
    named = {0: "_proj_shot_log.txt", 1: "_other_log.txt", 2: "C__third_log.txt"}
    assert {f"one/{named[number]}" for number in order[1:]} <= files
    assert "one/log.txt" in files


def test_a_root_put_onto_another_that_stays(drive):
    def what(driver):
        driver.move("/other", "/proj/shot")
        driver.move("/proj/shot", driver.at("x/../one/./"))
        driver.narrow(driver.at("one/*"))
        driver.fetch()

    drive(what)


def test_roots_moved_again_and_back(drive):
    def what(driver):
        first, second = driver.at("first"), driver.at("second")
        driver.move("/other", first)
        driver.move(first, second)
        driver.fails(lambda: driver.downloader.set_root_path(first, "/x"))
        driver.fails(lambda: driver.downloader.set_root_path("/other", "/x"))
        driver.move(second, second)
        driver.move(second, "/other")
        driver.move("/other", "/other")

    drive(what)


def test_roots_that_are_not_there(drive):
    def what(driver):
        for root in ["/none", "", "/proj/shot/", "proj/shot"]:
            driver.fails(lambda root=root: driver.downloader.set_root_path(root, "/x"))

    ours = drive(what)
    assert f"was not found in {drive.kind} manifests. Available roots: " in ours.told.rows[-1][1]


@pytest.mark.parametrize("new", ["relative", "..", "~", "", "a/../b", "//double", "/trailing/"])
def test_new_roots_as_they_may_be_written(drive, new, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    drive(lambda driver: driver.move("/other", new))


def test_links_in_a_new_root_are_kept(drive):
    def what(driver):
        (driver.told.base / "real").mkdir()
        (driver.told.base / "link").symlink_to("real")
        driver.move("/other", driver.at("link"))
        driver.narrow(driver.at("link") + "/*")
        driver.fetch("OVERWRITE")

    ours = drive(what)
    assert "real/log.txt" in ours.told.rows[-1]


FILTERS = [
    ["*.exr"],
    ["renders/"],
    ["/proj/shot/renders/*"],
    ["/proj/*", "/other/log.txt"],
    ["a.???"],
    ["[ab].exr"],
    ["[!a].exr"],
    ["*/shot/*"],
    ["shot/"],
    ["C:/third/*"],
    ["C:\\third\\*"],
    ["LOG.TXT"],
    [""],
    ["/"],
    ["*"],
    ["no such file"],
    [],
]


@pytest.mark.parametrize("patterns", FILTERS, ids=str)
def test_filters(drive, patterns):
    drive(lambda driver: driver.narrow(*patterns))
    drive(lambda driver: driver.look(), filters=patterns)


def test_filters_are_chained(drive):
    def what(driver):
        driver.narrow("*.exr", "log.txt")
        driver.narrow("renders/", "/other/*")
        to_own_folders(driver)
        driver.narrow("b.exr", "log.txt", "c.exr")
        driver.fetch()

    ours = drive(what, filters=["*.exr", "*.txt"])
    files = {path for path, row in ours.told.rows[-1].items() if row[0] == "file"}
    # The filter on "/other/*" does not hold any more where its root has moved: the reference applies it again.
    assert files == {"root0/renders/b.exr", "root1/renders/c.exr"}


def test_a_filter_that_leaves_nothing(drive):
    def what(driver):
        driver.narrow("none")
        driver.fetch()
        driver.fails(lambda: driver.downloader.set_root_path("/none", "/x"))

    ours = drive(what)
    assert ours.told.rows[-5]["processed_files"] == 0
    assert ours.told.rows[-4] == 0


def test_roots_that_are_not_absolute(drive):
    def what(driver):
        driver.narrow("/nothing of the others/*", "x.bin")
        driver.fetch()

    ours = drive(what)
    assert ours.told.rows[-2] == [
        "ValueError",
        "The provided root path is not an absolute path: C:\\third",
    ]


def test_the_initial_groups_stay_as_they_were(drive):
    def what(driver):
        before = {
            root: group.get_all_paths() for root, group in driver.downloader._initial_paths_by_root.items()
        }
        driver.move("/other", "/proj/shot")
        driver.narrow("*.exr")
        after = {
            root: group.get_all_paths() for root, group in driver.downloader._initial_paths_by_root.items()
        }
        assert after == before
        driver.told.say(before)

    drive(what)


def test_outputs_of_steps_tasks_and_actions(job, tmp_path):
    job.output("step-1/task-1/2023-01-01T00:00:00.000000Z_sessionaction-1-0", {"a": b"1"}, "/r")
    job.output("step-1/task-1/2023-01-02T00:00:00.000000Z_sessionaction-1-1", {"b": b"2"}, "/r")
    job.output("step-1/task-2/2023-01-02T00:00:00.000000Z_sessionaction-2-0", {"c": b"3"}, "/r")
    job.output("step-2/2023-01-02T00:00:00.000000Z_sessionaction-3-0", {"d": b"4"}, "/r")
    expected = [
        ({}, ["b", "c", "d"]),
        ({"step_id": "step-1"}, ["b", "c"]),
        ({"step_id": "step-1", "task_id": "task-1"}, ["b"]),
        ({"step_id": "step-1", "task_id": "task-1", "session_action_id": "sessionaction-1-0"}, ["a"]),
        ({"step_id": "step-9"}, None),
    ]
    for ids, paths in expected:
        theirs, ours = (Driver(side, job, "output", tmp_path, **ids) for side in SIDES)
        assert ours.told.rows == theirs.told.rows
        assert ours.downloader.get_paths_by_root() == ({} if paths is None else {"/r": paths})


def test_cancellation(job, tmp_path):
    job.output(f"step-1/task-1/{FOLDER}", {"a": b"a", "b": b"b"}, "/r")
    driver = Driver(OURS, job, "output", tmp_path)
    driver.move("/r", driver.at("one"))
    driver.fetch(callback=lambda report: False)
    assert driver.told.rows[-2][0] == "AssetSyncCancelledError"


def test_a_clash_in_a_folder_is_renamed_there_unlike_in_the_reference(job, tmp_path):
    for number, root in enumerate(["/one", "/two"]):
        job.output(f"step-1/task-1/{FOLDER}", {"sub/x": root.encode()}, root, f"m{number}")
    theirs, ours = (Driver(side, job, "output", tmp_path) for side in SIDES)
    with pytest.raises(ValueError, match="Invalid name"):
        theirs.move("/one", "/two")
    ours.move("/one", "/two")
    assert ours.downloader.get_paths_by_root() == {"/two": ["sub/_one_x", "sub/x"]}
