"""The built wheel, alone in an empty environment."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

ROUND_TRIP = r"""
import importlib.util, sys

assert importlib.util.find_spec("boto3") is None
assert importlib.util.find_spec("botocore") is None
assert importlib.util.find_spec("deadline") is None

from pathlib import Path
from rusty_attachments import AssetManifest, HashAlgorithm, decode_manifest, hash_data, hash_file
from rusty_attachments.asset_manifests.v2023_03_03 import ManifestPath

file = Path(sys.argv[1])
file.write_bytes(b"contents")
digest = hash_file(str(file), HashAlgorithm.XXH128)
assert digest == hash_data(b"contents", HashAlgorithm.XXH128)
names = ["a", "\U0001f600", "\ufb33", "lone \udcff", 'quote "', "\x7f"]
manifest = AssetManifest(
    hash_alg=HashAlgorithm.XXH128,
    paths=[ManifestPath(path=name, hash=digest, size=8, mtime=1_700_000_000_000_001) for name in names],
    total_size=8 * len(names),
)
text = manifest.encode()
again = decode_manifest(text)
assert again.encode() == text and text.isascii()
assert sorted(entry.path for entry in again.paths) == sorted(names)
assert [entry.path for entry in again.paths].index("\U0001f600") < [entry.path for entry in again.paths].index("\ufb33")
print("round trip", len(again.paths))
"""


@pytest.fixture(scope="module")
def wheel() -> Path:
    folder = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "wheels"
    wheels = sorted(folder.glob("*.whl"))
    assert len(wheels) == 1, f"{folder} has {len(wheels)} wheels; `make build-release` puts one there"
    return wheels[0]


def test_it_serves_every_python_from_3_9_on(wheel):
    assert "-cp39-abi3-" in wheel.name


def test_it_has_no_requirements_and_brings_its_licence_and_types(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [metadata] = [name for name in names if name.endswith(".dist-info/METADATA")]
        lines = archive.read(metadata).decode().splitlines()
    required = [line for line in lines if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert required == []
    assert "License-Expression: Apache-2.0" in lines
    assert any(name.endswith("LICENSE") for name in names)
    assert {"rusty_attachments/py.typed", "rusty_attachments/_native.pyi"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]


def test_it_passes_the_checks_of_wheels(wheel):
    if "-linux_" in wheel.name:
        pytest.skip("built with NATIVE_WHEEL=native, for this system alone")
    command = [sys.executable, REPOSITORY / "make" / "check_wheel.py", wheel]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_alone_in_an_empty_environment_it_round_trips_a_manifest(wheel, tmp_path):
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", wheel]
    subprocess.run([*install, "--disable-pip-version-check"], check=True)
    outcome = subprocess.run(
        [python, "-I", "-c", ROUND_TRIP, tmp_path / "file"], capture_output=True, text=True, cwd=tmp_path
    )
    assert outcome.stderr == ""
    assert outcome.stdout == "round trip 6\n"
    program = environment / "bin" / "rusty-attachments"
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert (shown.stdout.split()[0], shown.stderr) == ("rusty-attachments", "")
