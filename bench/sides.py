"""The two sides of the benchmark: their interpreters, packages and folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

REPOSITORY = Path(__file__).resolve().parents[1]

REFERENCE_VERSION = "0.1.5"


class OperationFailed(Exception):
    """The operation's process ended with an error."""


def reference_python(named: Optional[str]) -> Path:
    """The interpreter of the reference's environment, which is set up if it is not there.

    An environment of its own: nothing of ours may be beside it, and no `awscrt`, through which botocore
    would sign.
    """
    if named:
        return Path(named)
    environment = REPOSITORY / ".venv-reference"
    python = environment / "bin" / "python"
    if not python.exists():
        print("bench: setting up the reference in .venv-reference", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        wanted = f"deadline-job-attachments=={REFERENCE_VERSION}"
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", wanted], check=True)
    return python


@dataclass
class Side:
    """One of the two, with its own home folder, so that its caches stand where users have them."""

    name: str
    package: str
    python: Path
    home: Path
    environment: dict[str, str]

    def prepare_home(self, kind: str) -> None:
        """`fresh`: no caches; `no check cache`: that one alone is removed; `keep`: as it is."""
        if kind == "fresh":
            shutil.rmtree(self.home, ignore_errors=True)
        elif kind == "no check cache":
            for path in self.home.rglob("s3_check_cache*"):
                path.unlink()
        self.home.mkdir(parents=True, exist_ok=True)

    def start(self, step: str, specification: dict[str, Any]) -> subprocess.Popen:
        """A process that has done its set-up once this returns."""
        script = Path(__file__).with_name("operation.py")
        process = subprocess.Popen(
            [str(self.python), str(script), self.package, step, json.dumps(specification)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environment, "HOME": str(self.home)},
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if line.strip() != "ready":
            raise OperationFailed(f"{line}{process.communicate()[1]}".strip())
        return process

    @staticmethod
    def finish(process: subprocess.Popen) -> dict[str, Any]:
        """Lets the process run what it has set up; its figures."""
        output, errors = process.communicate("go\n")
        if process.returncode != 0:
            raise OperationFailed(errors.strip())
        return json.loads(output.strip().splitlines()[-1])
