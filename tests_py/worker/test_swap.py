"""Swapping the reference's names for ours, and back."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import subprocess
import sys
import types
from pathlib import Path

import deadline.job_attachments as reference_package
import deadline.job_attachments.download as reference_download
import deadline.job_attachments.upload as reference_upload
import pytest
from rusty_attachments import download, progress_tracker, swap, upload


def reference(name):
    return getattr(importlib.import_module(f"deadline.job_attachments.{swap.SWAPS[name].module}"), name)


@pytest.fixture(autouse=True)
def put_back():
    before = {name: reference(name) for name in swap.SWAPS}
    yield
    swap.uninstall()
    assert {name: reference(name) for name in swap.SWAPS} == before


def module_that_imports(name, **values):
    module = types.ModuleType(name)
    vars(module).update(values)
    sys.modules[name] = module
    return module


@pytest.fixture
def user(monkeypatch):
    """A module that has imported names of the reference and of ours."""
    module = types.ModuleType("some_user")
    module.fetch = reference_download.download_files_from_manifests
    module.Uploader = reference_upload.S3AssetUploader
    module.ours = download.download_files_from_manifests
    monkeypatch.setitem(sys.modules, "some_user", module)
    return module


@pytest.mark.parametrize("name", swap.SWAPS)
def test_every_name_can_be_swapped_with_those_that_it_needs(name):
    together = [name, *swap.SWAPS[name].together]
    theirs = reference(name)
    with swap.installed(together):
        found = reference(name)
        assert found is not theirs
        assert found.__module__.split(".")[0] == "rusty_attachments"
    assert reference(name) is theirs


@pytest.mark.parametrize("name", [n for n in swap.SWAPS if not inspect.isclass(reference(n))])
def test_parameters_go_on_where_the_references_end(name):
    """A call that is right for the reference is right for ours."""
    ours = getattr(importlib.import_module(f"rusty_attachments.{swap.SWAPS[name].module}"), name)
    mine, theirs = (list(inspect.signature(each).parameters.values()) for each in (ours, reference(name)))
    assert [p.name for p in mine[: len(theirs)]] == [p.name for p in theirs]
    assert all(p.default is not p.empty for p in mine[len(theirs) :])


# Functions and classes that both packages have under one name, and that are not swapped.
NOT_SWAPPED = {
    # Data, which goes through either's functions.
    *(
        "HashAlgorithm",
        "ManifestVersion",
        "ManifestPath",
        "AssetManifest",
        "BaseAssetManifest",
        "BaseManifestPath",
    ),
    *("ManifestModel", "BaseManifestModel", "ManifestModelRegistry", "PathSummary", "CacheDB"),
    # Parts of what is swapped.
    *("validate_manifest", "compare_manifest"),
}
MODULES = [
    *(
        "download",
        "upload",
        "api.manifest",
        "api.attachment",
        "api._hashing",
        "_diff",
        "_glob",
        "_path_mapping",
    ),
    *("_path_summarization", "caches.hash_cache", "caches.s3_check_cache", "asset_manifests.decode"),
    *("asset_manifests.hash_algorithms", "progress_tracker"),
]


def test_every_name_that_both_packages_have_can_be_swapped():
    missing = []
    for module in MODULES:
        if importlib.util.find_spec(f"rusty_attachments.{module}") is None:
            continue
        theirs = importlib.import_module(f"deadline.job_attachments.{module}")
        ours = importlib.import_module(f"rusty_attachments.{module}")
        for name, value in vars(theirs).items():
            is_own = getattr(value, "__module__", None) == theirs.__name__ and callable(value)
            if is_own and not name.startswith("_") and hasattr(ours, name):
                missing += [name] if name not in swap.SWAPS and name not in NOT_SWAPPED else []
    assert not missing


def test_names_are_replaced_wherever_they_were_imported_to(user):
    fetch, uploader = user.fetch, user.Uploader
    swap.install(["download_files_from_manifests", "S3AssetUploader"])
    assert user.fetch is reference_download.download_files_from_manifests
    assert user.fetch.__wrapped__ is download.download_files_from_manifests
    assert issubclass(user.Uploader, upload.S3AssetUploader)
    assert user.ours is download.download_files_from_manifests
    swap.uninstall(["S3AssetUploader"])
    assert user.Uploader is uploader
    assert user.fetch is not fetch
    swap.uninstall()
    assert user.fetch is fetch
    assert user.ours is download.download_files_from_manifests


def test_modules_that_are_imported_later_are_put_back_too(monkeypatch):
    swap.install(["S3AssetUploader", "decode_manifest"])
    later = types.ModuleType("later")
    later.Uploader = reference_upload.S3AssetUploader
    later.decode = importlib.import_module("deadline.job_attachments.asset_manifests.decode").decode_manifest
    later.ours = upload.S3AssetUploader
    monkeypatch.setitem(sys.modules, "later", later)
    swap.uninstall()
    assert later.Uploader is reference_upload.S3AssetUploader
    assert later.decode is reference("decode_manifest")
    assert later.ours is upload.S3AssetUploader


def test_data_classes_stay_one_class(monkeypatch):
    mine = types.ModuleType("mine")
    mine.ProgressTracker = progress_tracker.ProgressTracker
    monkeypatch.setitem(sys.modules, "mine", mine)
    swap.install(["ProgressTracker", *swap.SWAPS["ProgressTracker"].together])
    assert reference("SummaryStatistics") is progress_tracker.SummaryStatistics
    swap.uninstall()
    assert mine.ProgressTracker is progress_tracker.ProgressTracker


def test_nothing_is_swapped_in_part():
    theirs = reference_download.download_files_from_manifests
    for names, problem in (
        (["download_files_from_manifests", "ProgressTracker"], "together with"),
        (["download_files_from_manifests", "no_such_name"], "Not a name that can be swapped: no_such_name"),
    ):
        with pytest.raises(swap.SwapError, match=problem):
            swap.install(names)
        assert reference_download.download_files_from_manifests is theirs


def test_a_class_that_others_derive_from_is_refused():
    class Derived(reference_upload.S3AssetUploader):
        pass

    with pytest.raises(swap.SwapError, match="Derived derive from"):
        swap.install(["S3AssetUploader"])
    del Derived
    import gc

    gc.collect()


def test_an_unknown_version_is_reported(monkeypatch):
    monkeypatch.setattr(reference_package, "version", "9.9.9")
    with pytest.warns(swap.UnknownReferenceWarning, match=r"9\.9\.9"), swap.installed(["hash_data"]):
        pass


def test_nested_blocks_leave_the_outer_names(user):
    with swap.installed("all"):
        with swap.installed(["download_files_from_manifests"]):
            pass
        assert hasattr(user.fetch, "__wrapped__")
        with pytest.raises(KeyError), swap.installed(["hash_data"]):
            raise KeyError
    assert not hasattr(user.fetch, "__wrapped__")


SCRIPT = """
import sys
from deadline.job_attachments.api import human_readable_file_size
from deadline.job_attachments._utils import _get_unique_dest_dir_name
print(__name__, sys.argv[1:], human_readable_file_size.__module__, _get_unique_dest_dir_name.__module__)
from helper import value
raise SystemExit(value)
"""


def run(*arguments, **keywords):
    command = [sys.executable, "-m", "rusty_attachments.swap", *arguments]
    return subprocess.run(command, capture_output=True, text=True, **keywords)


@pytest.mark.parametrize("program", [["script.py"], ["-m", "script"]])
def test_a_script_runs_with_names_swapped(tmp_path, program):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "helper.py").write_text("value = 7")
    done = run("human_readable_file_size", "--", *program, "--flag", "--", "x", cwd=tmp_path)
    ours, theirs = "rusty_attachments._path_summarization", "deadline.job_attachments._utils"
    assert done.stdout == f"__main__ ['--flag', '--', 'x'] {ours} {theirs}\n", done.stderr
    assert done.returncode == 7
    done = run("all", "--", *program, cwd=tmp_path)
    assert "rusty_attachments._utils" in done.stdout, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["all"],
        ["--", "x.py"],
        ["all", "--"],
        ["nothing_known", "--", "x.py"],
        ["ProgressTracker", "--", "x"],
    ],
)
def test_wrong_arguments_exit_with_2(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_the_docs_say_what_can_be_swapped():
    page = (Path(__file__).parents[2] / "docs" / "worker-agent.md").read_text()
    table = page[page.index("## What can be swapped") :]
    rows = [row for row in table.splitlines() if row.startswith("| `")]
    documented = {}
    for row in rows:
        names, module, alone = (cell.strip() for cell in row.strip("|").split("|"))
        documented.update(
            {name.strip("`"): (module.strip("`"), alone == "yes") for name in names.split(", ")}
        )
    for name, (module, together) in swap.SWAPS.items():
        assert documented[name] == (module, not together), name
