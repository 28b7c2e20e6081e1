"""The mutation check of the scorecard: `make mutations`, or `python faults/mutations.py --help`.

A rig that can't turn red proves nothing. Here each safeguard is taken out of a copy of the sources in turn, the copy is
built, and the cases that should notice are run: they must fail. First they are run against the sources as they are, and
must hold, so that what turns them red is the missing safeguard and nothing else. The patches are anchored on code text:
where an anchor is not there exactly once, the check fails and says so, since the code has moved and the patch must
follow.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from mutant import Mutant

REPOSITORY = Path(__file__).resolve().parents[1]

#: What a build of the Python package needs.
SOURCES = (
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "LICENSE",
    "src",
    "examples",
    "servers",
    "tests_rs",
    "python",
)

#: Every module `mutants_*.py` beside this file has some.
MUTANTS: tuple[Mutant, ...] = tuple(
    mutant
    for file in sorted(Path(__file__).parent.glob("mutants_*.py"))
    for mutant in importlib.import_module(file.stem).MUTANTS
)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only safeguards whose names contain this")
    parser.add_argument("--jobs", default="2", help="cases at a time")
    parser.add_argument("--patches", action="store_true", help="only see whether the patches still apply")
    parser.add_argument("--details", action="store_true", help="what the cases found of each mutant")
    return parser.parse_args()


def target_folder() -> Path:
    """Where cargo builds: the dependencies are those of `make develop`, which takes minutes off the first mutant."""
    return Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")).resolve()


def tree() -> Path:
    """The copy of the sources that mutants are made in."""
    return target_folder() / "mutations"


def copy_sources() -> None:
    """Brings the copy up to date; files that are the same keep their times, so that cargo builds only what changed."""
    for name in SOURCES:
        source, copy = REPOSITORY / name, tree() / name
        files = [source] if source.is_file() else [path for path in source.rglob("*") if path.is_file()]
        wanted = set()
        for path in files:
            other = copy if path == source else copy / path.relative_to(source)
            if path.suffix in (".so", ".pyc"):
                continue
            wanted.add(other)
            if not other.exists() or other.read_bytes() != path.read_bytes():
                other.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, other)
        if copy.is_dir():
            for other in [path for path in copy.rglob("*") if path.is_file() and path not in wanted]:
                if other.suffix not in (".so", ".pyc"):
                    other.unlink()


def patched(mutant: Mutant) -> dict[Path, str]:
    """The files of a mutant with their new texts.

    Raises:
        SystemExit: where an anchor is not in its file exactly once.
    """
    texts: dict[Path, str] = {}
    for edit in mutant.edits:
        path = tree() / edit.file
        text = texts.get(path) or (REPOSITORY / edit.file).read_text(encoding="utf-8")
        found = text.count(edit.old)
        if found != 1:
            raise SystemExit(
                f"mutations: the patch for '{mutant.safeguard}' no longer fits: "
                f"{edit.file} has its anchor {found} times:\n{edit.old}"
            )
        texts[path] = text.replace(edit.old, edit.new)
    return texts


def build() -> None:
    """Builds the copy, in the profile of `make develop`, into its package."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target_folder())}
    command = ["cargo", "build", "--quiet", "--lib", "--features", "python"]
    ended = subprocess.run(
        command, cwd=tree(), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if ended.returncode:
        raise SystemExit(
            f"mutations: the mutant does not compile, so it tests nothing:\n{ended.stdout[-3000:]}"
        )
    built = target_folder() / "debug" / "librusty_attachments.so"
    package = tree() / "python" / "rusty_attachments" / "_native.abi3.so"
    package.unlink(missing_ok=True)
    shutil.copyfile(built, package)


def run_cases(row: str, cases: str, jobs: str) -> tuple[bool, str]:
    """Whether the row holds in these cases, and what was found."""
    command = [
        sys.executable,
        str(REPOSITORY / "faults" / "run.py"),
        "--rows",
        row,
        "--cases",
        cases,
        "--jobs",
        jobs,
    ]
    environment = {**os.environ, "PYTHONPATH": str(tree() / "python"), "QUICK": ""}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    lines = ended.stdout.strip().splitlines()
    last = lines[-1] if lines else ""
    counts = {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", last)}
    if not counts.get("cases"):
        raise SystemExit(f"mutations: no case of {row} is called '{cases}':\n{ended.stdout}{ended.stderr}")
    (line,) = [line for line in lines if line.startswith(f"| {row} ")]
    noticed = [f"{name} {count}" for name, count in counts.items() if count and name != "cases"]
    surprises = [line for line in lines if line.startswith(f"{row} ")]
    if not noticed and surprises:
        noticed = [f"{len(surprises)} not as expected"]
    return "| held" in line, ", ".join(noticed) + ("\n" + "\n".join(surprises) if surprises else "")


def table(rows: list[list[str]]) -> str:
    """In Markdown."""
    rows = [["safeguard taken away", "row", "cases", "outcome"], *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def main() -> int:
    """Tries every mutant; fails where one survives, or where a case does not hold without any."""
    chosen = arguments()
    mutants = [mutant for mutant in MUTANTS if chosen.only in mutant.safeguard]
    patches = {mutant: patched(mutant) for mutant in mutants}
    if chosen.patches:
        print(f"mutations: all {len(patches)} patches apply")
        return 0
    copy_sources()
    build()
    for row, cases in dict.fromkeys((mutant.row, mutant.cases) for mutant in mutants):
        holds, found = run_cases(row, cases, chosen.jobs)
        if not holds:
            print(f"mutations: {row} '{cases}' does not hold as it is: {found}")
            return 1
    results, survivors = [], 0
    for mutant, texts in patches.items():
        started = time.monotonic()
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        try:
            build()
            holds, found = run_cases(mutant.row, mutant.cases, chosen.jobs)
        finally:
            copy_sources()
        survivors += holds
        outcome = "SURVIVED" if holds else f"noticed: {found.splitlines()[0]}"
        results.append([mutant.safeguard, mutant.row, mutant.cases, outcome])
        print(
            f"{mutant.safeguard}: {outcome} ({time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True
        )
        if chosen.details:
            print(found, file=sys.stderr)
    print(table(results))
    print(f"mutations: mutants={len(results)} noticed={len(results) - survivors} survived={survivors}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
