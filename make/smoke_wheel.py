"""Installs a wheel into an empty environment of each CPython found, and uses it there beside other native packages.

    python make/smoke_wheel.py [--beside PACKAGE ...] [--python PATH ...] dist/NAME.whl

Both options may be given several times. `--beside` downloads the package and imports it before and after ours.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSIONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]

ROUND_TRIP = """
import sys
from pathlib import Path
import rusty_attachments
from rusty_attachments import AssetManifest, HashAlgorithm, decode_manifest, hash_data, hash_file
from rusty_attachments.asset_manifests.v2023_03_03 import ManifestPath

file = Path(sys.argv[1])
file.write_bytes(b"contents" * 100_000)
digest = hash_file(str(file), HashAlgorithm.XXH128)
assert digest == hash_data(file.read_bytes(), HashAlgorithm.XXH128)
entry = ManifestPath(path="a", hash=digest, size=800_000, mtime=1)
text = AssetManifest(hash_alg=HashAlgorithm.XXH128, paths=[entry], total_size=800_000).encode()
assert decode_manifest(text).encode() == text
print("round trip", rusty_attachments.__version__, sys.version.split()[0])
"""


def interpreters() -> list[str]:
    """Paths of the CPythons on PATH and below pyenv that the wheel is for."""
    found = [path for version in VERSIONS if (path := shutil.which(f"python{version}")) is not None]
    for version in VERSIONS:
        found += map(str, sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python")))
    return [
        path
        for path in found
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
    ]


def smoke(python: str, wheel: Path, beside: list[str]) -> str:
    """Installs and runs; raises `CalledProcessError` if a step fails."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        subprocess.run([python, "-m", "venv", environment], check=True)
        inside = str(environment / "bin" / "python")
        pip = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-index", wheel], check=True)

        def run(script: str) -> str:
            command = [inside, "-I", "-c", script, str(Path(folder) / "file")]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

        said = run(ROUND_TRIP)
        for package in beside:
            subprocess.run([*pip, package], check=True)
            run(f"import {package}\n{ROUND_TRIP}")
            run(f"{ROUND_TRIP}\nimport {package}")
            said += f", beside {package}"
        if beside:
            run("\n".join(f"import {package}" for package in beside) + ROUND_TRIP)
        return said


def main() -> int:
    """Exit status 1 if an interpreter failed or none was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--python", action="append", default=[], help="an interpreter, instead of all that are found"
    )
    parser.add_argument("--beside", action="append", default=[], metavar="PACKAGE")
    parser.add_argument("wheel", type=Path)
    options = parser.parse_args()
    failed = 0
    pythons = options.python or interpreters()
    for python in pythons:
        try:
            print(f"{python}: {smoke(python, options.wheel.absolute(), options.beside)}", flush=True)
        except subprocess.CalledProcessError as error:
            failed += 1
            print(f"{python}: FAILED: {error.stderr or error}", flush=True)
    print(f"smoke_wheel: {len(pythons) - failed} passed, {failed} failed")
    return 1 if failed or not pythons else 0


if __name__ == "__main__":
    sys.exit(main())
