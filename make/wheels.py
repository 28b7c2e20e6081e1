"""Builds wheels for other machines, and the source distribution: `make wheels`, `make wheels-all`.

A target that this machine cannot build is an error that says what is missing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import repack
import third_party

REPOSITORY = Path(__file__).resolve().parents[1]
TARGET_DIR = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").absolute()

#: Debian's compiler, which can build the standard library for targets that the Rust toolchain in use lacks.
DEBIAN_RUSTC = Path("/usr/bin/rustc")
DEBIAN_STD = Path("/usr/lib/rustlib/src/rust/library/std")
BUILD_STD = {"RUSTC_BOOTSTRAP": "1", "CARGO_UNSTABLE_BUILD_STD": "std,panic_unwind"}

#: The time that archives and C code get: the earliest that a zip archive can hold.
EPOCH = "315532800"


@dataclass(frozen=True)
class Platform:
    """One platform that wheels are built for."""

    triple: str
    compatibility: str
    tag: str


PLATFORMS = {
    "manylinux-x86_64": Platform("x86_64-unknown-linux-gnu", "manylinux2014", "manylinux_2_17_x86_64"),
    "manylinux-aarch64": Platform("aarch64-unknown-linux-gnu", "manylinux2014", "manylinux_2_17_aarch64"),
    "musllinux-x86_64": Platform("x86_64-unknown-linux-musl", "musllinux_1_2", "musllinux_1_2_x86_64"),
}


class MissingTool(Exception):
    """What a target needs is not on this machine."""


def toolchain(triple: str) -> dict[str, str]:
    """The environment in which cargo has a standard library for `triple`."""
    command = ["rustc", "--print", "target-libdir", "--target", triple]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode == 0 and Path(found.stdout.strip()).is_dir():
        return {}
    if not (DEBIAN_RUSTC.exists() and DEBIAN_STD.exists()):
        raise MissingTool(
            f"no Rust standard library for {triple}: `rustup target add {triple}`, or as root on Debian "
            "`apt-get install rustc-web cargo-web rust-web-src`"
        )
    path = f"{DEBIAN_RUSTC.parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **BUILD_STD,
        "PATH": path,
        "RUSTC": str(DEBIAN_RUSTC),
        "CARGO": str(DEBIAN_RUSTC.with_name("cargo")),
    }


def without_build_paths() -> str:
    """Flags of rustc that keep the folders of this machine out of the binary."""
    cargo_home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    remapped = {REPOSITORY: "rusty_attachments", cargo_home / "registry" / "src": "crates"}
    flags = [f"--remap-path-prefix={path}={name}" for path, name in remapped.items()]
    return " ".join([os.environ.get("RUSTFLAGS", ""), *flags]).strip()


def run_maturin(*arguments: str, env: dict[str, str] | None = None) -> None:
    """Runs this environment's maturin in the repository."""
    command = [sys.executable, "-m", "maturin", *arguments]
    # maturin looks for zig in the interpreter that it is given by VIRTUAL_ENV.
    environment = {
        **os.environ,
        "VIRTUAL_ENV": sys.prefix,
        "CARGO_TARGET_DIR": str(TARGET_DIR),
        **(env or {}),
    }
    # mimalloc compiles the date in.
    environment.setdefault("SOURCE_DATE_EPOCH", EPOCH)
    path = environment["PATH"]
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    subprocess.run(command, check=True, cwd=REPOSITORY, env=environment)


def build_wheel(name: str, out: Path) -> Path:
    """Builds one wheel into `out` and replaces the older ones of its platform there."""
    platform = PLATFORMS[name]
    environment = toolchain(platform.triple)
    flags = without_build_paths()
    if platform.triple.endswith("-musl"):
        flags += " -C target-feature=-crt-static"
    environment["RUSTFLAGS"] = flags
    for old in out.glob(f"*{platform.tag}*.whl"):
        old.unlink()
    arguments = ["--release", "--quiet", "--zig", "--auditwheel", "check"]
    arguments += ["--target", platform.triple, "--compatibility", platform.compatibility, "--out", str(out)]
    run_maturin("build", *arguments, env=environment)
    [wheel] = out.glob(f"*{platform.tag}*.whl")
    repack.finish_wheel(wheel, third_party.licences(platform.triple))
    return wheel


def build_native(out: Path) -> Path:
    """Builds a wheel for this system alone with the system's linker, for machines without zig."""
    for old in out.glob("*-linux_*.whl"):
        old.unlink()
    run_maturin("build", "--release", "--quiet", "--compatibility", "linux", "--out", str(out))
    [wheel] = out.glob("*-linux_*.whl")
    return wheel


def build_sdist(out: Path) -> Path:
    """Builds the source distribution into `out`."""
    for old in out.glob("*.tar.gz"):
        old.unlink()
    run_maturin("sdist", "--out", str(out))
    [sdist] = out.glob("*.tar.gz")
    repack.finish_sdist(sdist)
    return sdist


def main() -> int:
    """Builds what the arguments name; the exit status is 1 if one of them cannot be built here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("dist"))
    parser.add_argument("targets", nargs="+", choices=[*PLATFORMS, "native", "sdist"])
    options = parser.parse_args()
    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    others = {"native": build_native, "sdist": build_sdist}
    failed = []
    for target in options.targets:
        try:
            made = others[target](out) if target in others else build_wheel(target, out)
        except (MissingTool, subprocess.CalledProcessError) as error:
            print(f"wheels: {target}: NOT built: {error}", file=sys.stderr, flush=True)
            failed.append(target)
        else:
            print(f"wheels: {target}: {made.name}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
