"""`python -m rusty_attachments.swap`: the switch, and programs that run swapped once."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path
from typing import Optional

from . import SwapError, SwapStatus, disable, enable, install, status
from .names import KNOWN_VERSIONS, PROGRAMS

_EXAMPLES = """
for every program of this Python:
  python -m rusty_attachments.swap enable --for worker-agent
  python -m rusty_attachments.swap status
  python -m rusty_attachments.swap disable

for one run of one program:
  python -m rusty_attachments.swap all -- script.py ARGUMENTS...
  python -m rusty_attachments.swap decode_manifest,hash_file -- -m package ARGUMENTS...
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rusty_attachments.swap",
        description="Swaps functions and classes of deadline.job_attachments for those of rusty_attachments.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="enable|disable|status")
    on = commands.add_parser("enable", help="swap names in every program that this Python runs from now on")
    on.add_argument("--for", dest="program", choices=PROGRAMS, default="all", help="the names that it uses")
    on.add_argument("names", nargs="*", help="these names instead")
    off = commands.add_parser("disable", help="take that back")
    told = commands.add_parser("status", help="say what is swapped")
    for command in (on, off, told):
        command.add_argument("--target", help="the folder of packages; by default this Python's")
    return parser


def main(arguments: Optional[list[str]] = None) -> None:
    """The command; see the module."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if "--" in given:
            _run(given[: given.index("--")], given[given.index("--") + 1 :])
            return
        chosen = _parser().parse_args(given)
        if chosen.command == "enable":
            names = "all" if chosen.names == ["all"] else chosen.names
            told = enable(names or None, program=chosen.program, target=chosen.target)
        elif chosen.command == "disable":
            told = disable(chosen.target)
        else:
            told = status(chosen.target)
    except (SwapError, ImportError, OSError) as error:
        print(f"rusty_attachments.swap: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    print(_text(told))


def _text(told: SwapStatus) -> str:
    """A status for people."""
    reference = told.reference_version or "not installed"
    if told.reference_version and told.reference_version not in KNOWN_VERSIONS:
        reference += " (not tested with: nothing is swapped)"
    environment = ", ".join(f"{name}={value}" for name, value in told.environment.items())
    lines = [
        f"swapping:                 {'on' if told.enabled else 'off'}",
        f"rusty_attachments:        {told.version}",
        f"deadline-job-attachments: {reference}",
        f"folder:                   {told.folder}",
    ]
    if told.names:
        lines.append(f"names:                    {len(told.names)}: {', '.join(told.names)}")
    if environment:
        lines.append(f"environment:              {environment} (comes first)")
    return "\n".join(lines)


def _run(names: list[str], program: list[str]) -> None:
    """Runs a script, or a module, with names swapped."""
    wanted = [name for part in names for name in part.split(",") if name]
    if not wanted or not program:
        _parser().error("expected NAMES|all -- SCRIPT ARGUMENTS...")
    install("all" if wanted == ["all"] else wanted)
    if program[0] == "-m":
        sys.argv = program[1:]
        sys.path[0] = str(Path.cwd())
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = program
        sys.path[0] = str(Path(program[0]).resolve().parent)
        runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    main()
