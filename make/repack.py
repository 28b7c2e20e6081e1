"""Finishes what maturin built: index pages, licences and the bill of materials.

- Relative links of the README lead nowhere on the page of a package index. Their text stays, the link goes.
- The licence texts of the crates in the wheel are added to its `licenses` folder.
- The bill of materials (SBOM) names the build folder, the time and a random number. All three go, so that the same
  sources give the same file.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import gzip
import hashlib
import io
import json
import re
import tarfile
import zipfile
from pathlib import Path

RELATIVE_LINK = re.compile(r"\[([^\]]+)\]\((?![a-z]+:|#)[^)]*\)")
LICENCES = "THIRD-PARTY-LICENSES.txt"
#: The earliest time that a zip archive can hold.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def without_relative_links(text: str) -> str:
    """Markdown whose links to files of the repository are plain text."""
    return RELATIVE_LINK.sub(r"\1", text)


def with_licence_file(metadata: str, name: str) -> str:
    """METADATA that names one more licence file, after the last header of its kind."""
    header, separator, body = metadata.partition("\n\n")
    line = f"License-File: {name}"
    if line in header.splitlines():
        return metadata
    return f"{header}\n{line}{separator}{body}"


def neutral_sbom(text: str) -> str:
    """The bill of materials without traces of the build."""
    document = json.loads(text)
    component = document["metadata"]["component"]
    old, new = component["bom-ref"], f"pkg:cargo/{component['name']}@{component['version']}"
    document["metadata"].pop("timestamp", None)
    document.pop("serialNumber", None)
    return json.dumps(document, indent=1).replace(old, new).replace("?download_url=file://.", "") + "\n"


def record_line(name: str, content: bytes) -> tuple[str, str, str]:
    """A row of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return name, f"sha256={digest}", str(len(content))


def finish_wheel(wheel: Path, licences: str) -> None:
    """Rewrites the wheel in place."""
    with zipfile.ZipFile(wheel) as archive:
        files = {info.filename: (archive.read(info), info.external_attr) for info in archive.infolist()}
    [record] = [name for name in files if name.endswith(".dist-info/RECORD")]
    folder = record.rpartition("/")[0]
    del files[record]

    def change(name: str, content: str) -> None:
        files[name] = (content.encode(), files[name][1] if name in files else 0o100644 << 16)

    metadata = without_relative_links(files[f"{folder}/METADATA"][0].decode())
    change(f"{folder}/METADATA", with_licence_file(metadata, LICENCES))
    change(f"{folder}/licenses/{LICENCES}", licences)
    for name in [name for name in files if name.endswith(".cyclonedx.json")]:
        change(name, neutral_sbom(files[name][0].decode()))
    table = io.StringIO()
    rows = [record_line(name, content) for name, (content, _) in files.items()]
    csv.writer(table, lineterminator="\n").writerows([*rows, (record, "", "")])
    files[record] = (table.getvalue().encode(), 0o100644 << 16)
    write_zip(wheel, files)


def write_zip(path: Path, files: dict[str, tuple[bytes, int]]) -> None:
    """Writes the archive beside `path` and renames it, so that a broken off run leaves the old one."""
    temporary = path.with_name(path.name + ".tmp")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, (content, attributes) in files.items():
            info = zipfile.ZipInfo(name, ZIP_EPOCH)
            info.external_attr, info.compress_type = attributes, zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    temporary.replace(path)


def finish_sdist(sdist: Path) -> None:
    """Rewrites PKG-INFO in place; all other members stay as they are."""
    temporary = sdist.with_name(sdist.name + ".tmp")
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(tarfile.open(sdist))
        raw = stack.enter_context(temporary.open("wb"))
        packed = stack.enter_context(gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename=""))
        new = stack.enter_context(tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT))
        for member in old:
            file = old.extractfile(member)
            content = file.read() if file is not None else b""
            if member.name.count("/") == 1 and member.name.endswith("/PKG-INFO"):
                content = without_relative_links(content.decode()).encode()
                member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    temporary.replace(sdist)
