"""How the cost grows with the work: `make scale`. Ours alone, one run for each size, nothing to be met.

Many small files (upload, download, snapshot, snapshot with `diff=`), and large ones (upload, download), with wall
seconds and peak RSS for each file or GiB. Folders stand on /dev/shm where there is one. The largest sizes need
more memory than most machines have: server, source and target hold each byte once. `--most-files` and
`--most-gib` choose.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests_py"))

from ballast import CALL_BYTES, Ballast
from generate import generate
from plan import GIB, KIB, Workload
from rig.server import RELEASE, RigServer
from run import workspace
from sides import Side

FILES = [1_000, 10_000, 100_000, 1_000_000]
GIBS = [1, 4, 16]

_SMALL = Workload("small", "", "files", 0, KIB, 0, 0)
_LARGE = Workload("large", "", "files", 1, 0, 0, 0)


class Scale:
    """A server, a folder and what the runs share."""

    def __init__(self, server: RigServer, folder: Path, home: Path) -> None:
        self.server = server
        self.folder = folder
        self.side = Side("ours", "rusty_attachments", Path(sys.executable), home, server.environment())
        self.ballast = Ballast(64 * GIB)

    def measure(self, workload: Workload, steps: list[str], sparse: bool = False) -> list[dict[str, Any]]:
        """The figures of each step, in one bucket."""
        folder = self.folder / workload.name
        self.ballast.give(workload.count * max(workload.size, 4 * KIB))
        if sparse:
            (folder / "files").mkdir(parents=True)
            with (folder / "files" / "sparse").open("wb") as file:
                file.truncate(workload.size)
        else:
            generate(workload, folder, False)
        self.server.reset(objects=True)
        bucket = self.server.create_bucket("scale")
        figures = []
        for step in steps:
            if step != "snapshot_diff":
                self.side.prepare_home("fresh")
            target = self.folder / "target"
            target.mkdir()
            specification = {"folder": str(folder), "bucket": bucket, "target": str(target)}
            process = self.side.start(step, specification)
            self.ballast.give(2 * workload.count * max(workload.size, 4 * KIB) + CALL_BYTES)
            figures.append(self.side.finish(process))
            shutil.rmtree(target)
            self.ballast.take()
        shutil.rmtree(folder)
        self.server.reset(objects=True)
        return figures


STEP_NAMES = {
    "hash_and_upload": "hash + upload",
    "download": "download",
    "snapshot": "snapshot, cold",
    "snapshot_diff": "snapshot with `diff=`",
}


def main() -> None:
    """Measures, and prints two tables in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most-files", type=int, default=100_000)
    parser.add_argument("--most-gib", type=int, default=4)
    parser.add_argument("--sparse", action="store_true", help="large files are holes")
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="rusty-scale-", dir=workspace()) as folder,
        tempfile.TemporaryDirectory(prefix="rusty-scale-home-") as home,
        RigServer(profiles=RELEASE) as server,
    ):
        scale = Scale(server, Path(folder), Path(home))
        print("| files of 1 KiB | operation | wall s | µs a file | peak RSS MB |\n|---|---|---|---|---|")
        for count in [count for count in FILES if count <= chosen.most_files]:
            for step, run in zip(STEP_NAMES, scale.measure(replace(_SMALL, count=count), list(STEP_NAMES))):
                micros = run["wall_s"] / count * 1e6
                wall, rss = run["wall_s"], run["rss_mb"]
                print(
                    f"| {count:,} | {STEP_NAMES[step]} | {wall:.3g} | {micros:.0f} | {rss:.0f} |", flush=True
                )
        print("\n| one file of | operation | wall s | s a GiB | peak RSS MB |\n|---|---|---|---|---|")
        steps = ["hash_and_upload", "download"]
        for gib in [gib for gib in GIBS if gib <= chosen.most_gib]:
            large = replace(_LARGE, size=gib * GIB)
            for step, run in zip(steps, scale.measure(large, steps, chosen.sparse)):
                wall, rss = run["wall_s"], run["rss_mb"]
                print(
                    f"| {gib} GiB | {STEP_NAMES[step]} | {wall:.3g} | {wall / gib:.2f} | {rss:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
