"""How the package's modules use each other: never in a ring."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "python" / "rusty_attachments"


def modules(root: Path) -> dict[str, Path]:
    """The files of a package by module name; a compiled module stands there as its stub."""
    found = {}
    for file in [*root.rglob("*.pyi"), *root.rglob("*.py")]:
        parts = [root.name, *file.relative_to(root).with_suffix("").parts]
        found[".".join(part for part in parts if part != "__init__")] = file
    return found


def is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(tree: ast.AST) -> Iterator[ast.stmt]:
    """The imports of a module that are made when it runs: those of functions, too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif is_for_type_checkers(node):
            yield from (each for branch in node.orelse for each in imports(ast.Module([branch], [])))
        else:
            yield from imports(node)


def uses(name: str, file: Path, known: set[str]) -> set[str]:
    """The modules of the package that a module imports, with the packages that are imported on the way."""
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in imports(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        assert isinstance(node, ast.ImportFrom)
        base = package[: len(package) - node.level + 1] if node.level else []
        source = ".".join([*base, *([node.module] if node.module else [])])
        for alias in node.names:
            inner = f"{source}.{alias.name}"
            found.add(inner if inner in known else source)
    on_the_way = {
        ".".join(parts[:length])
        for parts in (module.split(".") for module in found)
        for length in range(1, len(parts))
    }
    # A module's own packages are being imported while it is.
    on_the_way = {each for each in on_the_way if not f"{name}.".startswith(f"{each}.")}
    return {each for each in found | on_the_way if each in known and each != name}


def graph(root: Path) -> dict[str, set[str]]:
    files = modules(root)
    return {
        name: uses(name, file, set(files)) if file.suffix == ".py" else set() for name, file in files.items()
    }


def ring(found: dict[str, set[str]]) -> list[str]:
    """The modules of a ring, or nothing."""
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_use_each_other_in_a_ring():
    found = graph(PACKAGE)
    assert len(found) > 50
    assert "rusty_attachments.models" in found["rusty_attachments.download.files"]
    assert ring(found) == []


@pytest.mark.parametrize(
    ("source", "is_ring"),
    [
        ("from .b import x", True),
        ("from . import b", True),
        ("import package.b", True),
        ("def f():\n    from .b import x", True),
        ("try:\n    from .b import x\nexcept ImportError:\n    pass", True),
        ("if TYPE_CHECKING:\n    from .b import x", False),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    from .b import x", True),
        ("from .c import x", False),
    ],
)
def test_a_ring_is_found(tmp_path, source, is_ring):
    root = tmp_path / "package"
    root.mkdir()
    for name, text in {"__init__": "", "a": source, "b": "from .a import y", "c": "x = 1"}.items():
        (root / f"{name}.py").write_text(text)
    assert bool(ring(graph(root))) is is_ring
