"""The main job on real input: a tree goes through S3 and comes back the same.

Starts an S3 server on loopback, takes the standard library of the Python that runs this and one generated
file of 200 MB, hashes them, writes the manifest, uploads, and uploads again. A worker downloads them to a new
session folder by the worker's command, writes frames beside the generated file, and uploads what is new by the
worker's other command; the artist downloads the job's outputs. Every file is compared byte for byte and mtime
for mtime. All of it happens in one temporary folder, which is removed at the end.

`make demo` builds what is needed and runs this.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Callable, Optional

from compare import compare_trees
from farm import FRAMES, CommandFailed, Worker, render
from server import Server, lead_clients_to
from tree import GENERATED_BYTES, GENERATED_FOLDER, make_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress
    from rusty_attachments.progress_tracker import ProgressReportMetadata

BUCKET = "demo-bucket"
ROOT_PREFIX = "DeadlineCloud"
# Short: s3s-fs makes file names of keys, and Deadline Cloud's own ids of 32 digits would be too long for one.
FARM, QUEUE, JOB = "farm-demo", "queue-demo", "job-1"


@dataclass
class Step:
    """One row of the table."""

    name: str
    files: int
    size_bytes: int
    seconds: float


@contextmanager
def shown(progress: Progress, name: str) -> Iterator[Callable[[ProgressReportMetadata], bool]]:
    """A progress bar, as a callback of the calls that report their progress in per cent."""
    task = progress.add_task(name, total=100)

    def report(metadata: ProgressReportMetadata) -> bool:
        progress.update(task, completed=metadata.progress)
        return True

    yield report
    progress.update(task, completed=100)


class Demo:
    """The steps, with what one leaves for the next.

    Args:
        work: The folder in which everything happens.
        server: The S3 server.
        progress: Where bars are shown.
    """

    def __init__(self, work: Path, server: Server, progress: Progress) -> None:
        from rusty_attachments.models import JobAttachmentS3Settings
        from rusty_attachments.upload import S3AssetManager

        self.source = work / "source"
        self.session = work / "session"
        self.rendered = work / "rendered"
        self.results = work / "results"
        self.caches = work / "caches"
        self.server = server
        self.progress = progress
        self.steps: list[Step] = []
        self.settings = JobAttachmentS3Settings(s3BucketName=BUCKET, rootPrefix=ROOT_PREFIX)
        self.manager = S3AssetManager(FARM, QUEUE, self.settings)
        self.worker = Worker(work / "worker", self.session, self.settings, (FARM, QUEUE, JOB))

    def run(self) -> tuple[int, int, int, int]:
        """All steps; gives files, bytes, objects sent by the second upload, and mismatches."""
        make_tree(self.source)
        self.hash()
        self.upload("upload")
        stored = self.server.contents(BUCKET)
        sent = self.upload("upload again")
        again = max(sent, len(self.server.contents(BUCKET).items() - stored.items()))
        self.worker_download()
        files, size_bytes, mismatches = self.compare("compare inputs", self.source, self.session)
        self.render()
        self.worker_upload()
        self.download_outputs()
        outputs = self.compare("compare outputs", self.rendered, self.results)
        mismatches += outputs[2]
        for mismatch in mismatches[:10]:
            print(f"demo: {mismatch}", file=sys.stderr)
        return files + outputs[0], size_bytes + outputs[1], again, len(mismatches)

    def hash(self) -> None:
        """Hashes all files; the manifest is kept for the upload."""
        start = time.perf_counter()
        paths = [str(path) for path in self.source.rglob("*") if path.is_file()]
        group = self.manager.prepare_paths_for_upload(paths, [str(self.source / GENERATED_FOLDER)], [])
        with shown(self.progress, "hash") as report:
            statistics, self.manifests = self.manager.hash_assets_and_create_manifest(
                group.asset_groups,
                group.total_input_files,
                group.total_input_bytes,
                hash_cache_dir=str(self.caches),
                on_preparing_to_submit=report,
            )
        seconds = time.perf_counter() - start
        self.steps.append(Step("hash", statistics.processed_files, statistics.processed_bytes, seconds))

    def upload(self, name: str) -> int:
        """Uploads what is not there yet, then the manifest; gives the number of files that were sent."""
        start = time.perf_counter()
        with shown(self.progress, name) as report:
            statistics, self.attachments = self.manager.upload_assets(
                self.manifests, on_uploading_assets=report, s3_check_cache_dir=str(self.caches)
            )
        seconds = time.perf_counter() - start
        self.steps.append(Step(name, statistics.processed_files, statistics.processed_bytes, seconds))
        return statistics.processed_files

    def worker_download(self) -> None:
        """The worker's command fetches the job's inputs to a new folder."""
        [properties] = self.attachments.manifests
        start = time.perf_counter()
        files = self.worker.prepare(properties)
        self.run_command("download", "worker download")
        seconds = time.perf_counter() - start
        self.steps.append(Step("worker download", files, self.steps[0].size_bytes, seconds))

    def render(self) -> None:
        """Frames are written into a folder that has inputs, too."""
        start = time.perf_counter()
        self.frame_bytes = render(self.session / GENERATED_FOLDER, self.rendered / GENERATED_FOLDER)
        self.steps.append(Step("render", FRAMES, self.frame_bytes, time.perf_counter() - start))

    def worker_upload(self) -> None:
        """The worker's command stores what is new since the download."""
        start = time.perf_counter()
        self.run_command("upload", "worker upload")
        self.steps.append(Step("worker upload", FRAMES, self.frame_bytes, time.perf_counter() - start))

    def download_outputs(self) -> None:
        """The artist fetches the job's outputs to another folder."""
        from rusty_attachments.download import OutputDownloader

        start = time.perf_counter()
        outputs = OutputDownloader(self.settings, FARM, QUEUE, JOB)
        outputs.set_root_path(str(self.source), str(self.results))
        with shown(self.progress, "outputs") as report:
            statistics = outputs.download(on_downloading_files=report)
        seconds = time.perf_counter() - start
        step = Step("download outputs", statistics.processed_files, statistics.processed_bytes, seconds)
        self.steps.append(step)

    def run_command(self, command: str, name: str) -> None:
        """One of the worker's commands, with a progress bar."""
        task = self.progress.add_task(name, total=100)
        self.worker.run(command, lambda percent: self.progress.update(task, completed=percent))
        self.progress.update(task, completed=100)

    def compare(self, name: str, left: Path, right: Path) -> tuple[int, int, list[str]]:
        """Compares two trees."""
        start = time.perf_counter()
        files, size_bytes, mismatches = compare_trees(left, right)
        self.steps.append(Step(name, files, size_bytes, time.perf_counter() - start))
        return files, size_bytes, mismatches


def print_table(steps: list[Step]) -> None:
    """What each step did, how long it took."""
    from rich.console import Console
    from rich.table import Table

    table = Table("step")
    for header in ("files", "MB", "seconds", "MB/s"):
        table.add_column(header, justify="right")
    for step in steps:
        megabytes = step.size_bytes / 1e6
        rate = f"{megabytes / step.seconds:,.0f}" if step.size_bytes else "-"
        table.add_row(step.name, f"{step.files:,}", f"{megabytes:,.1f}", f"{step.seconds:.2f}", rate)
    Console().print(table)


def run_in(work: Path, server_program: Path) -> int:
    """The demo in a folder; gives the exit status."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    with Server(server_program, work / "s3") as server:
        server.create_bucket(BUCKET)
        lead_clients_to(server, home=work / "home")
        columns = (
            TextColumn("{task.description:>15}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns) as progress:
            demo = Demo(work, server, progress)
            files, size_bytes, again, mismatches = demo.run()
    print_table(demo.steps)
    wrong = again != 0 or mismatches != 0 or size_bytes < GENERATED_BYTES
    outcome = "FAILED" if wrong else "OK"
    print(f"demo: {outcome} files={files} bytes={size_bytes} uploaded_again={again} mismatches={mismatches}")
    return 1 if wrong else 0


def stop(number: int, _frame: Optional[FrameType]) -> None:
    """A request to end unwinds as Ctrl-C does, so that nothing is left behind."""
    raise SystemExit(128 + number)


def main() -> int:
    """Parses the command line and runs the demo; gives the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--server", type=Path, required=True, help="the program s3_fs (servers/)")
    parser.add_argument("--keep", action="store_true", help="leave the downloaded tree, and say where it is")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, stop)
    from rusty_attachments.exceptions import AssetSyncError, JobAttachmentsError

    with tempfile.TemporaryDirectory(prefix="rusty-attachments-demo-") as folder:
        try:
            status = run_in(Path(folder), arguments.server)
        except (AssetSyncError, JobAttachmentsError, CommandFailed, OSError) as error:
            print(f"demo: FAILED {type(error).__name__}: {error}", file=sys.stderr)
            return 1
        if arguments.keep:
            kept = Path(tempfile.mkdtemp(prefix="rusty-attachments-demo-kept-"))
            (Path(folder) / "session").rename(kept / "session")
            print(f"demo: the downloaded tree is in {kept / 'session'}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
