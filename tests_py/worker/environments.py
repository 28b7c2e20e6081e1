"""Environments of their own, for packages that bring, and pin, a version of the reference."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import rusty_attachments

REPOSITORY = Path(__file__).parents[2]


class Environment:
    """A virtual environment beside the repository's own, with one package; made when it is first asked for.

    Args:
        folder: Its name.
        distribution: What is installed.
        version: Which version of it.
    """

    def __init__(self, folder: str, distribution: str, version: str) -> None:
        self.folder = REPOSITORY / folder
        self.python = self.folder / "bin" / "python"
        self.requirement = f"{distribution}=={version}"
        self._info = f"lib/python*/site-packages/{distribution.replace('-', '_')}-{version}.dist-info"

    def site_packages(self) -> Path:
        """Where its packages are; installs them first where they are missing."""
        if not self.python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(self.folder)], check=True)
        found = list(self.folder.glob(self._info))
        if not found:
            subprocess.run([str(self.python), "-m", "pip", "install", "-q", self.requirement], check=True)
            found = list(self.folder.glob(self._info))
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


DEADLINE = Environment(".venv-deadline", "deadline", "0.60.10")
"""The `deadline` command."""
