"""What is done to wheels and source distributions after maturin."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile

import pytest

METADATA = "Metadata-Version: 2.4\nName: package\nLicense-File: LICENSE\n\n# Title\n\nSee [the guide](docs/guide.md).\n"
SBOM = {
    "serialNumber": "urn:uuid:1",
    "metadata": {
        "timestamp": "now",
        "component": {
            "bom-ref": "path+file:///home/somebody#package@1.0",
            "name": "package",
            "version": "1.0",
        },
    },
    "dependencies": [{"ref": "path+file:///home/somebody#package@1.0", "dependsOn": []}],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[guide](docs/guide.md) and [page](https://example.org/)", "guide and [page](https://example.org/)"),
        (
            "[limits](#limits) and [mail](mailto:a@example.org)",
            "[limits](#limits) and [mail](mailto:a@example.org)",
        ),
        ("a[0](1)", "a0"),
    ],
)
def test_relative_links_become_text(text, expected):
    import repack

    assert repack.without_relative_links(text) == expected


def test_a_finished_wheel_is_whole_and_names_no_folder(tmp_path):
    import check_wheel
    import repack

    wheel = tmp_path / "package-1.0-py3-none-any.whl"
    folder = "package-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("package/__init__.py", "")
        archive.writestr(f"{folder}/METADATA", METADATA)
        archive.writestr(f"{folder}/licenses/LICENSE", "ours")
        archive.writestr(f"{folder}/sboms/package.cyclonedx.json", json.dumps(SBOM))
        archive.writestr(f"{folder}/RECORD", "")
    repack.finish_wheel(wheel, "theirs")
    once = wheel.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        assert check_wheel.faults_of_contents(archive) == []
        assert archive.read(f"{folder}/licenses/THIRD-PARTY-LICENSES.txt") == b"theirs"
        header, _, body = archive.read(f"{folder}/METADATA").decode().partition("\n\n")
        sbom = archive.read(f"{folder}/sboms/package.cyclonedx.json").decode()
    assert header.splitlines()[-1] == "License-File: THIRD-PARTY-LICENSES.txt"
    assert body == "# Title\n\nSee the guide.\n"
    assert "somebody" not in sbom
    assert json.loads(sbom)["dependencies"][0]["ref"] == "pkg:cargo/package@1.0"
    repack.finish_wheel(wheel, "theirs")
    assert wheel.read_bytes() == once


def test_a_finished_sdist_differs_in_its_description_alone(tmp_path):
    import repack

    sdist = tmp_path / "package-1.0.tar.gz"
    files = {
        "package-1.0/PKG-INFO": METADATA,
        "package-1.0/README.md": "[a](b)",
        "package-1.0/x/PKG-INFO": "[a](b)",
    }
    with tarfile.open(sdist, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    repack.finish_sdist(sdist)
    with tarfile.open(sdist) as archive:
        after = {member.name: archive.extractfile(member).read().decode() for member in archive}
    assert after == {
        **files,
        "package-1.0/PKG-INFO": METADATA.replace("[the guide](docs/guide.md)", "the guide"),
    }
