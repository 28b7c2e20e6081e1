"""Uses a wheel on an old Debian, and on another processor: `make wheels-old-root`, as root.

    python make/old_root.py [--suite bullseye] [--arch amd64|arm64] FOLDER dist/NAME.whl

Bootstraps the suite into FOLDER, or uses what is there, installs the wheel and transfers files to the test rig's S3
server and back. The server runs outside. On this machine's own architecture everything runs in a chroot. Programs of
another one run under qemu-user-static, which finds the root's libraries by `-L`: the kernel need not help.
Exit status 2, with the reason, if this machine cannot run the check.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests_py"))

from rig.server import RigServer  # noqa: E402

MIRROR = "http://deb.debian.org/debian"
QEMU = {"amd64": "qemu-x86_64-static", "arm64": "qemu-aarch64-static"}
#: What Debian calls the machine that the kernel names.
DEBIAN_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
#: Where the wheel and its files are inside the root.
WORK = "/opt/rusty_attachments"

TRANSFERS = """
import os, platform, random, sys
from pathlib import Path

work = Path(sys.argv[1])
from rusty_attachments import HashAlgorithm, JobAttachmentS3Settings, S3AssetUploader
from rusty_attachments import AssetManifest, download_files_from_manifests, hash_file
from rusty_attachments.asset_manifests.v2023_03_03 import ManifestPath

sizes = {f"folder/{number}.bin": number * 37 + 1 for number in range(50)}
sizes["large.bin"] = 20 * 1024 * 1024
source, copy = work / "source", work / "copy"
paths = []
for name, size in sizes.items():
    path = source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    digest = hash_file(str(path), HashAlgorithm.XXH128)
    paths.append(ManifestPath(path=name, hash=digest, size=size, mtime=path.stat().st_mtime_ns // 1000))
manifest = AssetManifest(hash_alg=HashAlgorithm.XXH128, paths=paths, total_size=sum(sizes.values()))
settings = JobAttachmentS3Settings(s3BucketName="bucket", rootPrefix="prefix")
uploader = S3AssetUploader(s3_max_pool_connections=50, small_file_threshold_multiplier=20)
uploader.upload_assets(settings, manifest, source_root=source, partial_manifest_prefix="m",
                       s3_check_cache_dir=str(work))
download_files_from_manifests("bucket", {str(copy): manifest}, cas_prefix=settings.full_cas_prefix())
assert all((copy / name).read_bytes() == (source / name).read_bytes() for name in sizes)
where = [platform.machine(), *platform.libc_ver(), "Python", platform.python_version()]
print("transferred", len(sizes), "files:", *where)
"""


class CannotRun(Exception):
    """This machine lacks what the check needs."""


def tool(name: str, package: str) -> str:
    """The path of a program, or an error that names its package."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        raise CannotRun(f"{name} is missing: `apt-get install {package}`")
    return found


def emulator(architecture: str) -> str | None:
    """The emulator for `architecture`, or None where the processor runs its programs."""
    if DEBIAN_NAMES.get(os.uname().machine) == architecture:
        return None
    return tool(QEMU[architecture], "qemu-user-static")


def make_root(folder: Path, suite: str, architecture: str, foreign: bool) -> None:
    """Bootstraps a root. A foreign one is only unpacked: its packages' scripts would need emulation by the kernel."""
    command = [tool("debootstrap", "debootstrap"), "--variant=minbase", f"--arch={architecture}"]
    packages = "python3" if foreign else "python3,python3-pip"
    command += [f"--include={packages}", *(["--foreign"] if foreign else []), suite, str(folder), MIRROR]
    log = folder.with_name(folder.name + ".log")
    with log.open("wb") as output:
        if subprocess.run(command, stdout=output, stderr=output, check=False).returncode != 0:
            raise CannotRun(f"debootstrap failed, see {log}")
    if foreign:
        for package in sorted((folder / "var/cache/apt/archives").glob("*.deb")):
            subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)


def run_natively(folder: Path, wheel: Path, environment: dict[str, str]) -> None:
    """Installs with the root's own pip, so that it reads the wheel's tags, and transfers."""
    inside = folder / WORK.lstrip("/")
    shutil.copy(wheel, inside)
    chroot = ["chroot", str(folder), "/usr/bin/python3"]
    pip = [
        *chroot,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--force-reinstall",
        f"{WORK}/{wheel.name}",
    ]
    subprocess.run(pip, check=True, env=environment)
    subprocess.run([*chroot, "-c", TRANSFERS, WORK], check=True, env=environment)


def run_emulated(folder: Path, wheel: Path, environment: dict[str, str], qemu: str) -> None:
    """Installs with this machine's pip for the other platform, and transfers under the emulator."""
    inside = folder / WORK.lstrip("/")
    packages = inside / "packages"
    platform = wheel.stem.rpartition("-")[2].partition(".")[0]
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--target",
        str(packages),
    ]
    subprocess.run([*pip, "--platform", platform, "--only-binary", ":all:", str(wheel)], check=True)
    python = [qemu, "-L", str(folder), str((folder / "usr/bin/python3").resolve())]
    environment = {**environment, "PYTHONPATH": str(packages), "PYTHONHOME": str(folder / "usr")}
    subprocess.run([*python, "-c", TRANSFERS, str(inside)], check=True, env=environment)


def main() -> int:
    """Exit status 2 where the check cannot run, 1 where it fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="bullseye")
    parser.add_argument("--arch", default=DEBIAN_NAMES.get(os.uname().machine, "amd64"), choices=QEMU)
    parser.add_argument("folder", type=Path)
    parser.add_argument("wheel", type=Path)
    options = parser.parse_args()
    folder, wheel = options.folder.absolute(), options.wheel.absolute()
    try:
        if os.geteuid() != 0:
            raise CannotRun("debootstrap and chroot need root")
        qemu = emulator(options.arch)
        if not (folder / "usr/bin/python3").exists():
            make_root(folder, options.suite, options.arch, foreign=qemu is not None)
    except CannotRun as error:
        print(f"old_root: NOT run: {error}", file=sys.stderr)
        return 2
    shutil.rmtree(folder / WORK.lstrip("/"), ignore_errors=True)
    (folder / WORK.lstrip("/")).mkdir(parents=True)
    with RigServer() as server:
        server.create_bucket("bucket")
        base = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8"}
        environment = {**base, **server.environment()}
        try:
            if qemu is None:
                run_natively(folder, wheel, environment)
            else:
                run_emulated(folder, wheel, environment, qemu)
        except subprocess.CalledProcessError as error:
            program = " ".join(map(str, error.cmd[:3]))
            print(f"old_root: FAILED: exit status {error.returncode} of {program} ...", file=sys.stderr)
            return 1
    print(f"old_root: passed: {options.suite} {options.arch} {wheel.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
