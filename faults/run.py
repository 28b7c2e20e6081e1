"""The scorecard of faults: `make faults`, or `python faults/run.py --help`.

Each case runs ours (or, with --reference, the reference) in a process of its own against a test server that is
told what goes wrong; then an oracle hashes all files and objects again and looks for what should not be there. With
a fixed seed the same faults strike every time.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests_py"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

from case import NOT_RUN, PLAN, TITLES, Planned, Score, Side, run_case
from sides import reference_python

# Every module `rows_*.py` beside this file registers its cases.
for _file in sorted(Path(__file__).parent.glob("rows_*.py")):
    importlib.import_module(_file.stem)

ORDER = [f"F{number}" for number in range(1, 36)] + [f"P{number}" for number in range(1, 6)]


def arguments() -> argparse.Namespace:
    """The command line; QUICK=1 in the environment is the same as --quick."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default=",".join(ORDER), help="such as F1,F4,P2")
    parser.add_argument("--cases", default="", help="only cases whose names contain this")
    parser.add_argument("--quick", action="store_true", default=bool(int(os.environ.get("QUICK") or 0)))
    parser.add_argument("--reference", action="store_true", help="run the reference through the same rows")
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=4 * (os.cpu_count() or 1), help="cases at a time")
    parser.add_argument("--reference-python", help="an interpreter that has the reference")
    parser.add_argument("--ours-python", default=sys.executable, help="an interpreter that has ours")
    parser.add_argument("--details", action="store_true", help="every case with what was found")
    return parser.parse_args()


def table(scores: dict[str, Score], surprises: dict[str, list[str]]) -> list[str]:
    """The scorecard in Markdown."""
    names = [column.name for column in fields(Score)]
    header = ["#", "fault", *[name.replace("_", " ") for name in names], "verdict"]
    body = []
    for name in ORDER:
        if name not in TITLES:
            continue
        if name not in scores:
            reason = NOT_RUN.get(name, "not chosen")
            body.append([name, TITLES[name], *["–" for _ in names], f"not run: {reason}"])
            continue
        score = scores[name]
        verdict = "held" if not score.forbidden and not surprises[name] else "BROKEN"
        if verdict == "BROKEN" and not score.forbidden:
            verdict = f"{len(surprises[name])} not as expected"
        body.append([name, TITLES[name], *[str(getattr(score, column)) for column in names], verdict])
    widths = [max(len(line[column]) for line in [header, *body]) for column in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
        for line in [header, *body]
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def chosen_cases(chosen: argparse.Namespace) -> list[Planned]:
    """The cases to run: the slow ones first, since they wait more than they work."""
    rows = chosen.rows.split(",")
    cases = [
        planned
        for planned in PLAN
        if planned.row in rows and chosen.cases in planned.name and planned.row not in NOT_RUN
    ]
    cases = [planned for planned in cases if planned.quick or not chosen.quick]
    return sorted(cases, key=lambda planned: -planned.patience)


def main() -> int:
    """Runs and prints; fails where ours shows a forbidden number or something unexpected."""
    chosen = arguments()
    if chosen.reference:
        side = Side("deadline.job_attachments", str(reference_python(chosen.reference_python)))
    else:
        side = Side("rusty_attachments", chosen.ours_python)
    scores: dict[str, Score] = {}
    surprises: dict[str, list[str]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="rusty-faults-") as base:
        Path(base).chmod(0o755)
        with ThreadPoolExecutor(chosen.jobs) as pool:
            running = [
                (planned, pool.submit(run_case, planned, side, Path(base), chosen.seed))
                for planned in chosen_cases(chosen)
            ]
            for planned, result in running:
                score, found = result.result()
                scores.setdefault(planned.row, Score()).add(score)
                surprises[planned.row] += [f"{planned.name}: {text}" for text in found]
                if chosen.details:
                    print(f"{planned.row} {planned.name}: {score} {found}", file=sys.stderr)
    print("\n".join(table(scores, surprises)))
    for name in ORDER:
        for text in surprises.get(name, []):
            print(f"{name} {text}")
    total = Score()
    for score in scores.values():
        total.add(score)
    print("faults: " + " ".join(f"{column.name}={getattr(total, column.name)}" for column in fields(Score)))
    return 0 if chosen.reference or not total.forbidden else 1


if __name__ == "__main__":
    sys.exit(main())
