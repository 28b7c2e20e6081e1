"""The table of what is read from where, against the sources."""

from __future__ import annotations

import re

from rig.server import REPOSITORY

SOURCES = [
    *(REPOSITORY / "src/store/s3/settings").glob("*.rs"),
    *(REPOSITORY / "src/store/s3/http").glob("*.rs"),
    REPOSITORY / "src/store/s3/identity.rs",
]
#: Made of a prefix and the service's name in the sources.
MADE = {"AWS_ENDPOINT_URL_S3"}
#: Named by their ending in the sources.
PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}


def code() -> str:
    """The sources without comments and tests."""
    texts = [path.read_text(encoding="utf-8") for path in SOURCES if path.name != "tests.rs"]
    texts = [text.split("#[cfg(test)]\nmod tests {")[0] for text in texts]
    return re.sub(r"^\s*//.*$", "", "\n".join(texts), flags=re.MULTILINE)


def table() -> list[list[str]]:
    """The table's cells, without its head."""
    text = (REPOSITORY / "docs/guide/configuration.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_every_variable_is_read_and_every_one_that_is_read_is_told():
    told = {name for row in table() for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", row[1])}
    read = set(re.findall(r'"((?:AWS|REQUESTS)_[A-Z0-9_]+)"', code()))
    assert told - MADE - PROXIES == read
    assert "AWS_ENDPOINT_URL_{}" in code()
    assert '"_proxy"' in code()


def test_every_option_is_read():
    told = {name for row in table() for name in re.findall(r"`([a-z][a-z0-9_]+)`", row[2])}
    assert told
    missing = {name for name in told if f'"{name}"' not in code()}
    assert missing == set()
