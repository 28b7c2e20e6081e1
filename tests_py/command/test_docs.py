"""docs/commands.md: its examples run, and its tables are what `--json` prints."""

from __future__ import annotations

import re
import shlex

from rig.server import REPOSITORY

from command.program import write_tree

PAGE = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
#: What depends on the machine.
HASH = re.compile(r"[0-9a-f]{32}")
CACHE = re.compile(r"\d+ (?:k?B) in \S+")


def shown(text: str) -> str:
    return CACHE.sub("… in …", HASH.sub("HASH", text))


def test_its_examples_run(command, shot, rig, tmp_path):
    rig.create_bucket("my-farm-bucket")
    write_tree(tmp_path / "rendered", {"beauty.exr": b"beauty"})
    command("push", "rendered", "s3://my-farm-bucket/DeadlineCloud")
    text = command("snapshot", "rendered", "-o", "-").out
    key = "DeadlineCloud/Manifests/farm-1/queue-1/job-1/step-1/task-1/2026-01-01T00:00:00Z_sa/x_output"
    rig.put("my-farm-bucket", key, text.encode(), {"x-amz-meta-asset-root": "/show/shot_010"})
    command("cache", "clear")
    count = 0
    for block in EXAMPLES:
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, expected = example.partition("\n")
            program, *arguments = shlex.split(line.split(" > ")[0])
            assert program == "rusty-attachments"
            ran = command(*arguments)
            if expected:
                assert shown(ran.out) == shown(expected), line
            count += 1
    assert count >= 14


def table(heading: str) -> dict[str, set[str]]:
    """Rows of the table with this heading: names in the first cell, and in the second those that are fields."""
    rows = PAGE.split(f"| {heading} | fields |\n|---|---|\n")[1].split("\n\n")[0].splitlines()
    found = {}
    for row in rows:
        first, second = [cell.strip() for cell in row.strip("|").split("|")]
        for name in re.findall(r"`([^`]+)`", first):
            found[name] = set(re.findall(r"`([a-z_0-9]+)`", second))
    return found


def runs(command, place, rig, rig_bucket, tmp_path):
    """Every command with `--json`: the row of its summary, and its events."""
    ids = ("--farm", "farm-1", "--queue", "queue-1", "--job", "job-1")
    pushed = command("push", "shot_010", place, "--json")
    manifest = pushed.summary()["manifest"]
    text = command("snapshot", "shot_010", "-o", "-").out
    key = "DeadlineCloud/Manifests/farm-1/queue-1/job-1/step-1/task-1/2026-01-01T00:00:00Z_sa/x_output"
    rig.put(rig_bucket, key, text.encode(), {"x-amz-meta-asset-root": "/show"})
    write_tree(tmp_path / "other", {"scene.blend": b"o", "new": b""})
    yield "push", pushed
    yield "push --dry-run", command("push", "shot_010", place, "--json", "-n")
    yield "snapshot", command("snapshot", "shot_010", "-o", "m", "--json")
    yield "diff", command("diff", "shot_010", "other", "--json")
    yield "pull", command("pull", manifest, "copy", "--json")
    yield "pull --dry-run", command("pull", manifest, "copy", "--json", "-n")
    yield "outputs", command("outputs", place, "out", *ids, "--json")
    yield "outputs --dry-run", command("outputs", place, "out", *ids, "--json", "-n")
    yield "outputs --list", command("outputs", place, *ids, "--json", "--list")
    yield "ls", command("ls", "shot_010", "--json")
    yield "tree", command("tree", "shot_010", "--json")
    yield "du", command("du", "shot_010", "--json")
    yield "du", command("du", "shot_010", "--json", "--by-extension")
    yield "du", command("du", "shot_010", "--json", "--duplicates")
    yield "verify", command("verify", manifest, "other", "--remote", place, "--json", status=1)
    yield "cache info", command("cache", "info", "--json")
    yield "cache clear", command("cache", "clear", "--json")
    yield "doctor", command("doctor", "--json")


def names_in(value) -> set[str]:
    """The names of an object and of the objects in it."""
    if isinstance(value, list):
        return set().union(*map(names_in, value)) if value else set()
    if isinstance(value, dict):
        return set(value).union(*map(names_in, value.values()))
    return set()


def test_its_tables_are_what_is_printed(command, shot, place, rig, rig_bucket, tmp_path):
    events, summaries = table("`event`"), table("`summary` of")
    seen_events, seen_summaries = set(), set()
    for row, ran in runs(command, place, rig, rig_bucket, tmp_path):
        *others, last = ran.events()
        assert last.pop("event") == "summary"
        assert last.pop("command") == row.split()[0]
        last.pop("report", None)  # names and texts for people
        assert names_in(last) <= summaries[row], row
        assert summaries[row] - names_in(last) <= {"report", "hashes", "s3_check"}, row
        seen_summaries.add(row)
        for event in others:
            name = event.pop("event")
            assert event.pop("command") == row.split()[0]
            assert names_in(event) <= events[name], (row, name)
            seen_events.add(name)
    failed = command("ls", "nothing", "--json", status=1).summary()
    assert (failed.pop("event"), failed.pop("command")) == ("error", "ls")
    assert set(failed) == events["error"]
    assert seen_summaries == set(summaries)
    assert seen_events | {"error", "log"} == set(events)
