"""The program on a terminal, narrow and wide: bars, Ctrl-C once and twice; and in a pipe the lines in their place."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time

import pytest

from command.program import COUNT, DELAY_MS, FEW, read_tree, write_tree
from command.terminal import Terminal


@pytest.mark.parametrize("columns", [40, 200])
def test_a_bar_fits_the_terminal_and_goes_away(command, slow, columns):
    run = Terminal(command, columns, "pull", slow, "copy", *FEW)
    assert run.end() == 0
    bars = [line for line in run.lines() if line.startswith("Downloading")]
    assert any(re.search(r"\d+% [\d.]+ k?B/s", line) for line in bars), bars
    assert all(len(line) <= columns for line in bars), bars
    assert any(" left" in line and " of " in line for line in bars) == (columns == 200)
    assert run.lines()[-2:] == [f"Downloaded {COUNT} files (180 kB)", "Folder: copy"]


def test_a_pipe_gets_a_line_a_second(command, slow):
    ran = command("pull", slow, "copy", *FEW)
    lines = ran.err.splitlines()
    assert 1 <= len(lines) <= COUNT * DELAY_MS / 1000
    assert all(
        re.fullmatch(r"Downloading: \d+ files?, [\d.]+ k?B of 180 kB, \d+% .*", line) for line in lines
    ), lines
    assert command("pull", slow, "again", *FEW, "--quiet").err == ""


def test_ctrl_c_stops_cleanly_and_says_what_is_done(command, slow, tmp_path):
    run = Terminal(command, 100, "pull", slow, "copy", *FEW)
    run.wait_for(r"Downloading.*[1-9]\d?%")
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 130
    assert re.search(
        r"rusty-attachments: stopped while downloading: \d+ of 60 files are done", run.lines()[-1]
    )
    names = read_tree(tmp_path / "copy")
    assert all(re.fullmatch(r"\d+\.exr", name) for name in names), "no temporary files"
    assert 0 < len(names) < COUNT


def test_ctrl_c_twice_stops_at_once(command, slow, rig):
    rig.config(delay_ms=20_000)
    run = Terminal(command, 100, "pull", slow, "copy", *FEW)
    time.sleep(1)
    begun = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 130
    assert time.monotonic() - begun < 5


def test_a_stop_in_a_pipe_is_an_event(command, slow):
    run = subprocess.Popen(
        [*command.program, "pull", slow, "copy", *FEW, "--json"],
        cwd=command.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert '"progress"' in run.stdout.readline()
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 130
    assert '"event":"error","exit_status":130,"message":"stopped' in out.splitlines()[-1]


def test_refusals_are_shown(command, slow, rig):
    rig.config(delay_ms=0)
    rig.rules(
        {"operation": "GetObject", "key": "*/Data/*", "fault": {"kind": "status", "status": 503}, "times": 40}
    )
    run = Terminal(command, 80, "pull", slow, "copy", *FEW)
    run.wait_for(r"S3 refused, retrying for \d+ s")
    rig.rules()
    assert run.end() == 0


def test_no_colours_where_they_are_not_wanted(command, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    run = Terminal(command, 80, "psuh")
    assert run.end() == 2
    assert "\x1b" not in run.text


def test_retries_are_events(command, slow, rig):
    rig.config(delay_ms=0)
    rig.rules(
        {"operation": "GetObject", "key": "*/Data/*", "fault": {"kind": "status", "status": 503}, "times": 3}
    )
    ran = command("pull", slow, "copy", "-v")
    retries = [line for line in ran.err.splitlines() if "trying again in" in line]
    assert len(retries) == 3
    assert all(
        re.match(r"debug: GetObject of s3://.*: attempt 1 failed: HTTP status 503", line) for line in retries
    )
    assert "trying again" not in command("pull", slow, "other").err


def test_events_may_be_asked_for_in_the_environment(command, slow, rig, monkeypatch):
    rig.config(delay_ms=0)
    rig.rules(
        {"operation": "GetObject", "key": "*/Data/*", "fault": {"kind": "status", "status": 503}, "times": 1}
    )
    monkeypatch.setenv("RUSTY_ATTACHMENTS_LOG", "debug")
    events = command("pull", slow, "copy", "--json").events()
    [retry] = [event for event in events if event["event"] == "log" and "trying again" in event["message"]]
    assert (retry["level"], retry["command"]) == ("debug", "pull")
    monkeypatch.setenv("RUSTY_ATTACHMENTS_LOG", "loud")
    assert "RUSTY_ATTACHMENTS_LOG must be off, warn, info or debug" in command("ls", "x", status=2).err


def test_a_rate_is_not_exceeded(command, rig, place, tmp_path):
    write_tree(tmp_path / "large", {"a.exr": os.urandom(3_000_000), "b.exr": os.urandom(1_000_000)})
    limit = ("--limit-rate", "2MB/s", "--json")
    pushed = command("push", "large", place, *limit).events()
    pulled = command("pull", pushed[-1]["manifest"], "copy", *limit).events()
    for stage, events in [("uploading", pushed), ("downloading", pulled)]:
        last = [event for event in events if event.get("stage") == stage][-1]
        assert last["processed_bytes"] == 4_000_000
        assert last["processed_bytes"] / last["elapsed_seconds"] < 1.05 * 2_000_000
    assert read_tree(tmp_path / "copy") == read_tree(tmp_path / "large")
