"""Environments of their own, for packages that pin a version of the reference. `make environments` makes them."""

from __future__ import annotations

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


DEADLINE = Environment("deadline")
"""The `deadline` command."""
