"""The licence texts of all crates that are linked into a wheel, from the sources that cargo has downloaded.

`python make/third_party.py x86_64-unknown-linux-gnu` prints them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
NAMES = re.compile(r"(?i)(un)?licen[cs]e|copying|notice|copyright")
#: Folders of crates whose contents are not linked.
UNUSED = {"tests", "test", "benches", "examples", "docs", "doc", "ci", ".github", "src"}
#: What the binary has besides crates.
BESIDES = """\
The Rust standard library is linked as well: MIT OR Apache-2.0, copyright the Rust project contributors. compiler-rt and
libunwind of LLVM: Apache-2.0 WITH LLVM-exception. SQLite (in libsqlite3-sys) is in the public domain.
"""


def linked_crates(triple: str) -> list[dict[str, Any]]:
    """The packages that the wheel for `triple` links, as `cargo metadata` describes them, without our own."""
    command = ["cargo", "metadata", "--offline", "--locked", "--format-version", "1", "--features", "python"]
    command += ["--filter-platform", triple]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY).stdout)
    edges = {node["id"]: node["deps"] for node in answer["resolve"]["nodes"]}
    root = answer["resolve"]["root"]
    reached, left = set(), [root]
    while left:
        package = left.pop()
        if package in reached:
            continue
        reached.add(package)
        # Neither build scripts' dependencies (kind "build") nor tests' (kind "dev") are in the wheel.
        left += [
            edge["pkg"] for edge in edges[package] if any(kind["kind"] is None for kind in edge["dep_kinds"])
        ]
    packages = [package for package in answer["packages"] if package["id"] in reached - {root}]
    return sorted(packages, key=lambda package: (package["name"], package["version"]))


def texts_of(package: dict[str, Any]) -> list[str]:
    """The licence texts in the sources of one crate, those of C code that it brings included."""
    folder = Path(package["manifest_path"]).parent
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        named = NAMES.match(path.name) and path.suffix.lower() not in {".rs", ".py", ".go", ".h", ".c"}
        if named and path.is_file() and not UNUSED & set(inside.parts[:-1]):
            found.append(path.read_text(encoding="utf-8", errors="replace").strip())
    return list(dict.fromkeys(found))


def licences(triple: str) -> str:
    """The document: one section a text, headed by the crates that it belongs to."""
    users: dict[str, list[str]] = {}
    overview = []
    for package in linked_crates(triple):
        title = f"{package['name']} {package['version']}"
        texts = texts_of(package)
        origin = package["repository"] or package["homepage"] or ""
        note = "" if texts else " (its sources have no licence text)"
        overview.append(f"{title}: {package['license']} {origin}".rstrip() + note)
        for text in texts:
            users.setdefault(text, []).append(title)
    sections = [f"{'=' * 100}\n{', '.join(names)}\n{'-' * 100}\n{text}\n" for text, names in users.items()]
    head = "Crates that are linked into this package, each with its licence.\n\n" + "\n".join(overview)
    return head + "\n\n" + BESIDES + "\n" + "\n".join(sections)


if __name__ == "__main__":
    sys.stdout.write(licences(sys.argv[1]))
