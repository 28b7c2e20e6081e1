"""The tables of the documentation on configuration, against the code."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from datetime import timedelta

import pytest
from rig.server import REPOSITORY
from rusty_attachments import (
    DownloadOptions,
    S3AssetManager,
    S3AssetUploader,
    UploadOptions,
    _native,
    download_files_from_manifests,
    upload,
)

#: Made of a prefix and the service's name in the sources.
MADE = {"AWS_ENDPOINT_URL_S3"}
#: Named by their ending in the sources.
PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}

READ, OPTIONS, VARIABLES = (
    "How S3 is reached: what is read from where",
    "Options of uploads and downloads",
    "Variables of this package",
)


def code() -> str:
    """The sources without comments, docstrings and tests."""
    rust = [path for path in (REPOSITORY / "src").rglob("*.rs") if path.name != "tests.rs"]
    texts = [path.read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests {")[0] for path in rust]
    texts = [re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE) for text in texts]
    python = [
        path.read_text(encoding="utf-8") for path in (REPOSITORY / "python/rusty_attachments").rglob("*.py")
    ]
    return "\n".join(texts + [re.sub(r'""".*?"""', "", text, flags=re.DOTALL) for text in python])


def table(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    text = (REPOSITORY / "docs/guide/configuration.md").read_text(encoding="utf-8")
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_every_variable_is_read_and_every_one_that_is_read_is_told():
    told = {name for row in table(READ) for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", row[1])}
    told |= {name for row in table(VARIABLES) for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", row[0])}
    read = set(re.findall(r"""["']((?:AWS|REQUESTS|RUSTY_ATTACHMENTS)_[A-Z0-9_]*[A-Z0-9])["']""", code()))
    assert told - MADE - PROXIES == read
    assert "AWS_ENDPOINT_URL_{}" in code()
    assert '"_proxy"' in code()


def test_every_option_of_profiles_is_read():
    told = {name for row in table(READ) for name in re.findall(r"`([a-z][a-z0-9_]+)`", row[2])}
    assert told
    missing = {name for name in told if f'"{name}"' not in code()}
    assert missing == set()


def told_options() -> dict[tuple[str, str], str]:
    """The defaults of the table, by what an option belongs to and its name."""
    return {
        (owner, row[0].strip("`")): row[2]
        for row in table(OPTIONS)
        for owner in re.findall(r"`(\w+)`", row[1])
    }


def days(seconds: float) -> str:
    count = timedelta(seconds=seconds) / timedelta(days=1)
    return f"{count:g} day{'' if count == 1 else 's'}"


def defaults() -> dict[tuple[str, str], str]:
    """What the native module says."""
    uploads, downloads = _native.upload_defaults(), _native.download_defaults()
    store = _native.store_defaults()
    of_uploads = {
        "buffer_bytes": str(uploads["buffer_bytes"]),
        "checksums": str(store["checksums"]),
        "confine_links": str(uploads["confine_links"]),
        "trust_cache_for": days(uploads["trust_cache_seconds"]),
        "resume_within": days(uploads["resume_within_seconds"]),
    }
    of_downloads = {
        "buffer_bytes": str(downloads["buffer_bytes"]),
        "max_connections": str(store["max_connections"]),
    }
    of_uploaders = {
        "s3_max_pool_connections": str(store["max_connections"]),
        "small_file_threshold_multiplier": str(
            uploads["small_file_threshold"] // upload.S3_MULTIPART_UPLOAD_CHUNK_SIZE
        ),
    }
    of_functions = {"verify": downloads["verify"], "fsync": str(downloads["fsync"])}
    owners = {
        "UploadOptions": of_uploads,
        "DownloadOptions": of_downloads,
        "S3AssetUploader": of_uploaders,
        "S3AssetManager": of_uploaders,
        "download_files_from_manifests": of_functions,
    }
    return {(owner, name): value for owner, found in owners.items() for name, value in found.items()}


def test_the_defaults_are_those_of_the_code():
    assert told_options() == defaults()
    variables = {row[0].strip("`"): row[1] for row in table(VARIABLES) if row[1]}
    store = _native.store_defaults()
    assert variables == {
        "RUSTY_ATTACHMENTS_RETRY_SECONDS": f"{store['retry_seconds']:g}",
        "RUSTY_ATTACHMENTS_STALL_SECONDS": f"{store['stall_seconds']:g}",
    }


@pytest.mark.parametrize("options", [UploadOptions, DownloadOptions])
def test_every_option_is_told_and_none_stands_for_its_default(options):
    told = {name for owner, name in told_options() if owner == options.__name__}
    assert told == {field.name for field in fields(options)}
    assert all(field.default is None for field in fields(options))


@pytest.mark.parametrize("owner", [S3AssetUploader, S3AssetManager, download_files_from_manifests])
def test_none_stands_for_the_default_of_arguments(owner):
    told = [name for each, name in told_options() if each == owner.__name__]
    parameters = inspect.signature(owner).parameters
    assert told
    assert all(parameters[name].default is None for name in [*told, "options"])


def test_uploaders_have_the_defaults():
    uploader = S3AssetUploader()
    assert uploader._max_connections == _native.store_defaults()["max_connections"]
    assert uploader.small_file_threshold == _native.upload_defaults()["small_file_threshold"]
