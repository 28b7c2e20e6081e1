"""The package as it is installed: what importing it does and does not do."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import pytest
import rusty_attachments

REPOSITORY = Path(__file__).resolve().parents[1]

IMPORT_EVERYTHING = """
import importlib, json, pkgutil, sys, threading
import rusty_attachments
for module in pkgutil.walk_packages(rusty_attachments.__path__, "rusty_attachments."):
    importlib.import_module(module.name)
"""


def run(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_importing_starts_no_thread():
    assert run(f"{IMPORT_EVERYTHING}\nimport os\nprint(len(os.listdir('/proc/self/task')))").strip() == "1"


def test_importing_needs_the_standard_library_alone():
    """The reference is looked for, since `except` clauses that name its classes should catch ours."""
    loaded = json.loads(
        run(f"{IMPORT_EVERYTHING}\nprint(json.dumps(sorted({{n.split('.')[0] for n in sys.modules}})))")
    )
    foreign = {"boto3", "botocore", "rich", "xxhash", "typing_extensions"}
    assert not foreign & set(loaded)


def test_importing_prints_nothing():
    assert run(IMPORT_EVERYTHING) == ""


def test_the_version_is_the_same_everywhere():
    cargo = re.search(r'^version = "(.+)"', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)
    assert cargo is not None
    assert (
        rusty_attachments.version
        == rusty_attachments.__version__
        == metadata.version("rusty-attachments")
        == cargo[1]
    )


def test_types_are_shipped():
    files = resources.files(rusty_attachments)
    assert (files / "py.typed").is_file()
    assert (files / "_native.pyi").is_file()


@pytest.mark.parametrize(
    "name",
    [module.name for module in pkgutil.walk_packages(rusty_attachments.__path__, "rusty_attachments.")],
)
def test_what_a_module_exports_is_there(name):
    module = importlib.import_module(name)
    assert [export for export in getattr(module, "__all__", []) if not hasattr(module, export)] == []


def test_the_main_names_are_at_the_top():
    assert {
        "AssetManifest",
        "HashAlgorithm",
        "JobAttachmentS3Settings",
        "S3AssetUploader",
        "decode_manifest",
        "download_files_from_manifests",
        "hash_data",
        "hash_file",
    } <= set(rusty_attachments.__all__)
    assert set(rusty_attachments.__all__) <= set(dir(rusty_attachments))
