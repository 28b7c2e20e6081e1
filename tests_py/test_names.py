"""Public names: they are what `help` calls them, and plain and awaitable forms take the same arguments."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import pydoc
from collections.abc import Iterator
from typing import Any

import pytest
import rusty_attachments
from rusty_attachments import _reference_names
from rusty_attachments.api.manifest import manifest_snapshot

MODULES = ["rusty_attachments"] + [
    module.name for module in pkgutil.walk_packages(rusty_attachments.__path__, "rusty_attachments.")
]


def is_private(path: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in path.split("."))


def public_names() -> Iterator[tuple[str, str, Any]]:
    """Module, name and object of each function and class that a public module exports."""
    for module_name in MODULES:
        if is_private(module_name) or module_name.endswith("__main__"):
            continue
        module = importlib.import_module(module_name)
        exported = getattr(module, "__all__", None)
        if exported is None:
            exported = [
                name
                for name, value in vars(module).items()
                if not is_private(name) and getattr(value, "__module__", None) == module_name
            ]
        for name in exported:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isroutine(value):
                yield module_name, name, value


PUBLIC = sorted(public_names(), key=lambda each: each[:2])


def test_there_are_names():
    names = {name for _, name, _ in PUBLIC}
    assert {"S3AssetManager", "manifest_snapshot", "attachment_upload", "decode_manifest"} <= names
    assert len(names) > 100


@pytest.mark.parametrize(("module", "name", "value"), PUBLIC, ids=[f"{m}.{n}" for m, n, _ in PUBLIC])
def test_a_public_name_is_the_object_s_own(module, name, value):
    assert (value.__name__, value.__qualname__) == (name, name)
    home = importlib.import_module(value.__module__)
    assert getattr(home, name) is value, "it is where it says that it is"


def homes() -> list[tuple[str, str]]:
    ours = {(name, value.__module__) for _, name, value in PUBLIC}
    return sorted((name, home) for name, home in ours if is_private(home))


def test_public_names_live_in_public_modules():
    # Modules of the reference's path summaries and versions begin with an underscore there, too.
    reference = {"_path_summarization", "_version"}
    assert [each for each in homes() if each[1].split(".")[1] not in reference] == []


def test_help_is_headed_by_the_public_name():
    text = pydoc.plain(pydoc.render_doc(manifest_snapshot))
    assert "\nmanifest_snapshot(" in text
    assert "_manifest_snapshot" not in text


@pytest.mark.parametrize("module", _reference_names.NAMES)
def test_names_of_the_reference_lead_to_ours(module):
    names = _reference_names.NAMES[module]
    ours = importlib.import_module(f"rusty_attachments.{module}")
    for name, target in names.items():
        home, _, its_name = target.rpartition(".")
        assert getattr(ours, name) is getattr(importlib.import_module(f"rusty_attachments.{home}"), its_name)
    with pytest.raises(AttributeError, match=f"module 'rusty_attachments.{module}' has no attribute 'x'"):
        _ = ours.x


def pairs() -> Iterator[tuple[str, Any, Any]]:
    """Plain and awaitable forms: functions of modules, and methods of classes."""
    for module_name in MODULES:
        if module_name.endswith("__main__"):
            continue
        module = importlib.import_module(module_name)
        owners = [module] + [
            value
            for value in vars(module).values()
            if inspect.isclass(value) and value.__module__ == module_name
        ]
        for owner in owners:
            for name, value in vars(owner).items():
                if inspect.iscoroutinefunction(value) and name.endswith("_async"):
                    plain = getattr(owner, name[: -len("_async")], None)
                    if plain is not None:
                        yield f"{owner.__name__}.{name}", plain, value


PAIRS = sorted(pairs(), key=lambda each: each[0])


def test_there_are_pairs():
    found = {name.rpartition(".")[2] for name, _, _ in PAIRS}
    assert {"download_files_from_manifests_async", "upload_assets_async"} <= found


@pytest.mark.parametrize(
    ("plain", "awaitable"), [pair[1:] for pair in PAIRS], ids=[pair[0] for pair in PAIRS]
)
def test_awaitable_forms_take_the_same_arguments(plain, awaitable):
    assert inspect.signature(awaitable) == inspect.signature(plain)
