"""Environments of their own, for packages that pin a version of the reference. `make environments` makes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import rusty_attachments

REPOSITORY = Path(__file__).parents[2]


class Environment:
    """A virtual environment beside the repository's own, with one package.

    Args:
        name: `requirements-NAME.txt` says what is in it, and `.venv-NAME` is its folder.
    """

    def __init__(self, name: str) -> None:
        self.folder = REPOSITORY / f".venv-{name}"
        self.python = self.folder / "bin" / "python"
        self.requirement = Path(__file__).with_name(f"requirements-{name}.txt").read_text().strip()

    def site_packages(self) -> Path:
        """Where its packages are.

        Raises:
            RuntimeError: It is not there, or has another version of its package.
        """
        distribution, version = self.requirement.split("==")
        info = f"lib/python*/site-packages/{distribution.replace('-', '_')}-{version}.dist-info"
        found = list(self.folder.glob(info))
        if not found:
            raise RuntimeError(f"{self.folder} lacks {self.requirement}: run `make environments`")
        return found[0].parent

    def our_package(self) -> Path:
        """A folder for PYTHONPATH: a link to our package as it is installed, and nothing of what is beside it.

        This environment has another version of the reference, and the source folder has no native module.
        """
        self.site_packages()
        folder = self.folder / "ours"
        link, installed = folder / "rusty_attachments", Path(rusty_attachments.__file__).parent
        if not link.is_symlink() or link.readlink() != installed:
            folder.mkdir(exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(installed)
        return folder

    def switched(self, folder: Path, program: str) -> Path:
        """A Python in that folder with these packages and ours, where the switch was turned on once.

        Gives its executable.
        """
        if not folder.exists():
            python = Python(folder, [str(self.our_package()), str(self.site_packages())])
            python.swap("enable", "--for", program)
        return folder / "bin" / "python"


class Python:
    """A Python of its own: the packages of other folders, and a folder of packages that nobody else has."""

    def __init__(self, folder: Path, packages: list[str]) -> None:
        command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
        subprocess.run(command, check=True, env=self.environment())
        self.executable = folder / "bin" / "python"
        (self.packages,) = folder.glob("lib/python*/site-packages")
        (self.packages / "others.pth").write_text("".join(f"{package}\n" for package in packages))

    @staticmethod
    def environment(**changes: str) -> dict[str, str]:
        """This process's, without what changes packages or the switch."""
        left_out = ("PYTHONPATH", "DEADLINE_USE_NATIVE", "RUSTY_ATTACHMENTS_SWAP")
        return {**{name: value for name, value in os.environ.items() if name not in left_out}, **changes}

    def run(self, *arguments: str, status: int = 0, **environment: str) -> str:
        """What a run prints, to both of its streams."""
        ended = subprocess.run(
            [str(self.executable), *arguments],
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert ended.returncode == status, ended.stdout
        return ended.stdout

    def swap(self, *arguments: str, status: int = 0) -> str:
        """Runs the command of the switch."""
        return self.run("-m", "rusty_attachments.swap", *arguments, status=status)


DEADLINE = Environment("deadline")
"""The `deadline` command."""
