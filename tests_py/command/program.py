"""The program `rusty-attachments`, ways to run it, and folders."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rig.server import REPOSITORY


def built_command() -> Path:
    """The newest build of the program; built where there is none."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    candidates = [target / profile / "rusty-attachments" for profile in ("release", "debug")]
    built = [path for path in candidates if path.exists()]
    if built:
        return max(built, key=lambda path: path.stat().st_mtime)
    build = ["cargo", "build", "--quiet", "--features", "cli", "--bin", "rusty-attachments"]
    subprocess.run(build, cwd=REPOSITORY, check=True)
    return candidates[-1]


@dataclass
class Ran:
    """A run that has ended."""

    status: int
    out: str
    err: str

    def events(self) -> list[dict[str, Any]]:
        """Standard output with `--json`."""
        return [json.loads(line) for line in self.out.splitlines()]

    def summary(self) -> dict[str, Any]:
        """The last of the events."""
        return self.events()[-1]


class Command:
    """Runs the program in a folder, in pipes."""

    def __init__(self, program: list[str], folder: Path) -> None:
        self.program, self.folder = program, folder

    def __call__(self, *arguments: Any, status: int = 0, stdin: str = "") -> Ran:
        ended = subprocess.run(
            [*self.program, *arguments],
            cwd=self.folder,
            input=stdin.encode(),
            capture_output=True,
            timeout=120,
        )
        ran = Ran(
            ended.returncode,
            ended.stdout.decode("utf-8", "surrogateescape"),
            ended.stderr.decode("utf-8", "replace"),
        )
        assert ran.status == status, ran
        return ran


#: So many small objects, each of which takes so long, that there is time to look.
COUNT, DELAY_MS = 60, 250
FEW = ("--max-connections", "4")

FILES = {
    "scene.blend": b"scene" * 1000,
    "textures/wood.png": b"wood" * 1000,
    "textures/copy of wood.png": b"wood" * 1000,
    "renders/0001.exr": b"r" * 20_000,
}


def write_tree(folder: Path, files: dict[str, bytes]) -> Path:
    for name, body in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    return folder


def read_tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
