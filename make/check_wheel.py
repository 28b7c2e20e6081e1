"""Checks built wheels: does each run where its name says it does?

    python make/check_wheel.py dist/*.whl

Prints what it read, then one line for each fault. Exit status 1 if there is one.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import pwd
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_DT_FLAGS
from elftools.elf.gnuversions import GNUVerNeedSection
from elftools.elf.relocation import RelocationSection

REPOSITORY = Path(__file__).resolve().parents[1]

#: Relocations for thread-local data at a fixed distance from the thread pointer: the static TLS model.
STATIC_TLS = {
    "EM_X86_64": {18: "R_X86_64_TPOFF64", 23: "R_X86_64_TPOFF32"},
    "EM_AARCH64": {1030: "R_AARCH64_TLS_TPREL"},
}

#: Libraries that PEP 599 promises on every manylinux2014 system, as far as this module may want them.
GLIBC_LIBRARIES = re.compile(
    r"lib(c|m|dl|rt|pthread|util)\.so\.\d+|libgcc_s\.so\.1|ld-linux-(x86-64\.so\.2|aarch64\.so\.1)"
)
MUSL_LIBRARIES = re.compile(r"libc\.so|libc\.musl-\w+\.so\.1")
GLIBC_TAG = re.compile(r"manylinux_2_(\d+)_")


@dataclass
class Module:
    """What the dynamic loader reads of a shared library."""

    machine: str
    needed: list[str] = field(default_factory=list)
    versions: dict[str, list[str]] = field(default_factory=dict)
    tls_size: int = 0
    static_tls_flag: bool = False
    static_tls_relocations: list[str] = field(default_factory=list)

    @property
    def newest_glibc(self) -> tuple[int, ...]:
        """The newest version of glibc that a symbol asks for."""
        names = [name for names in self.versions.values() for name in names if name.startswith("GLIBC_")]
        return max((numbers(name) for name in names), default=(0,))


def numbers(version: str) -> tuple[int, ...]:
    """`GLIBC_2.17` as (2, 17)."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def read_module(content: bytes) -> Module:
    """Reads the dynamic section, version needs, TLS segment and relocations."""
    elf = ELFFile(io.BytesIO(content))
    module = Module(machine=elf["e_machine"])
    module.tls_size = sum(part["p_memsz"] for part in elf.iter_segments() if part["p_type"] == "PT_TLS")
    static = STATIC_TLS.get(module.machine, {})
    for section in elf.iter_sections():
        if isinstance(section, DynamicSection):
            for tag in section.iter_tags():
                if tag.entry.d_tag == "DT_NEEDED":
                    module.needed.append(tag.needed)
                elif tag.entry.d_tag == "DT_FLAGS":
                    module.static_tls_flag = bool(tag.entry.d_val & ENUM_DT_FLAGS["DF_STATIC_TLS"])
        elif isinstance(section, GNUVerNeedSection):
            for library, needs in section.iter_versions():
                module.versions[library.name] = [need.name for need in needs]
        elif isinstance(section, RelocationSection):
            kinds = [relocation["r_info_type"] for relocation in section.iter_relocations()]
            module.static_tls_relocations += [static[kind] for kind in kinds if kind in static]
    return module


def faults_of_module(module: Module, wheel_name: str) -> list[str]:
    """What keeps the module from loading on the platform of the wheel's name."""
    faults = []
    floor = GLIBC_TAG.search(wheel_name)
    if floor is not None and module.newest_glibc > (2, int(floor[1])):
        newest = ".".join(map(str, module.newest_glibc))
        faults.append(f"needs GLIBC_{newest}, but its name says 2.{floor[1]}")
    if floor is None and "musllinux" not in wheel_name:
        faults.append("its name has neither a manylinux nor a musllinux tag")
    if "musllinux" in wheel_name and module.newest_glibc > (0,):
        faults.append("is said to be for musl, but asks for symbols of glibc")
    allowed = MUSL_LIBRARIES if "musllinux" in wheel_name else GLIBC_LIBRARIES
    faults += [f"needs {library}" for library in module.needed if not allowed.fullmatch(library)]
    if module.static_tls_flag or module.static_tls_relocations:
        kinds = ", ".join(sorted(set(module.static_tls_relocations))) or "DF_STATIC_TLS"
        faults.append(f"needs {module.tls_size} bytes of static TLS ({kinds})")
    return faults


def faults_of_paths(content: bytes) -> list[str]:
    """Folders of the machine that built the module, in messages of panics."""
    # $HOME may be changed, as in tests: the user's entry is not.
    folders = {REPOSITORY, Path(pwd.getpwuid(os.getuid()).pw_dir)}
    return [f"names the folder {folder}" for folder in sorted(folders) if f"{folder}/".encode() in content]


def faults_of_contents(archive: zipfile.ZipFile) -> list[str]:
    """Faults of RECORD, licences, bill of materials and links."""
    names = archive.namelist()
    [record] = [name for name in names if name.endswith(".dist-info/RECORD")]
    folder = record.rpartition("/")[0]
    faults = []
    rows = {row[0]: row[1] for row in csv.reader(io.StringIO(archive.read(record).decode()))}
    if set(rows) != set(names):
        faults.append(f"RECORD and the archive differ in {sorted(set(rows) ^ set(names))}")
    for name, digest in rows.items():
        actual = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest()).rstrip(b"=").decode()
        if name != record and digest != f"sha256={actual}":
            faults.append(f"RECORD has a wrong hash of {name}")
    for wanted in ("licenses/LICENSE", "licenses/THIRD-PARTY-LICENSES.txt"):
        if f"{folder}/{wanted}" not in names:
            faults.append(f"lacks {wanted}")
    if not [name for name in names if name.startswith(f"{folder}/sboms/")]:
        faults.append("lacks a bill of materials")
    if re.search(r"\]\((?![a-z]+:|#)", archive.read(f"{folder}/METADATA").decode()):
        faults.append("its description has links that an index page cannot follow")
    return faults


def faults_of_audit(wheel: Path) -> list[str]:
    """What auditwheel says that contradicts the wheel's name."""
    if "musllinux" in wheel.name and not Path("/etc/alpine-release").exists():
        # On a system with glibc, auditwheel judges every wheel by the rules of manylinux.
        print("  auditwheel: NOT run: it judges wheels for musl on systems with musl alone")
        return []
    command = [sys.executable, "-m", "auditwheel", "show", str(wheel)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r'following platform tag: "([^"]+)"', " ".join(outcome.stdout.split()))
    if found is None:
        return [f"auditwheel failed: {outcome.stderr.strip()}"]
    print(f"  auditwheel: {found[1]}")
    return [] if found[1] in wheel.name else [f"auditwheel calls it {found[1]}"]


def check(wheel: Path) -> list[str]:
    """All faults of one wheel."""
    print(wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        faults = faults_of_contents(archive)
        modules = [name for name in archive.namelist() if name.endswith(".so")]
        for name in modules:
            content = archive.read(name)
            module = read_module(content)
            versions = ".".join(map(str, module.newest_glibc))
            print(
                f"  {name}: {module.machine}, needs {', '.join(module.needed)}; newest symbol of glibc: {versions}"
            )
            print(f"  thread-local data: {module.tls_size} bytes, static: {bool(module.static_tls_flag)}")
            faults += faults_of_module(module, wheel.name)
            faults += faults_of_paths(content)
    if len(modules) != 1:
        faults.append(f"has {len(modules)} native modules, not one")
    return faults + faults_of_audit(wheel)


def main() -> int:
    """Checks the wheels that the arguments name."""
    wheels = [Path(name) for name in sys.argv[1:]]
    faults = [f"{wheel.name}: {fault}" for wheel in wheels for fault in check(wheel)]
    for fault in faults:
        print(f"check_wheel: {fault}", file=sys.stderr)
    print(f"check_wheel: {len(wheels)} wheels, {len(faults)} faults")
    return 1 if faults or not wheels else 0


if __name__ == "__main__":
    sys.exit(main())
