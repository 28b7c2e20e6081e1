"""Measures ours against the reference, and prints a table with a verdict beside each target.

`make bench`, or `python bench/run.py --help`. Both sides run the same calls with default settings, each in a
process of its own, turn by turn, against the test rig's server in a third process. Folders stand on /dev/shm
where there is one: otherwise the disk is what would be measured. Caches stand in a home folder on the disk,
as users have them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests_py"))

from ballast import CALL_BYTES, QUICK_CALL_BYTES, Ballast
from bare import SMALLEST_BYTES, add_bare_run
from generate import generate
from plan import GIB, MAX_TRANSFER_RSS_MB, MIB, WORKLOADS, Operation, Workload
from rig.server import RELEASE, RigServer
from sides import REPOSITORY, OperationFailed, Side, reference_python
from table import Row, counts, lines


def arguments() -> argparse.Namespace:
    """The command line; QUICK=1 in the environment is the same as --quick."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--workloads", help=f"of {','.join(names)}; those with no target are not in --quick")
    parser.add_argument("--runs", type=int, help="pairs of runs (default 3; 1 with --quick)")
    parser.add_argument(
        "--delay-ms", type=int, help="added to each reply in the latency workload (default 30)"
    )
    parser.add_argument("--quick", action="store_true", default=bool(int(os.environ.get("QUICK") or 0)))
    parser.add_argument("--peers", action="store_true", help="also measure other tools, for orientation")
    parser.add_argument("--reference-python", help="an interpreter that has the reference")
    parser.add_argument("--ours-python", default=sys.executable, help="an interpreter that has ours")
    parser.add_argument("--ours", default="rusty_attachments", help="the package to measure as ours")
    parser.add_argument("--no-ballast", action="store_true", help="don't hold touched memory")
    chosen = parser.parse_args()
    if chosen.workloads is None:
        chosen.workloads = [workload.name for workload in WORKLOADS if workload.in_quick or not chosen.quick]
    else:
        chosen.workloads = chosen.workloads.split(",")
    unknown = set(chosen.workloads) - set(names)
    if unknown:
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    chosen.runs = chosen.runs or (1 if chosen.quick else 3)
    return chosen


class Driver:
    """Everything that the runs share."""

    def __init__(self, chosen: argparse.Namespace, server: RigServer, folder: Path, homes: Path) -> None:
        self.chosen = chosen
        # The quick workloads need little, and may take 50 s.
        self.ballast = Ballast(0 if chosen.no_ballast else (1 if chosen.quick else 64) * GIB)
        self.server = server
        self.folder = folder
        environment = server.environment()
        self.sides = [
            Side(
                "reference",
                "deadline.job_attachments",
                reference_python(chosen.reference_python),
                homes / "reference",
                environment,
            ),
            Side("ours", chosen.ours, Path(chosen.ours_python), homes / "ours", environment),
        ]
        self.buckets = 0

    def workload(self, workload: Workload) -> list[Row]:
        """All runs of one workload."""
        folder = self.folder / workload.name
        generate(workload, folder, self.chosen.quick)
        title = self.title(workload)
        rows = [self.row(title, operation) for operation in workload.operations]
        delay = workload.delay_ms and (self.chosen.delay_ms or workload.delay_ms)
        for run in range(self.chosen.runs):
            self.server.reset(objects=True)
            self.server.config(delay_ms=delay)
            buckets: dict[str, str] = {}
            for row, operation in zip(rows, workload.operations):
                # The side that begins changes with every run.
                for side in self.sides if run % 2 == 0 else self.sides[::-1]:
                    self.one(row, operation, side, buckets, workload)
            if workload.kind == "files" and workload.size >= SMALLEST_BYTES:
                self.make_room(workload)
                add_bare_run(workload, rows, folder, self.server, buckets["ours"])
                self.ballast.take()
        shutil.rmtree(folder)
        self.server.reset(objects=True)
        return rows

    def title(self, workload: Workload) -> str:
        """What the table calls the workload."""
        count, size = workload.measures(self.chosen.quick)
        delay = self.chosen.delay_ms or workload.delay_ms
        return workload.title.format(count=count, size_mib=size // MIB, delay=delay, tenth=count // 10)

    def row(self, title: str, operation: Operation) -> Row:
        """An empty row."""
        target = operation.quick_target if self.chosen.quick and operation.quick_target else operation.target
        limit = MAX_TRANSFER_RSS_MB if operation.transfers else operation.max_rss_mb
        return Row(title, operation.name, target, limit)

    def one(
        self, row: Row, operation: Operation, side: Side, buckets: dict[str, str], workload: Workload
    ) -> None:
        """One run of one side; a failure is noted in the row, which then counts as missed."""
        side.prepare_home(operation.home)
        if operation.fresh_bucket or side.name not in buckets:
            self.buckets += 1
            buckets[side.name] = self.server.create_bucket(f"bench-{self.buckets}")
        target = self.folder / f"target-{side.name}"
        target.mkdir()
        specification = {
            "folder": str(self.folder / workload.name),
            "bucket": buckets[side.name],
            "target": str(target),
        }
        try:
            process = side.start(operation.step, specification)
            self.make_room(workload)
            before = self.server.stats()["requests"]
            figures = side.finish(process)
            figures["requests"] = self.server.stats()["requests"] - before
            self.check(operation, workload, specification, figures)
            row.runs.setdefault(side.name, []).append(figures)
        except OperationFailed as error:
            row.problem = f"{side.name}: {error}"
            print(f"bench: {row.workload}, {row.operation}: {row.problem}", file=sys.stderr)
        finally:
            shutil.rmtree(target)
            self.ballast.take()
        print(f"bench: {workload.name}, {operation.name}, {side.name}: done", file=sys.stderr)

    def make_room(self, workload: Workload) -> None:
        """Memory for a call: for what it reads and writes, and for the two processes."""
        count, size = workload.measures(self.chosen.quick)
        self.ballast.give(2 * count * size + (QUICK_CALL_BYTES if self.chosen.quick else CALL_BYTES))

    def check(
        self, operation: Operation, workload: Workload, specification: dict[str, str], figures: dict[str, Any]
    ) -> None:
        """Time counts only for work that was done: all objects are there, all files have arrived."""
        count, size = workload.measures(self.chosen.quick)
        if operation.wants_objects:
            objects = self.server.objects(specification["bucket"], "root/Data/")
            if len(objects) != count or sum(row["size"] for row in objects) != count * size:
                raise OperationFailed(f"{len(objects)} objects are in the bucket, {count} were expected")
        if operation.step == "download":
            arrived = [path for path in Path(specification["target"]).rglob("*") if path.is_file()]
            if len(arrived) != count or sum(path.stat().st_size for path in arrived) != count * size:
                raise OperationFailed(f"{len(arrived)} files have arrived, {count} were expected")
        expected = {"encode": None, "compare": None, "merge": None, "snapshot": 1, "snapshot_diff": 1}
        wanted = expected.get(operation.step, count)
        if wanted is not None and figures["told"] != wanted:
            raise OperationFailed(f"told {figures['told']}, expected {wanted}")


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    model = ""
    with Path("/proc/cpuinfo").open() as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    return {
        "cpus": os.cpu_count(),
        "model": model,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def save(rows: list[Row], chosen: argparse.Namespace) -> Path:
    """Writes the figures of every run beside the table."""
    folder = REPOSITORY / "bench" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / time.strftime("%Y%m%dT%H%M%S.json")
    met, missed = counts(rows)
    document = {
        "machine": machine(),
        "quick": chosen.quick,
        "runs": chosen.runs,
        "met": met,
        "missed": missed,
        "rows": [
            {
                "workload": row.workload,
                "operation": row.operation,
                "target": row.target,
                "ratio": row.ratio,
                "bare_ratio": row.bare_ratio,
                "met": row.met,
                "limit_mb": row.limit_mb,
                "memory_met": row.memory_met,
                "problem": row.problem,
                "runs": row.runs,
            }
            for row in rows
        ],
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return path


def show(rows: list[Row], chosen: argparse.Namespace) -> None:
    """Prints the table and saves the figures: before the peers, whose failure must not lose them."""
    print(
        "Walls are medians (min–max); CPU, peak RSS and requests are reference / ours. The bare loops only read,"
    )
    print("hash, receive and send: their ratio is what the machine allows.\n")
    if chosen.quick:
        print(
            "Targets are those of the full workloads, save for diff=: the fixed cost of a call weighs more here.\n"
        )
    print("\n".join(lines(rows)))
    print(f"\nfigures of every run: {save(rows, chosen).relative_to(REPOSITORY)}", flush=True)


def workspace() -> Optional[str]:
    """Where workloads stand: memory, if there is a folder of it."""
    return "/dev/shm" if Path("/dev/shm").is_dir() and os.access("/dev/shm", os.W_OK) else None


def main() -> int:
    """Runs what the command line asks for; the exit status tells of failures, not of missed targets."""
    chosen = arguments()
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory(prefix="rusty-bench-", dir=workspace()) as folder,
        tempfile.TemporaryDirectory(prefix="rusty-bench-homes-") as homes,
        RigServer(profiles=RELEASE) as server,
    ):
        driver = Driver(chosen, server, Path(folder), Path(homes))
        for workload in WORKLOADS:
            if workload.name in chosen.workloads:
                rows += driver.workload(workload)
        show(rows, chosen)
        if chosen.peers:
            from peers import measure_peers

            print("\n" + "\n".join(measure_peers(driver)) + "\n")
    met, missed = counts(rows)
    print(f"bench: met={met} missed={missed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
