"""The switch: every program of a Python swapped from its start, by two files, and back."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path

import pytest
import rusty_attachments
from environments import Environment, Python
from rusty_attachments import swap

PTH, CONFIG = "rusty_attachments_swap.pth", "rusty_attachments_swap.json"

#: Prints where a name comes from that is swapped, and what was logged.
WHOSE = """
import logging
logging.basicConfig(level=logging.INFO, format="LOG %(levelname)s %(name)s %(message)s")
import {first}
from deadline.job_attachments.upload import S3AssetUploader
from deadline.job_attachments.asset_manifests.decode import decode_manifest
print("uploader", S3AssetUploader.__module__.split(".")[0], "decoder", decode_manifest.__module__.split(".")[0])
"""
OURS = "uploader rusty_attachments decoder rusty_attachments"
THEIRS = "uploader deadline decoder deadline"


def whose(python: Python, first: str = "deadline.job_attachments", **environment: str) -> str:
    return python.run("-c", WHOSE.format(first=first), **environment)


def files(python: Python) -> set[str]:
    return {path.name for path in python.packages.iterdir()} - {"others.pth"}


def our_folder() -> str:
    return str(Path(rusty_attachments.__file__).parents[1])


@pytest.fixture
def python(tmp_path) -> Python:
    return Python(tmp_path / "python", [our_folder(), sysconfig.get_path("purelib")])


def test_every_program_is_swapped_until_that_is_taken_back(python):
    assert THEIRS in whose(python)
    assert "on" in python.swap("enable").splitlines()[0]
    assert files(python) == {PTH, CONFIG}
    told = whose(python)
    assert OURS in told
    lines = [line for line in told.splitlines() if line.startswith("LOG")]
    assert len(lines) == 1, "one line a process"
    assert lines[0].startswith("LOG INFO deadline.job_attachments rusty_attachments: version ")
    assert f" {len(swap.SWAPS)} names " in lines[0]
    assert "on" in python.swap("status").splitlines()[0]
    assert "off" in python.swap("disable").splitlines()[0]
    assert files(python) == set(), "both files are gone"
    assert THEIRS in whose(python)


@pytest.mark.parametrize(
    "first", ["rusty_attachments", "deadline.job_attachments.upload", "rusty_attachments.upload"]
)
def test_whichever_package_is_imported_first(python, first):
    python.swap("enable")
    assert OURS in whose(python, first)


def test_children_are_swapped_as_well(python):
    python.swap("enable")
    child = WHOSE.format(first="sys")
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    assert OURS in python.run("-c", program)


def test_a_program_that_only_looks_for_the_reference_does_not_use_up_the_switch(python):
    python.swap("enable")
    look = "import importlib.util as u; assert u.find_spec('deadline.job_attachments'); " + WHOSE.format(
        first="sys"
    )
    assert OURS in python.run("-c", look)


def test_some_names_and_those_of_a_program(python):
    python.swap("enable", "decode_manifest")
    assert "uploader deadline decoder rusty_attachments" in whose(python)
    python.swap("enable", "--for", "worker-agent")
    assert OURS in whose(python)
    names = json.loads((python.packages / CONFIG).read_text())["names"]
    assert "download_files_from_manifests" in names
    assert len(names) < len(swap.SWAPS)
    before = (python.packages / CONFIG).read_bytes()
    python.swap("enable", "--for", "worker-agent")
    assert (python.packages / CONFIG).read_bytes() == before, "twice is once"


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"DEADLINE_USE_NATIVE": "0"}, THEIRS),
        ({"DEADLINE_USE_NATIVE": "1"}, OURS),
        ({"RUSTY_ATTACHMENTS_SWAP": "off"}, THEIRS),
        ({"RUSTY_ATTACHMENTS_SWAP": "all"}, OURS),
        (
            {"RUSTY_ATTACHMENTS_SWAP": "decode_manifest,hash_file"},
            "uploader deadline decoder rusty_attachments",
        ),
        ({"RUSTY_ATTACHMENTS_SWAP": "all", "DEADLINE_USE_NATIVE": "false"}, THEIRS),
    ],
)
def test_the_environment_comes_first(python, environment, told):
    python.swap("enable")
    assert told in whose(python, **environment)


def test_a_program_without_the_reference_loads_nothing_of_ours(python):
    python.swap("enable")
    loaded = python.run(
        "-c", "import sys; print([name for name in sys.modules if 'rusty' in name or 'json' in name])"
    )
    assert loaded.strip() == "[]"


def test_a_version_that_is_not_known_stays_as_it_is(python, tmp_path):
    package = python.packages / "deadline" / "job_attachments"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").write_text("version = '9.9.9'")
    (package / "upload.py").write_text("class S3AssetUploader: pass")
    (package / "asset_manifests").mkdir()
    (package / "asset_manifests" / "__init__.py").touch()
    (package / "asset_manifests" / "decode.py").write_text("def decode_manifest(): pass")
    python.swap("enable")
    told = whose(python)
    assert THEIRS in told
    lines = [line for line in told.splitlines() if line.startswith("LOG")]
    assert len(lines) == 1
    assert lines[0].startswith("LOG WARNING")
    assert "9.9.9" in lines[0]


def test_whatever_fails_the_reference_stays_and_one_line_says_so(python):
    python.swap("enable")
    (python.packages / CONFIG).write_text("{")
    told = whose(python)
    assert THEIRS in told
    assert [line.split()[1] for line in told.splitlines() if line.startswith("LOG")] == ["WARNING"]
    (python.packages / CONFIG).write_text('{"names": ["no_such_name"]}')
    assert THEIRS in whose(python)
    # A native module that can't be loaded.
    broken = python.packages / "rusty_attachments"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('no such symbol')")
    (python.packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n{our_folder()}\n")
    (python.packages / CONFIG).write_text('{"names": "all"}')
    told = whose(python)
    assert THEIRS in told
    assert "no such symbol" in told


def test_without_the_package_the_file_does_nothing(python):
    python.swap("enable")
    text = (python.packages / PTH).read_text()
    (python.packages / PTH).write_text(text.replace(our_folder(), "/nowhere"))
    assert python.run("-c", "print('fine')") == "fine\n"


@pytest.mark.parametrize("name", [PTH, CONFIG])
@pytest.mark.parametrize("command", ["enable", "disable"])
def test_files_of_somebody_else_are_left_as_they_are(python, name, command):
    (python.packages / name).write_text("import this")
    told = python.swap(command, status=2)
    assert name in told
    assert "Traceback" not in told
    assert {path: (python.packages / path).read_text() for path in files(python)} == {name: "import this"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["enable", "no_such_name"],
        ["enable", "HashCache"],
        ["enable", "--for", "blender"],
        ["enable", "--target", "/no/where"],
        [],
    ],
)
def test_what_is_not_known_is_refused(python, arguments):
    told = python.swap(*arguments, status=2)
    assert "Traceback" not in told
    assert files(python) == set()


def test_another_folder_and_the_functions(tmp_path):
    told = swap.enable(["decode_manifest"], target=tmp_path)
    assert (told.enabled, told.names, told.folder) == (True, ("decode_manifest",), str(tmp_path))
    assert swap.status(tmp_path) == told
    assert not list(tmp_path.glob(".*")), "nothing is left beside the two files"
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in tmp_path.iterdir()), "other users read them"
    assert not swap.disable(tmp_path).enabled
    assert swap.disable(tmp_path).names == ()
    assert list(tmp_path.iterdir()) == []


def test_the_agents_environment(tmp_path):
    """Its own version of the reference."""
    agent = Environment("agent")
    packages = [str(agent.our_package()), str(agent.site_packages())]
    python = Python(tmp_path / "python", packages)
    python.swap("enable", "--for", "worker-agent")
    assert OURS in whose(python)
    assert OURS in python.run("-c", "import deadline_worker_agent\n" + WHOSE.format(first="sys"))
    python.swap("disable")
    assert THEIRS in whose(python)
