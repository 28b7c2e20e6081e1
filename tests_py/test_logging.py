"""What `logging` hears of requests that are made again, and what errors say when no reply comes."""

from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from rusty_attachments.exceptions import JobAttachmentS3BotoCoreError
from transfers import child_environment, manifest_of, upload

AGAIN = re.compile(
    r"(?:Head|Put)Object of s3://(\S+): attempt (\d+) failed: (.+); trying again in (\d+\.\d\d) s"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(b"few bytes")
    return tmp_path


def assert_no_debug_form(text: str) -> None:
    """No value as Rust's `Debug` prints it, and none of the SDK's names of its errors."""
    for form in ("Some(", "{ ", "Failure", "dispatch failure", "client error (", "Error {", "Kind("):
        assert form not in text, text


def repeated(records: list[logging.LogRecord]) -> list[tuple[str, int, str, float]]:
    found = [
        AGAIN.fullmatch(record.getMessage()) for record in records if record.name == "rusty_attachments.s3"
    ]
    return [(match[1], int(match[2]), match[3], float(match[4])) for match in found if match]


def test_a_503_is_said_with_its_key_and_the_wait(rig, rig_bucket, folder, caplog):
    rig.rules(
        {"operation": "PutObject", "key": "*/Data/*", "times": 2, "fault": {"kind": "status", "status": 503}}
    )
    caplog.set_level(logging.DEBUG)
    upload(rig_bucket, folder / "source", folder / "caches", manifest=manifest_of(folder / "source"))
    assert all(
        record.levelno == logging.DEBUG for record in caplog.records if record.name == "rusty_attachments.s3"
    )
    first, second = repeated(caplog.records)
    assert first[0] == second[0]
    assert first[0].startswith(f"{rig_bucket}/prefix/Data/")
    assert [first[1:3], second[1:3]] == [
        (1, "HTTP status 503 Service Unavailable"),
        (2, "HTTP status 503 Service Unavailable"),
    ]
    assert first[3] <= 0.1
    assert second[3] <= 0.2


def test_a_connection_that_is_refused_is_said_while_it_is_waited_out(monkeypatch, rig_bucket, folder, caplog):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        # Bound, and listened to by nobody.
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        monkeypatch.setenv("RUSTY_ATTACHMENTS_RETRY_SECONDS", "0.5")
        caplog.set_level(logging.DEBUG)
        with pytest.raises(JobAttachmentS3BotoCoreError) as error:
            upload(rig_bucket, folder / "source", folder / "caches", manifest=manifest_of(folder / "source"))
    assert "the connection failed: Connection refused" in str(error.value)
    assert_no_debug_form(str(error.value))
    said = repeated(caplog.records)
    assert said
    assert {reason for _, _, reason, _ in said} == {
        "the connection failed: Connection refused (os error 111)"
    }
    assert all(place.startswith(f"{rig_bucket}/") for place, _, _, _ in said)


def test_without_credentials_the_error_says_where_they_were_looked_for(monkeypatch, tmp_path, folder):
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(JobAttachmentS3BotoCoreError) as error:
        upload("bucket", folder / "source", folder / "caches", manifest=manifest_of(folder / "source"))
    text = str(error.value)
    for source in ("the environment", "profile 'default'", "container", "instance"):
        assert source in text
    assert_no_debug_form(text)


def test_nothing_of_it_is_said_above_debug(rig, rig_bucket, folder, caplog):
    rig.rules({"operation": "PutObject", "times": 2, "fault": {"kind": "status", "status": 503}})
    caplog.set_level(logging.INFO)
    upload(rig_bucket, folder / "source", folder / "caches", manifest=manifest_of(folder / "source"))
    assert repeated(caplog.records) == []


def test_records_come_on_the_calling_thread_in_a_forked_child_too(rig, rig_bucket, folder):
    rig.rules(
        {"operation": "PutObject", "per_key": True, "nth": [1], "fault": {"kind": "status", "status": 503}}
    )
    program = """
        import logging, os, sys, threading, warnings
        from pathlib import Path
        from transfers import manifest_of, upload

        class Handler(logging.Handler):
            def emit(self, record):
                assert threading.current_thread() is threading.main_thread()
                if "trying again" in record.getMessage():
                    said.append(record.name)

        said = []
        logging.getLogger().addHandler(Handler())
        logging.getLogger().setLevel(logging.DEBUG)
        bucket, folder = sys.argv[1], Path(sys.argv[2])

        def call(name):
            (folder / "source" / "file").write_text(name)
            said.clear()
            upload(bucket, folder / "source", folder / name, manifest=manifest_of(folder / "source"))
            return "rusty_attachments.s3" in said

        assert call("parent")
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
        if child == 0:
            os._exit(0 if call("child") else 1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert call("parent again")
    """
    command = [sys.executable, "-c", textwrap.dedent(program), rig_bucket, str(folder)]
    subprocess.run(command, check=True, timeout=120, env=child_environment())
