"""The bare loops of `examples/bare_loops.rs` on the bulk workloads: what the machine allows at the very most.

They read and hash, receive, hash and write, or read and send, with as many threads as there are processors, and do
nothing else: no manifests, no cache, no comparison of hashes, no temporary files. A target beyond their ratio can't be
met here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from plan import MIB, Workload
from rig.server import RELEASE, RigServer, built_program
from table import Row

#: Workloads with smaller files are ruled by requests, not by bytes.
SMALLEST_BYTES = 8 * MIB


def bare_seconds(words: list[str], lines: list[str]) -> float:
    """Wall seconds of one run on these `NAME SIZE` lines."""
    program = built_program("bare_loops", profiles=RELEASE, is_example=True)
    command = [str(program), words[0], str(os.cpu_count()), *words[1:]]
    done = subprocess.run(command, input="\n".join(lines), stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def add_bare_run(workload: Workload, rows: list[Row], folder: Path, server: RigServer, bucket: str) -> None:
    """One run beside the pair that was just measured; objects of the server are gone afterwards.

    Args:
        workload: what was measured, with its operations in the order of `rows`.
        rows: get the wall seconds as runs of `bare`.
        folder: where the workload's files are; the downloaded ones come beside them for a moment.
        server: holds ours' objects still.
        bucket: their bucket.
    """
    files = [
        f"{path} {path.stat().st_size}" for path in sorted((folder / "files").rglob("*")) if path.is_file()
    ]
    keys = [f"{row['key']} {row['size']}" for row in server.objects(bucket, "root/Data/")]
    address = f"{server.host}:{server.port}"
    seconds = {"hash_files": bare_seconds(["hash"], files)}
    target = folder / "bare"
    target.mkdir()
    seconds["download"] = bare_seconds(["get", address, bucket, str(target)], keys)
    shutil.rmtree(target)
    server.reset(objects=True)
    sent = bare_seconds(["put", address, server.create_bucket("bare")], files)
    seconds["hash_and_upload"] = seconds["hash_files"] + sent
    server.reset(objects=True)
    for row, operation in zip(rows, workload.operations):
        row.runs.setdefault("bare", []).append({"wall_s": seconds[operation.step]})
