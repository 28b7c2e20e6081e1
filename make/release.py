"""The steps of `make release` that are no build.

python make/release.py check            version, lock file, change log, work tree
python make/release.py checksums dist   writes dist/SHA256SUMS
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
VERSION = re.compile(r'^version = "(.+)"$', re.MULTILINE)


def version_of(repository: Path) -> str:
    """The version: Cargo.toml is the one place that has it."""
    found = VERSION.search((repository / "Cargo.toml").read_text(encoding="utf-8"))
    if found is None:
        raise ValueError("Cargo.toml has no version")
    return found[1]


def section(changelog: str, heading: str) -> str | None:
    """The text below `## [heading]`, or None where there is no such heading."""
    found = re.search(rf"^## \[{re.escape(heading)}\](.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL)
    return None if found is None else found[1]


def faults(repository: Path) -> list[str]:
    """What keeps the tree from being released, apart from the state of git."""
    version = version_of(repository)
    found = []
    lock = (repository / "Cargo.lock").read_text(encoding="utf-8")
    if f'name = "rusty-attachments"\nversion = "{version}"\n' not in lock:
        found.append(f"Cargo.lock does not have version {version}: run `cargo check`")
    changelog = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    notes = section(changelog, version)
    if notes is None or "\n- " not in notes:
        found.append(
            f"CHANGELOG.md has no entries for {version}: rename [Unreleased] to [{version}] - YYYY-MM-DD"
        )
    elif re.match(r" - \d{4}-\d{2}-\d{2}\n", notes) is None:
        found.append(f"CHANGELOG.md has no date in its heading of {version}")
    if "\n- " in (section(changelog, "Unreleased") or ""):
        found.append("CHANGELOG.md has entries below [Unreleased]")
    return found


def uncommitted(repository: Path) -> list[str]:
    """A fault if the work tree differs from the commit that a tag would name."""
    command = ["git", "status", "--porcelain"]
    changed = subprocess.run(
        command, cwd=repository, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return [f"{len(changed)} files are not committed, such as {changed[0][3:]}"] if changed else []


def checksums(folder: Path) -> str:
    """Lines as `sha256sum --check` reads them."""
    files = sorted([*folder.glob("*.whl"), *folder.glob("*.tar.gz")])
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def main() -> int:
    """Exit status 1 if something is not ready."""
    if sys.argv[1:2] == ["checksums"]:
        folder = Path(sys.argv[2])
        (folder / "SHA256SUMS").write_text(checksums(folder), encoding="utf-8")
        print(
            f"release: {folder} has version {version_of(REPOSITORY)}; its checksums are in {folder}/SHA256SUMS"
        )
        return 0
    found = faults(REPOSITORY) + uncommitted(REPOSITORY)
    for fault in found:
        print(f"release: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
