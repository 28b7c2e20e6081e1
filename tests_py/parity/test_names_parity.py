"""Every name of the reference is here, or in the list that the documentation gives, with the reason."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import deadline.job_attachments
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "worker"))
from agent import ENVIRONMENT as AGENT
from environments import DEADLINE

REFERENCE = Path(deadline.job_attachments.__file__).parent
DOCUMENT = Path(__file__).parents[2] / "docs" / "compatibility.md"
HEADING = "## Names that are not here\n"


def defined(body: list[ast.stmt]) -> Iterator[str]:
    """The names that statements of a module or a class define; those of branches, too."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (
                name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
            )
        elif isinstance(node, (ast.If, ast.Try)):
            yield from defined([*node.body, *node.orelse])


def reference_names() -> dict[str, set[str]]:
    """Names by module, members of classes among them as `Class.member`."""
    found = {}
    for file in sorted(REFERENCE.rglob("*.py")):
        parts = file.relative_to(REFERENCE).with_suffix("").parts
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = set(defined(tree.body))
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                names |= {f"{node.name}.{member}" for member in defined(node.body)}
        found[".".join(part for part in parts if part != "__init__")] = names
    return found


def is_here(module: object, name: str) -> bool:
    owner, _, member = name.partition(".")
    if not hasattr(module, owner):
        return False
    if not member:
        return True
    found = getattr(module, owner)
    # Fields without defaults are in the annotations or the constructor alone.
    annotated = any(member in vars(each).get("__annotations__", {}) for each in found.__mro__)
    return hasattr(found, member) or annotated or member in inspect.signature(found).parameters


def missing() -> set[str]:
    """What is not here, as `module: name`, or `module: *` for a whole module."""
    lacking = set()
    for module_name, names in reference_names().items():
        try:
            module = importlib.import_module(f"rusty_attachments.{module_name}".rstrip("."))
        except ModuleNotFoundError:
            lacking.add(f"{module_name}: *")
            continue
        gone = {name for name in names if not is_here(module, name)}
        # A class that is not here says all of its members.
        lacking |= {
            f"{module_name}: {name}" for name in gone if "." not in name or name.split(".")[0] not in gone
        }
    return lacking


def documented() -> set[str]:
    """What the table in the documentation says, in the same form."""
    section = DOCUMENT.read_text(encoding="utf-8").split(HEADING)[1].split("\n## ")[0]
    found = set()
    for module, names, reason in re.findall(r"^\| `([\w.]+)` \| (.+?) \| (.+?) \|$", section, re.MULTILINE):
        assert len(reason) > 10, f"no reason for {module}"
        listed = ["*"] if names == "all" else re.findall(r"`([\w.]+)`", names)
        found |= {f"{module}: {name}" for name in listed}
    return found


def test_every_name_is_here_or_documented():
    lacking, told = missing(), documented()
    assert sorted(lacking - told) == []
    assert sorted(told - lacking) == [], "documented as missing, but it is here"


def imported_by(packages: list[Path]) -> set[tuple[str, str]]:
    """`(module, name)` of the reference that programs import."""
    found = set()
    for package in packages:
        for file in package.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    name = re.search(r"(?:^|\.)job_attachments(?:\.(.+))?$", node.module)
                    if name:
                        found |= {(name[1] or "", alias.name) for alias in node.names}
    return found


# These packages are submitters, command lines and workers; the reference itself is not among them.
PROGRAMS = {
    "deadline": (DEADLINE, ["deadline/client", "deadline/common", "deadline/mcp"]),
    "the worker agent": (AGENT, ["deadline_worker_agent"]),
}
STAYS = {"asset_sync", "vfs"}
"""Modules that stay with the reference."""


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_programs_import_is_here(program):
    environment, folders = PROGRAMS[program]
    site = environment.site_packages()
    packages = [site / folder for folder in folders if (site / folder).is_dir()]
    names = imported_by(packages)
    assert len(names) > 15
    lacking = []
    for module_name, name in sorted(names):
        full = f"rusty_attachments.{module_name}".rstrip(".")
        if module_name in STAYS or (not module_name and name in STAYS):
            continue
        module = importlib.import_module(full)
        if not hasattr(module, name):
            try:
                importlib.import_module(f"{full}.{name}")
            except ModuleNotFoundError:
                lacking.append(f"{module_name}: {name}")
    assert lacking == []
