"""Downloads from an S3 that fails in every way that the rig knows: right files or typed errors, never wrong bytes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from rusty_attachments.asset_manifests.decode import decode_manifest
from rusty_attachments.download import download_files_from_manifests
from rusty_attachments.exceptions import (
    AssetSyncError,
    JobAttachmentS3BotoCoreError,
    JobAttachmentsS3ClientError,
)
from rusty_attachments.models import FileConflictResolution

from .job import PREFIX, JobInS3, entry, manifest_text
from .trees import contents, leftovers, tree

MIB = 1 << 20
RESUME = FileConflictResolution.RESUME


@pytest.fixture
def job(rig, rig_bucket) -> JobInS3:
    return JobInS3(rig, rig_bucket)


@pytest.fixture
def impatient(monkeypatch) -> None:
    """For tests of what stalls. Others must not have it: on a busy machine any reply may take as long."""
    monkeypatch.setenv("RUSTY_ATTACHMENTS_STALL_SECONDS", "0.4")
    monkeypatch.setenv("RUSTY_ATTACHMENTS_RETRY_SECONDS", "20")


def download(job, root, text, **options):
    return download_files_from_manifests(
        s3_bucket=job.bucket,
        manifests_by_root={str(root): decode_manifest(text)},
        cas_prefix=f"{PREFIX}/Data",
        **options,
    )


def some_files(count=30, seed=7):
    """Small files, one of a part exactly, and a large one that comes in ranges."""
    chance = random.Random(seed)
    files = {
        f"folder{number % 4}/{number}": chance.randbytes(chance.randrange(3000)) for number in range(count)
    }
    files["part"] = chance.randbytes(8 * MIB)
    files["large"] = chance.randbytes(20 * MIB + 17)
    return files


def fault(kind, operation="GetObject", **fields):
    rule = {name: fields.pop(name) for name in list(fields) if name in RULE_FIELDS}
    return {"operation": operation, **rule, "fault": {"kind": kind, **fields}}


@pytest.mark.parametrize("kind", ["reset", "truncate"])
def test_a_body_that_breaks_off_is_asked_for_from_there(job, tmp_path, kind):
    files = {"part": random.Random(1).randbytes(5 * MIB), "large": random.Random(2).randbytes(17 * MIB)}
    text = job.manifest(files)
    job.rig.config(log=True)
    job.rig.rules(fault(kind, at=3 * MIB, per_key=True, nth=[1]))
    download(job, tmp_path / "root", text)
    assert contents(tmp_path / "root") == files
    by_key: dict[str, list[str]] = {}
    for row in job.rig.log():
        by_key.setdefault(row["key"], []).append(row["range"])
    part, large = sorted(by_key.values(), key=len)
    assert len(part) == 2, "the object, and its rest"
    assert len(large) == 4, "three ranges, and the rest of the first"
    # From where each request asks within its range: all but the rests ask from the beginning.
    starts = [int(asked.partition("=")[2].partition("-")[0]) % (8 * MIB) for asked in [part[1], *large]]
    rests = [start for start in starts if start]
    assert len(rests) == 2, starts
    assert all(start <= 3 * MIB for start in rests), starts


def test_more_ranges_come_at_a_time_where_replies_take_long(job, tmp_path, monkeypatch):
    monkeypatch.setenv("RUSTY_ATTACHMENTS_STALL_SECONDS", "20")
    files = {"large": random.Random(3).randbytes(12 * 8 * MIB)}
    text = job.manifest(files)
    # Long beside what the client does with a range, also in a debug build on a busy machine: a reply
    # that the sockets have taken is no longer under way to the rig.
    job.rig.config(delay_ms=1000)
    download(job, tmp_path / "root", text)
    assert contents(tmp_path / "root") == files
    assert 4 <= job.rig.stats()["most_in_flight"] <= 6, "it begins with two, and 48 MiB is the room there is"


RULE_FIELDS = ("nth", "skip", "times", "per_key", "probability", "key")

PASSING = {
    "F1 a burst of 503": [fault("status", status=503, code="SlowDown", times=20)],
    "F1 500 and 503 at random": [
        fault("status", status=500, code="InternalError", probability=0.1),
        fault("status", status=503, code="SlowDown", probability=0.1, retry_after=1),
    ],
    "F3 reset before the head": [fault("reset", per_key=True, times=1)],
    "F3 reset at byte 0": [fault("reset", at=0, per_key=True, times=2)],
    "F3 reset at byte 1": [fault("reset", at=1, per_key=True, times=2)],
    "F3 reset in the middle": [fault("reset", at=0.5, per_key=True, times=3)],
    "F3 reset at the last byte": [fault("reset", at=-1, per_key=True, times=2)],
    "F4 truncated": [fault("truncate", at=0.5, per_key=True, times=2)],
    "F4 short once": [fault("short", at=0.5, per_key=True, times=1)],
    "F5 a wrong byte once": [fault("wrong_byte", at=0.5, per_key=True, times=1)],
    "F5 a wrong range once": [fault("other_range", per_key=True, times=1)],
    "F5 a range ignored once": [fault("ignore_range", times=1)],
    "F6 stalls before the head": [fault("stall", at=0, ms=3000, per_key=True, times=1)],
    "F6 stalls in the body": [fault("stall", at=0.5, ms=3000, per_key=True, times=1)],
    "F6 trickles": [fault("trickle", bytes=1, every_ms=20, times=3)],
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", PASSING)
def test_what_passes_does_no_harm(job, tmp_path, name):
    files = some_files()
    text = job.manifest(files)
    job.rig.rules(*PASSING[name])
    statistics = download(job, tmp_path / "root", text)
    assert contents(tmp_path / "root") == files
    assert leftovers(tmp_path) == []
    assert sum(job.rig.stats()["faults"]) > 0
    assert statistics.processed_files == len(files)
    assert statistics.processed_bytes == sum(map(len, files.values()))


STAYING = {
    "F4 truncated": ([fault("truncate", at=0.5)], JobAttachmentS3BotoCoreError),
    "F4 short": ([fault("short", at=0.5)], AssetSyncError),
    "F5 a wrong first byte": ([fault("wrong_byte", at=0)], AssetSyncError),
    "F5 a wrong byte in the middle": ([fault("wrong_byte", at=0.5)], AssetSyncError),
    "F5 a wrong last byte": ([fault("wrong_byte", at=-1)], AssetSyncError),
    "F5 another object": ([fault("other_object", key="*", same_length=True)], AssetSyncError),
    "F5 a range ignored": ([fault("ignore_range")], AssetSyncError),
    "F3 reset": ([fault("reset", at=0.5)], JobAttachmentS3BotoCoreError),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("size", [1000, 9 * MIB])
@pytest.mark.parametrize("name", STAYING)
def test_what_stays_is_a_typed_error_and_no_file(job, tmp_path, name, size):
    if name == "F5 a range ignored" and size <= 8 * MIB:
        size = 9 * MIB + 1
    rules, error_class = STAYING[name]
    body, other = random.Random(1).randbytes(size), random.Random(2).randbytes(size)
    job.data(other)
    text = job.manifest({"folder/file": body})
    rules = [dict(rule) for rule in rules]
    for rule in rules:
        if rule["fault"]["kind"] == "other_object":
            rule.pop("key", None)
            rule["fault"]["key"] = job.data(other)
    job.rig.rules(*rules)
    with pytest.raises(error_class) as caught:
        download(job, tmp_path / "root", text)
    key = entry("", body)["hash"]
    assert key in str(caught.value), caught.value
    assert contents(tmp_path / "root") == {}
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "SlowDown"), (500, "InternalError"), (408, "RequestTimeout"), (400, "RequestTimeout")],
)
def test_f2_an_endpoint_that_always_fails_ends_within_the_budget(job, tmp_path, monkeypatch, status, code):
    monkeypatch.setenv("RUSTY_ATTACHMENTS_RETRY_SECONDS", "2")
    text = job.manifest({"a": b"a"})
    job.rig.rules(fault("status", status=status, code=code))
    with pytest.raises(AssetSyncError) as caught:
        download(job, tmp_path / "root", text)
    assert job.bucket in str(caught.value)
    assert entry("", b"a")["hash"] in str(caught.value)
    assert 1 < job.rig.count("GetObject") < 40, "as many as the budget has time for"


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
def test_f2_an_endpoint_that_is_not_there(job, tmp_path, monkeypatch, endpoint):
    monkeypatch.setenv("RUSTY_ATTACHMENTS_RETRY_SECONDS", "2")
    text = job.manifest({"a": b"a"})
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(JobAttachmentS3BotoCoreError) as caught:
        download(job, tmp_path / "root", text)
    assert job.bucket in str(caught.value)


def test_f6_ten_thousand_files_of_one_byte_are_no_stall(job, tmp_path):
    job.rig.config(delay_ms=5)
    rows = [entry(f"{number % 100}/{number}", bytes([number % 256])) for number in range(10_000)]
    for number in range(256):
        job.data(bytes([number]))
    before = job.rig.count("GetObject")
    download(job, tmp_path / "root", manifest_text(rows))
    assert job.rig.count("GetObject") - before == 256
    found = contents(tmp_path / "root")
    assert all(found[row["path"]] == bytes([number % 256]) for number, row in enumerate(rows))
    # And once with as many objects.
    files = {f"{number}": number.to_bytes(2, "big") for number in range(3000)}
    download(job, tmp_path / "second", job.manifest(files))
    assert contents(tmp_path / "second") == files


class Session:
    """Like a boto3 session whose credentials change."""

    region_name = "us-west-2"
    profile_name = None

    def __init__(self, *keys):
        self.keys = list(keys)
        self.asked = 0

    def get_credentials(self):
        return self

    def get_frozen_credentials(self):
        from types import SimpleNamespace

        key = self.keys[min(self.asked, len(self.keys) - 1)]
        self.asked += 1
        return SimpleNamespace(access_key=key, secret_key="secret", token=f"token-of-{key}")


def test_f7_new_credentials_are_fetched_where_the_old_have_expired(job, tmp_path):
    files = some_files()
    text = job.manifest(files)
    job.rig.config(token_requests=25)
    session = Session("AKIDFIRST", "AKIDSECOND", "AKIDTHIRD", "AKIDFOURTH", "AKIDFIFTH", "AKIDSIXTH")
    download(job, tmp_path / "root", text, session=session)
    assert contents(tmp_path / "root") == files
    assert session.asked > 1


def test_f7_expired_credentials_and_no_others(job, tmp_path):
    text = job.manifest(some_files())
    job.rig.config(token_requests=5)
    with pytest.raises(JobAttachmentsS3ClientError, match="ExpiredToken"):
        download(job, tmp_path / "root", text, session=Session("AKIDONLY"))
    assert leftovers(tmp_path) == []


def test_f13_places_that_cannot_be_written_are_named(job, tmp_path):
    text = job.manifest({"folder/file": b"x", "other": b"y"})
    root = tmp_path / "root"
    (root / "folder/file").mkdir(parents=True)
    with pytest.raises(AssetSyncError, match="folder/file"):
        download(job, root, text)
    (root / "folder/file").rmdir()
    (root / "folder").rmdir()
    (root / "folder").write_bytes(b"")
    with pytest.raises(OSError, match=r"Failed to create download directory '.*root/folder'"):
        download(job, root, text)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"Failed to create download directory '.*/file'"):
        download(job, tmp_path / "file", text)


DRIVER = textwrap.dedent(
    """
    import os, resource, sys
    from pathlib import Path
    from rusty_attachments.asset_manifests.decode import decode_manifest
    from rusty_attachments.download import download_files_from_manifests
    from rusty_attachments.models import FileConflictResolution

    bucket, prefix, root, manifest, resolution, user = sys.argv[1:7]
    limit = os.environ.get("FILE_SIZE_LIMIT")
    if limit:
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    descriptors = os.environ.get("DESCRIPTOR_LIMIT")
    if descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(descriptors), int(descriptors)))
    manifest = decode_manifest(Path(manifest).read_text())
    if user:
        os.setuid(int(user))
    print("begins", flush=True)
    try:
        statistics = download_files_from_manifests(
            bucket, {root: manifest}, prefix, conflict_resolution=FileConflictResolution[resolution],
            hash_cache_dir=os.environ["CACHE_DIR"],
        )
    except Exception as error:
        print(type(error).__name__, error, flush=True)
        sys.exit(3)
    # Not getrusage: its peak is that of the process that this one was forked from, if that was larger.
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0])
    print("done", statistics.processed_files, statistics.skipped_files, peak, flush=True)
    """
)


@pytest.fixture
def run(job, tmp_path):
    """Starts a download in a process of its own."""

    def start(root: Path, text: str, resolution: str = "RESUME", user: str = "", **environment: str):
        manifest = tmp_path / f"manifest-{len(text)}"
        manifest.write_text(text)
        arguments = [job.bucket, f"{PREFIX}/Data", str(root), str(manifest), resolution, user]
        cache = {"CACHE_DIR": str(tmp_path / "cache")}
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **cache, **environment},
        )

    return start


def finish(process) -> tuple[int, str]:
    out, _ = process.communicate(timeout=300)
    return process.returncode, out


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_f13_a_directory_of_another_user(job, tmp_path, run):
    root = tmp_path / "root"
    root.mkdir(mode=0o755)
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    code, out = finish(run(root, job.manifest({"a/b": b"x"}), user="65534"))
    assert (code, out.splitlines()[1].split()[0]) == (3, "PermissionError"), out
    assert "Failed to create download directory" in out
    code, out = finish(run(root, job.manifest({"a": b"x"}), user="65534"))
    assert (code, out.splitlines()[1].split()[0]) == (3, "AssetSyncError"), out
    assert str(root / "a") in out
    assert tree(root) == {}


def test_f12_a_file_that_does_not_fit_and_few_descriptors(job, tmp_path, run):
    files = {f"{number:02}": bytes([number]) * 100 for number in range(20)}
    files["large"] = bytes(12 * MIB)
    code, out = finish(run(tmp_path / "root", job.manifest(files), FILE_SIZE_LIMIT=str(MIB)))
    assert code == 3
    assert "AssetSyncError" in out
    assert "root/large" in out
    found = contents(tmp_path / "root")
    assert "large" not in found
    assert all(found[name] == files[name] for name in found)
    assert leftovers(tmp_path) == []
    many = {f"{number}/{number}": f"{number}".encode() for number in range(300)}
    code, out = finish(run(tmp_path / "few", job.manifest(many), DESCRIPTOR_LIMIT="60"))
    found = contents(tmp_path / "few")
    assert all(found[name] == many[name] for name in found)
    assert (code == 0 and found == many) or (code == 3 and "Error" in out), out
    assert leftovers(tmp_path) == []
    code, out = finish(run(tmp_path / "few", job.manifest(many)))
    assert code == 0
    assert contents(tmp_path / "few") == many


#: Transfers that may be under way at once: small ones, and large ones.
MOST_IN_FLIGHT = 128 + 3
KILLS = int(os.environ.get("DOWNLOAD_KILLS", "20"))


def test_f14_killed_at_random_moments_and_run_again(job, tmp_path, run):
    files = some_files(count=300)
    files["also large"] = random.Random(5).randbytes(30 * MIB)
    text = job.manifest(files)
    sizes = {entry("", body)["hash"]: len(body) for body in files.values()}
    chance = random.Random(int(os.environ.get("DOWNLOAD_SEED", "1")))
    most_lost = 0
    for kill in range(KILLS):
        root = tmp_path / f"root{kill}"
        job.rig.reset()
        job.rig.config(delay_ms=10, log=True)
        process = run(root, text)
        assert process.stdout.readline() == "begins\n"
        try:
            process.wait(timeout=chance.uniform(0, 0.9))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        there = {path: body for path, body in contents(root).items() if "/.rusty" not in f"/{path}"}
        # Whatever has its name is right, and what it was is not fetched again.
        assert all(body == files[path] for path, body in there.items())
        right = {entry("", body)["hash"] for body in there.values()}
        # The killed process's requests may still be on their way.
        time.sleep(0.3)
        before = job.rig.stats()["operations"].get("GetObject", 0)
        asked = {
            row["key"].rpartition("/")[2][:32] for row in job.rig.log() if row["operation"] == "GetObject"
        }
        # Only what was in flight is lost: asked for, and not there.
        lost = asked - right
        most_lost = max(most_lost, len(lost))
        assert len(lost) <= MOST_IN_FLIGHT, (kill, len(asked), len(right))
        code, out = finish(
            run(root, text, RUSTY_ATTACHMENTS_STALL_SECONDS="20", RUSTY_ATTACHMENTS_RETRY_SECONDS="120")
        )
        assert code == 0, out
        fetched = job.rig.stats()["operations"]["GetObject"] - before
        missing = [size for name, size in sizes.items() if name not in right]
        assert fetched == sum(max(1, -(-size // (8 * MIB))) for size in missing)
        assert contents(root) == files
        assert leftovers(root) == []
        shutil.rmtree(root)
    print(f"{KILLS} kills; at most {most_lost} of {len(sizes)} objects were in flight, and asked for again")
    # Some were killed in the middle.
    assert most_lost > 0


def test_f21_memory_is_bounded_by_buffers(job, tmp_path, run):
    files = {f"large{number}": bytes([number]) * (100 * MIB) for number in range(4)}
    text = job.manifest(files)
    code, out = finish(run(tmp_path / "root", text))
    assert code == 0, out
    peak = int(out.split()[-1])
    assert peak < 200 * 1024, f"{peak} KiB"
    for name, body in files.items():
        assert (tmp_path / "root" / name).read_bytes() == body


#: DOWNLOAD_ENTRIES=1000000 takes a minute and 4 GB below the temporary folder.
ENTRIES = int(os.environ.get("DOWNLOAD_ENTRIES", "20000"))


def test_one_directory_with_many_entries_of_one_content(job, tmp_path):
    job.data(b"x")
    text = manifest_text([entry(f"d/{number:07}", b"x") for number in range(ENTRIES)])
    statistics = download(job, tmp_path / "root", text)
    assert statistics.processed_files == ENTRIES
    assert job.rig.count("GetObject") == 1, "the content is fetched once"
    names = set()
    with os.scandir(tmp_path / "root" / "d") as found:
        for each in found:
            assert each.stat().st_size == 1
            names.add(each.name)
    assert names == {f"{number:07}" for number in range(ENTRIES)}
