"""`deadline queue sync-output`, which fetches outputs as they come: unswapped, and with everything swapped."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from deadline_command import BUCKET, PREFIX, QUEUE_OPTIONS, Deadline
from rusty_attachments import swap
from test_deadline_outputs import OUTPUTS, ROOT, job_with_outputs, stored_outputs

STATUSES = [
    *("PENDING", "READY", "RUNNING", "ASSIGNED", "STARTING", "SCHEDULED"),
    *("INTERRUPTING", "SUSPENDED", "CANCELED", "FAILED", "SUCCEEDED", "NOT_COMPATIBLE"),
]
#: What the command moves bytes, and remembers, with.
SWAPPED = {
    *("_add_output_manifests_from_s3", "_download_all_manifests_with_absolute_paths"),
    *("_download_manifest_paths", "_get_manifests_to_download"),
    *("IncrementalDownloadState", "IncrementalDownloadJob", "_PathMappingRuleApplier"),
}


def progress_of(deadline: Deadline, succeeded: int, running: int, ended: str | None = None) -> None:
    """How far the job has come."""
    counts = {**dict.fromkeys(STATUSES, 0), "SUCCEEDED": succeeded, "RUNNING": running}
    job = deadline.service.job
    job.pop("endedAt", None)
    job.update(taskRunStatus="RUNNING" if running else "SUCCEEDED", taskRunStatusCounts=counts)
    if ended:
        job["endedAt"] = ended


def task_done(deadline: Deadline, session: str, number: int, task: int, files: dict[str, bytes]) -> None:
    """A session action has put out files."""
    stored_outputs(deadline, ROOT, files, task, number)
    action = {
        "sessionActionId": f"sessionaction-abc-{number}",
        "status": "SUCCEEDED",
        "definition": {"taskRun": {"taskId": f"task-{task}", "stepId": "step-1", "parameters": {}}},
    }
    deadline.service.session_actions.setdefault(session, []).append(action)


def command(deadline: Deadline, *more: str) -> list[object]:
    """The command with a checkpoint of its own, looking back to the beginning."""
    checkpoint = [
        "--checkpoint-dir",
        deadline.folder / "checkpoint",
        "--bootstrap-lookback-minutes",
        "10000000",
    ]
    return ["queue", "sync-output", *QUEUE_OPTIONS, *checkpoint, "--verbose", *more]


def without_times(text: str) -> str:
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?", "<when>", text)
    return re.sub(r"\d\d:\d\d:\d\d", "<when>", text)


def said(deadline: Deadline, *more: str) -> list[object]:
    """Runs the command; the exit status and the lines, without times and without progress on the way."""
    status, *lines = deadline.said(*command(deadline, *more))
    text = without_times("\n".join(map(str, lines)))
    text = re.sub(r"\b[\d.]+(h\d+m|m\d+s|h|m|s)\b", "<time>", text)
    # A step says how long it took where that is long.
    text = re.sub(r"(?m) {2,}<time>$", "", text)
    text = re.sub(r"(?m)^ +Downloaded .* of \d+ files? \(Transfer rate: .*\)\n", "", text)
    return [status, *text.splitlines()]


def kept(deadline: Deadline) -> dict[str, object]:
    """The checkpoint, the tracker of failures, and the status file."""
    files = [*(deadline.folder / "checkpoint").iterdir(), *(deadline.folder / "mapped").glob(".deadline/*")]
    texts = {file.name: without_times(file.read_text()) for file in files}
    return {name: json.loads(text) for name, text in sorted(texts.items())}


def outputs(deadline: Deadline) -> dict[str, tuple[bytes, int]]:
    found = deadline.files(deadline.folder / "mapped")
    return {name: file for name, file in found.items() if not name.startswith(".deadline/")}


def prepared(deadline: Deadline) -> None:
    deadline.service.session_actions = {}
    job_with_outputs(deadline)
    # The folder of the storage profile's location.
    (deadline.folder / "mapped").mkdir()


def requeued_twice(deadline: Deadline) -> list[Any]:
    """A job on its way, nothing new, at its end, after it is queued again, and once more."""
    prepared(deadline)
    steps: list[Any] = []

    def sync(*more: str) -> None:
        steps.append((said(deadline, *more), kept(deadline), outputs(deadline)))

    progress_of(deadline, 1, 2)
    task_done(deadline, "session-1", 0, 1, OUTPUTS)
    sync("--dry-run")
    sync()
    sync()
    task_done(deadline, "session-1", 1, 2, {"renders/3.exr": b"three"})
    progress_of(deadline, 3, 0, "2026-01-02T00:00:00Z")
    sync()
    for number in (2, 3):
        progress_of(deadline, 2, 1)
        sync()
        body = f"again {number}".encode()
        task_done(deadline, f"session-{number}", number, 2, {"renders/3.exr": body, f"new {number}": body})
        progress_of(deadline, 3, 0, f"2026-01-0{number + 1}T00:00:00Z")
        sync()
    for resolution in ("SKIP", "CREATE_COPY"):
        sync("--force-bootstrap", "--conflict-resolution", resolution)
    return steps


def unmapped(deadline: Deadline) -> list[Any]:
    """Without storage profiles: outputs go to the paths that they were made at, or are named where they lead out."""
    prepared(deadline)
    root = str(deadline.folder / "mapped" / "shot")
    deadline.service.manifests = [{"rootPath": root, "rootPathFormat": "posix"}]
    progress_of(deadline, 1, 0, "2026-01-02T00:00:00Z")
    stored_outputs(deadline, root, {**OUTPUTS, "../elsewhere": b"x"})
    action = {
        "sessionActionId": "sessionaction-abc-0",
        "status": "SUCCEEDED",
        "definition": {"taskRun": {"taskId": "task-1", "stepId": "step-1", "parameters": {}}},
    }
    deadline.service.session_actions = {"session-1": [action]}
    steps = [(said(deadline, "--ignore-storage-profiles"), kept(deadline), outputs(deadline))]
    assert "elsewhere" not in steps[0][2]
    return steps


def failing(deadline: Deadline) -> list[Any]:
    """Contents that are missing fail their task alone, and are fetched once they are there."""
    prepared(deadline)
    progress_of(deadline, 2, 0, "2026-01-02T00:00:00Z")
    task_done(deadline, "session-1", 0, 1, OUTPUTS)
    task_done(deadline, "session-1", 1, 2, {"gone": b"gone"})
    key = next(e["key"] for e in deadline.rig.objects(BUCKET, f"{PREFIX}/Data/") if e["size"] == len(b"gone"))
    deadline.rig.delete(BUCKET, key)
    status, *lines = said(deadline)
    # S3's words about the key are in the lines; the fields are compared.
    steps: list[Any] = [(status, [line for line in lines if "gone" not in line and "403" not in line])]
    (state,) = [value for name, value in kept(deadline).items() if name.endswith("_status.json")]
    steps.append([status_without_texts(state), outputs(deadline)])
    deadline.rig.store(b"gone", BUCKET, f"{PREFIX}/Data/")
    steps.append((said(deadline)[0], outputs(deadline)))
    return steps


def status_without_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: status_without_texts(each) for name, each in value.items() if name != "error_message"}
    return [status_without_texts(each) for each in value] if isinstance(value, list) else value


def test_what_the_command_calls_is_swapped():
    assert set(swap.SWAPS) >= SWAPPED


@pytest.mark.parametrize("scenario", [requeued_twice, unmapped, failing])
def test_swapped_and_unswapped_do_the_same(scenario, both):
    (theirs, they_asked), (ours, we_asked) = both(scenario)
    assert len(ours) == len(theirs)
    for mine, expected in zip(ours, theirs):
        assert mine == expected
    # The command keeps storage profiles in a set: which it asks for first is up to the hashes of texts.
    assert sorted(we_asked) == sorted(they_asked)


def test_the_comparison_compares_something(tmp_path, rig, service):
    """Each step of the long scenario changes something."""
    deadline = Deadline(tmp_path / "deadline", rig, service, swapped=True)
    steps = requeued_twice(deadline)
    assert [lines[0] for lines, *_ in steps] == [0] * len(steps)
    files = [found for *_, found in steps]
    assert files[0] == {}
    assert files[1] == files[2] != files[3]
    assert set(files[1]) == {f"shot/{name}" for name in OUTPUTS}
    contents = [found.get("shot/renders/3.exr", (b"", 0))[0] for found in files]
    assert contents[3:8] == [b"three", b"three", b"again 2", b"again 2", b"again 3"]
    assert "shot/renders/3 (1).exr" in files[-1]


@pytest.mark.parametrize("after", [1, 20, 45])
def test_killed_and_resumed(after, tmp_path, rig, service):
    """Killed while it downloads, the command goes on from its checkpoint: nothing is missing, and nothing is left."""
    files = {f"renders/{number:03}.exr": f"frame {number}".encode() * 500 for number in range(60)}
    outcomes = []
    for swapped in (False, True):
        deadline = Deadline(tmp_path / "deadline", rig, service, swapped)
        prepared(deadline)
        progress_of(deadline, 1, 2)
        task_done(deadline, "session-1", 0, 1, {"first": b"first"})
        assert said(deadline)[0] == 0
        task_done(deadline, "session-1", 1, 2, files)
        progress_of(deadline, 2, 1)
        rig.config(delay_ms=40)
        before = rig.count("GetObject")
        # Those of this process.
        others = rig.connections()
        with deadline.start(*command(deadline)) as process:
            while rig.count("GetObject") - before <= after and process.poll() is None:
                time.sleep(0.005)
            process.kill()
        rig.config(delay_ms=0)
        rig.wait_until_idle(others=others)
        assert said(deadline)[0] == 0
        found = outputs(deadline)
        assert {name: body for name, (body, _) in found.items()} == {
            "shot/first": b"first",
            **{f"shot/{name}": body for name, body in files.items()},
        }
        outcomes.append((found, kept(deadline)))
    theirs, ours = outcomes
    assert ours == theirs


def test_what_is_remembered_can_be_read_by_either(tmp_path, rig, service):
    """A farm may swap, and swap back, between two runs."""
    for first in (True, False):
        deadline = Deadline(tmp_path / "deadline", rig, service, first)
        prepared(deadline)
        progress_of(deadline, 1, 2)
        task_done(deadline, "session-1", 0, 1, OUTPUTS)
        assert said(deadline)[0] == 0
        deadline.swapped = not first
        rig.reset()
        task_done(deadline, "session-1", 1, 2, {"more": b"more"})
        progress_of(deadline, 2, 1)
        assert said(deadline)[0] == 0
        assert set(outputs(deadline)) == {"shot/more", *(f"shot/{name}" for name in OUTPUTS)}
        # One manifest and one file.
        assert rig.count("GetObject") == 2
    assert not list(Path(tmp_path).rglob("*.rusty*"))
