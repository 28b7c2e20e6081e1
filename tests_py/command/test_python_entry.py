"""The program as the Python package starts it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

from command.program import COUNT, FEW, Command, read_tree
from command.terminal import Terminal

#: What the script of an installed wheel does.
SCRIPT = "import sys; from rusty_attachments_command import main; sys.exit(main())"

LIST_MODULES = """
import sys
before = set(sys.modules)
from rusty_attachments_command import main
status = main(["--version"])
print(*sorted(set(sys.modules) - before))
"""


@pytest.fixture
def from_python(command) -> Command:
    return Command([sys.executable, "-c", SCRIPT], command.folder)


def test_it_imports_next_to_nothing():
    ran = subprocess.run([sys.executable, "-I", "-c", LIST_MODULES], capture_output=True, text=True)
    if "No module named" in ran.stderr:  # not installed, but on the path
        ran = subprocess.run([sys.executable, "-c", LIST_MODULES], capture_output=True, text=True)
    version, modules = ran.stdout.splitlines()
    assert version.startswith("rusty-attachments ")
    ours = [name for name in modules.split() if name.startswith("rusty_attachments")]
    assert ours == ["rusty_attachments._native", "rusty_attachments_command"]
    assert not {"asyncio", "logging", "pathlib", "dataclasses", "re"} & set(modules.split())


def test_it_is_the_same_program(from_python, command, shot, place):
    manifest = from_python("push", "shot_010", place, "--json").summary()["manifest"]
    assert from_python("ls", manifest).out == command("ls", manifest).out
    assert from_python("verify", manifest, "nowhere", status=1).err.startswith(
        "rusty-attachments: Failed to open"
    )
    assert from_python("psuh", status=2).err == command("psuh", status=2).err


def test_names_that_are_no_utf_8_survive(from_python, place, tmp_path):
    (tmp_path / "sh\udcf6t").mkdir()
    (tmp_path / "sh\udcf6t" / "caf\udce9.txt").write_bytes(b"menu")
    manifest = from_python("push", b"sh\xf6t", place, "--json").summary()["manifest"]
    from_python("pull", manifest, b"c\xf6py")
    assert (tmp_path / "c\udcf6py" / "caf\udce9.txt").read_bytes() == b"menu"


def test_python_runs_it_as_a_module(command):
    as_module = Command([sys.executable, "-m", "rusty_attachments"], command.folder)
    assert as_module("--version").out == command("--version").out


def test_the_doctor_knows_what_is_swapped(from_python, rig):
    text = from_python("doctor").out
    assert re.search(r"^python: +\d+\.\d+\.\d+, /", text, re.M)
    assert re.search(r"^swap: +off$", text, re.M)
    assert re.search(r"^features: +s3, cli, python$", text, re.M)


def test_ctrl_c_stops_it_cleanly(from_python, slow, tmp_path):
    run = Terminal(from_python, 100, "pull", slow, "copy", *FEW)
    run.wait_for(r"Downloading.*[1-9]\d?%")
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 130
    assert "stopped while downloading" in run.lines()[-1]
    assert "Traceback" not in run.text
    assert 0 < len(read_tree(tmp_path / "copy")) < COUNT


def test_ctrl_c_twice_stops_it_at_once(from_python, slow, rig):
    rig.config(delay_ms=20_000)
    run = Terminal(from_python, 100, "pull", slow, "copy", *FEW)
    run.wait_for("Downloading")
    run.process.send_signal(signal.SIGINT)
    run.wait_for(r"stopped while|\^C|$", 1)
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 130
